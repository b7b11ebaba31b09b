"""`make bench`: how fast a fleet is commissioned, compared with the least possible time; what it costs when idle."""
