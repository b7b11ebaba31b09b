"""Who runs an estate here: the registry of Estates, the Lease, and the credentials that a run is built from."""
