"""Names as the outside systems compare them: in any letter case. What is shown has the system's own spelling.

The PCE holds a label's value unique in any letter case (brian1917/illumioapi indexes them lower-cased), and Check Point
finds objects, packages and gateways by name in any letter case. The exact spelling always comes first, so a system that
does tell two spellings apart keeps both.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def fold(name: str) -> str:
    """A name in the form in which two spellings of it are equal. Letters stay letters: ß is not ss."""
    return unicodedata.normalize("NFC", name).lower()


def lowered(text: str) -> str:
    """The text in lower case: itself where it is so already, so that an index of ten thousand holds no copies."""
    lower = text.lower()
    return text if text == lower else lower


def same_name(one: str, other: str) -> bool:
    """Whether two spellings name the same thing."""
    return one == other or fold(one) == fold(other)


def short_hostname(hostname: str) -> str:
    """Hostname without domain, lower-cased: how a VM's and a workload's are compared. Agreement proves nothing."""
    return hostname.split(".", 1)[0].lower()


class Spellings:
    """The names that a system has, found in any letter case."""

    def __init__(self, names: Iterable[str]) -> None:
        """Index them once; of two that differ only in letter case the first in order stands for both."""
        self._exact = frozenset(names)
        self._folded = {fold(name): name for name in sorted(self._exact, reverse=True)}

    def of(self, name: str) -> str:
        """The name as the system spells it; as it was asked for where the system has no such name."""
        return name if name in self._exact else self._folded.get(fold(name), name)
