"""The words between the layers, as frozen data without I/O. Everything above imports these, never the reverse."""
