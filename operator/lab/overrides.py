"""Replaces single constants and names of the product, in a process that runs it otherwise unchanged.

Called by `lab.stepped_clock` and `lab.sweep.shortened_waits`.
"""

from __future__ import annotations

from importlib import import_module


def override(module: str, name: str, value: object) -> None:
    """Replace a name in a module. Raises AttributeError if the product no longer has it."""
    target = import_module(module)
    getattr(target, name)
    setattr(target, name, value)
