"""The one error that commands tell a person: what is wrong, where, and what to do."""

from __future__ import annotations


class Sorry(Exception):
    """A command cannot do what it was asked for. `str()` is one clear sentence or several lines, ready to be shown."""
