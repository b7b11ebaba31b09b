"""`make bench-peers`: the operator beside what people run now: a script of the vendors' SDKs, and a playbook."""
