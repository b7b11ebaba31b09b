"""microseg: brings every Azure VM under micro-segmentation, and says so in conditions that are true."""

__version__ = "0.1.0"
