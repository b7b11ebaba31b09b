"""What every package of the engine stands on: ports, the clock and the worker threads."""
