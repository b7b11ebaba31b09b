"""`make soak`: a fleet that changes all the time under faults at random, for hours: what leaks, and what breaks."""
