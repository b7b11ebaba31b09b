"""What is known now: one row per host, and the latest snapshot of each system."""
