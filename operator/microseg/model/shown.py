"""How a digest, and text that other people wrote, are shown: cut, and with nothing in it that could steer a terminal.

Used for every message, because tags and names are whatever their authors wanted.
"""

from __future__ import annotations

DIGITS = 12
"""Of a digest. Compared is the whole one, which nobody can make another document have."""
LENGTH = 60
"""Characters of a text."""


def plain(text: str, limit: int = LENGTH) -> str:
    """`text` with what does not print escaped, and cut at `limit` characters."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in cut)
