"""Put other numbers and names into the product, for a process that runs it otherwise unchanged."""

from __future__ import annotations

from importlib import import_module


def alter(module: str, name: str, value: object) -> None:
    """Replace a name of a module. AttributeError where the product has no such name any more."""
    place = import_module(module)
    getattr(place, name)
    setattr(place, name, value)
