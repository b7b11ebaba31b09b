"""The outside and the cluster in memory, for tests of the engine that need no network."""
