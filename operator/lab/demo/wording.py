"""Numbers with their nouns, for the lines of the demo. Called by its steps, its totals and its verdict."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `1 host` or `2 hosts`. `plural`: if it is not the noun with an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
