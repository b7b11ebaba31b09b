"""`make replicas`: several estates over several replicas: how they share them, and how one takes over from another."""
