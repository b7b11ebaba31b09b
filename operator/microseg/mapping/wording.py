"""Words of this package's messages: quotes, lists, and the name that somebody probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from microseg.model.shown import LENGTH, plain

TOLD = 8  # names that a hint lists in full
COMPARED = 200  # names among which a near one is looked for: the search is slow


def quoted(text: str) -> str:
    """`text` in double quotes."""
    return f'"{plain(text)}"'


def listed(texts: Sequence[str], joint: str = "or", most: int = 6) -> str:
    """`a, b or c`; the rest beyond `most` is counted."""
    words = [plain(text) for text in texts[:most]]
    if len(texts) > most:
        return f"{', '.join(words)} {joint} {len(texts) - most} more"
    return f" {joint} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """A hint that names the nearest known word, or the known words where they are few, or nothing."""
    names = list(dict.fromkeys(map(str, candidates)))
    folded: dict[str, str] = {}
    for name in names:
        folded.setdefault(name.lower(), name)
    near = difflib.get_close_matches(word[:LENGTH].lower(), folded, n=1, cutoff=0.6) if len(names) <= COMPARED else []
    if near:
        return f"did you mean {plain(folded[near[0]])!r}?"
    return f"known: {', '.join(plain(name) for name in names)}" if 0 < len(names) <= TOLD else ""
