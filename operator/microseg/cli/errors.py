"""The one error that commands show to a person: what is wrong, where, and what to do."""

from __future__ import annotations


class CommandError(Exception):
    """A command cannot do what it was asked for. `str()` is one clear sentence or several lines, ready to be shown."""
