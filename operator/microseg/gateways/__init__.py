"""The adapters that speak the outside systems' protocols, behind the ports of `ports.py`."""
