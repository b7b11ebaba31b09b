"""The cluster's own API: hosts, estates, leases, revisions, events and secrets, spoken through one small client."""
