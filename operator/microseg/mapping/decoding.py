"""Takes the tree apart with one message for each thing that is wrong; used by `reading` and `reading_tables`.

A `Reader` never stops at the first problem: it notes it and hands back something empty, so that a person sees
all of them at once. `what` is always the path that the person sees in the document, such as `labels.env.values`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

from .document import MappingError, Place, Problem
from .limits import MAX_PROBLEMS, MAX_TAG_KEY, MAX_TEXT
from .wording import did_you_mean, plain, quoted
from .yamltree import MERGE, NOTHING, STRING, Fields, Items, Node, Scalar

MAX_MESSAGE = 400


class Reader:
    """Collects problems; `finish` raises them all, in the order of the text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._problems: list[Problem] = []

    def problem(self, place: Place, message: str, hint: str = "") -> None:
        """Note a problem; too many of them end the reading."""
        found = Problem(self.source, place.line, place.column, plain(message, MAX_MESSAGE), plain(hint, MAX_MESSAGE))
        if found not in self._problems:
            self._problems.append(found)
        if len(self._problems) >= MAX_PROBLEMS:
            self.finish()

    def finish(self) -> None:
        """Raise MappingError if anything was wrong."""
        if self._problems:
            raise MappingError(tuple(sorted(self._problems, key=lambda found: (found.line, found.column))))

    def scalar(self, node: Node, what: str) -> Scalar | None:
        """A single text, whatever YAML would make of it."""
        if isinstance(node, Scalar) and node.kind != NOTHING:
            return node
        if isinstance(node, Scalar):
            self.problem(node.place, f"{what} has no value", 'an empty text is written ""')
        else:
            self.problem(node.place, f"{what} must be a single text, not {_kind(node)}")
        return None

    def text(self, node: Node, what: str, limit: int = MAX_TEXT) -> str | None:
        """A string; what YAML reads as something else is refused with how to quote it."""
        found = self.scalar(node, what)
        if found is None:
            return None
        if found.kind == MERGE:
            self.problem(found.place, "merge keys (<<) are not allowed", "write the fields out")
            return None
        if found.kind != STRING:
            shown = plain(found.text)
            self.problem(
                found.place, f"{what}: YAML reads {shown} as {found.kind}, not as a text", f'write "{shown}" in quotes'
            )
            return None
        if len(found.text) > limit:
            self.problem(found.place, f"{what} is longer than {limit} characters")
            return None
        if any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in found.text):
            self.problem(found.place, f"{what} holds a control character", "one line of plain text is meant")
            return None
        return found.text

    def target(self, node: Node, what: str, limit: int) -> str | None:
        """A string that will be a name elsewhere: not empty, printable, no blanks at its ends."""
        found = self.text(node, what, limit)
        if found is not None and (not found or found != found.strip() or not found.isprintable()):
            self.problem(
                node.place, f"{what} must not be empty, nor begin or end with a blank, nor hold what does not print"
            )
            return None
        return found

    def word(self, node: Node, what: str, words: Sequence[str]) -> str | None:
        """One of a closed list of words."""
        found = self.text(node, what)
        if found is not None and found not in words:
            self.problem(node.place, f"{what} can not be {quoted(found)}", did_you_mean(found, words))
            return None
        return found

    def items(self, node: Node, what: str, most: int) -> tuple[Node, ...]:
        """The members of a list with at least one."""
        if isinstance(node, Fields) or (isinstance(node, Scalar) and node.kind == NOTHING):
            self.problem(node.place, f"{what} must be a list, not {_kind(node)}")
            return ()
        if isinstance(node, Scalar):
            self.problem(node.place, f"{what} must be a list", f"write [{plain(node.text)}]")
            return ()
        if len(node.items) > most:
            self.problem(node.items[most].place, f"{what} has {len(node.items)} entries; at most {most} are allowed")
            return ()
        return node.items

    def texts(self, node: Node, what: str, most: int, *, empty: bool = False) -> tuple[str, ...]:
        """A list of strings, none of them twice."""
        found: dict[str, None] = {}
        parts = self.items(node, what, most)
        if isinstance(node, Items) and not node.items and not empty:
            self.problem(node.place, f"{what} is an empty list, which no host can match", "leave it out")
        for part in parts:
            text = self.text(part, what)
            if text is not None and text in found:
                self.problem(part.place, f"{what} names {quoted(text)} twice")
            elif text is not None:
                found[text] = None
        return tuple(found)

    def entries(self, node: Node, what: str, most: int) -> list[tuple[str, Node]]:
        """The fields of a YAML mapping whose keys people choose: strings, none of them twice."""
        if not isinstance(node, Fields):
            self.problem(node.place, f"{what} must be fields (key: value), not {_kind(node)}")
            return []
        if len(node.entries) > most:
            place = node.entries[most][0].place
            self.problem(place, f"{what} has {len(node.entries)} entries; at most {most} are allowed")
            return []
        first: dict[str, Place] = {}
        found: list[tuple[str, Node]] = []
        for key, value in node.entries:
            text = self._key(key, what)
            if text is None:
                continue
            if text in first:
                self.problem(key.place, f"{what} has the key {quoted(text)} twice", f"first in line {first[text].line}")
                continue
            first[text] = key.place
            found.append((text, value))
        return found

    def fields(self, node: Node, what: str, known: Sequence[str], required: Collection[str] = ()) -> dict[str, Node]:
        """The fields of a YAML mapping whose keys this language defines."""
        if isinstance(node, Fields):
            self._refuse_unknown(node, what, known)
        found = dict(self.entries(node, what, len(known) + MAX_PROBLEMS))
        if isinstance(node, Fields):
            for name in required:
                if name not in found:
                    self.problem(node.place, f"{what} has no {name}")
        return {name: found[name] for name in known if name in found}

    def _key(self, key: Scalar, what: str) -> str | None:
        if key.kind == NOTHING:
            self.problem(key.place, f"{what} has an empty key", 'an empty text is written ""')
            return None
        return self.text(key, f"a key of {what}", MAX_TAG_KEY)

    def _refuse_unknown(self, node: Fields, what: str, known: Sequence[str]) -> None:
        for key, _ in node.entries:
            if key.kind == STRING and key.text not in known:
                self.problem(key.place, f"{what} has no field {quoted(key.text)}", did_you_mean(key.text, known))


def _kind(node: Node) -> str:
    if isinstance(node, Items):
        return "a list"
    return "fields" if isinstance(node, Fields) else f"{plain(node.text)!r}" if node.text else "nothing"
