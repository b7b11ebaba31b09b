"""Azure Resource Manager: VMs listed whole, and managed run-commands."""
