"""Which mapping document is in force, and how its changes reach the hosts."""
