"""A real node on this machine: kubelet, containerd and runc in namespaces of their own; for `make e2e` and the demo."""
