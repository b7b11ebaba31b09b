"""The Illumio PCE: workloads, labels, pairing profiles and keys."""
