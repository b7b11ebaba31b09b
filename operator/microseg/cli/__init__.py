"""The command line's face: what people type. It imports nothing of the running operator."""
