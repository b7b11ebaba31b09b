"""What a complete list left out, as sentences for people. The three gateways answer `problems()` with it."""

from __future__ import annotations

from collections.abc import Sequence

from microseg.gateways.http.client import sanitize
from microseg.gateways.ports import MOST_PROBLEMS

_LONGEST_SENTENCE = 300


def bounded_problems(sentences: Sequence[str]) -> tuple[str, ...]:
    """The first sentences, each one short line, and one more that counts the rest: a list can be wrong as a whole."""
    bounded = [sanitize(sentence, limit=_LONGEST_SENTENCE) for sentence in sentences[:MOST_PROBLEMS]]
    rest = len(sentences) - len(bounded)
    if rest > 0:
        bounded.append(f"{rest} more {'item was' if rest == 1 else 'items were'} left out or doubtful")
    return tuple(bounded)
