"""The command line: what people type. It reads a cluster and calls the pure planners; the engine never runs here."""
