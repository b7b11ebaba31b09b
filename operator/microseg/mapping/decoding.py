"""Takes the tree apart with one message for each thing that is wrong; used by `parser` and `table_parser`.

A `Reader` never stops at the first problem: it notes it and hands back something empty, so that a person sees
all of them at once. `what` is always the path that the person sees in the document, such as `labels.env.values`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

from microseg.model.shown import plain

from .document import MappingError, Place, Problem
from .limits import MAX_PROBLEMS, MAX_TAG_KEY, MAX_TEXT
from .wording import did_you_mean, quoted
from .yaml_tree import MERGE, NOTHING, STRING, Fields, Items, Node, Scalar

MAX_MESSAGE = 400


class Reader:
    """Collects problems; `finish` raises them all, in the order of the text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._problems: list[Problem] = []

    def problem(self, place: Place, message: str, hint: str = "") -> None:
        """Note a problem; too many of them end the reading."""
        problem = Problem(self.source, place.line, place.column, plain(message, MAX_MESSAGE), plain(hint, MAX_MESSAGE))
        if problem not in self._problems:
            self._problems.append(problem)
        if len(self._problems) >= MAX_PROBLEMS:
            self.finish()

    def finish(self) -> None:
        """Raise MappingError if anything was wrong."""
        if self._problems:
            raise MappingError(tuple(sorted(self._problems, key=lambda problem: (problem.line, problem.column))))

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
        scalar = self.scalar(node, what)
        if scalar is None:
            return None
        if scalar.kind == MERGE:
            self.problem(scalar.place, "merge keys (<<) are not allowed", "write the fields out")
            return None
        if scalar.kind != STRING:
            printable = plain(scalar.text)
            self.problem(
                scalar.place,
                f"{what}: YAML reads {printable} as {scalar.kind}, not as a text",
                f'write "{printable}" in quotes',
            )
            return None
        if len(scalar.text) > limit:
            self.problem(scalar.place, f"{what} is longer than {limit} characters")
            return None
        if any(unicodedata.category(char) in {"Cc", "Zl", "Zp"} for char in scalar.text):
            self.problem(scalar.place, f"{what} contains a control character", "write one line of plain text")
            return None
        return scalar.text

    def target(self, node: Node, what: str, limit: int) -> str | None:
        """A string that will be a name elsewhere: not empty, printable, no blanks at its ends."""
        text = self.text(node, what, limit)
        if text is not None and (not text or text != text.strip() or not text.isprintable()):
            self.problem(
                node.place,
                f"{what} must not be empty, begin or end with a blank, or contain characters that do not print",
            )
            return None
        return text

    def word(self, node: Node, what: str, words: Sequence[str]) -> str | None:
        """One of a closed list of words."""
        text = self.text(node, what)
        if text is not None and text not in words:
            self.problem(node.place, f"{what} can not be {quoted(text)}", did_you_mean(text, words))
            return None
        return text

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
        texts: dict[str, None] = {}
        parts = self.items(node, what, most)
        if isinstance(node, Items) and not node.items and not empty:
            self.problem(node.place, f"{what} is an empty list, which no host can match", "leave it out")
        for part in parts:
            text = self.text(part, what)
            if text is not None and text in texts:
                self.problem(part.place, f"{what} names {quoted(text)} twice")
            elif text is not None:
                texts[text] = None
        return tuple(texts)

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
        entries: list[tuple[str, Node]] = []
        for key, value in node.entries:
            text = self._key(key, what)
            if text is None:
                continue
            if text in first:
                self.problem(key.place, f"{what} has the key {quoted(text)} twice", f"first in line {first[text].line}")
                continue
            first[text] = key.place
            entries.append((text, value))
        return entries

    def fields(self, node: Node, what: str, names: Sequence[str], required: Collection[str] = ()) -> dict[str, Node]:
        """The fields of a YAML mapping whose keys this language defines."""
        if isinstance(node, Fields):
            self._refuse_unknown(node, what, names)
        fields = dict(self.entries(node, what, len(names) + MAX_PROBLEMS))
        if isinstance(node, Fields):
            for name in required:
                if name not in fields:
                    self.problem(node.place, f"{what} has no {name}")
        return {name: fields[name] for name in names if name in fields}

    def _key(self, key: Scalar, what: str) -> str | None:
        if key.kind == NOTHING:
            self.problem(key.place, f"{what} has an empty key", 'an empty text is written ""')
            return None
        return self.text(key, f"a key of {what}", MAX_TAG_KEY)

    def _refuse_unknown(self, node: Fields, what: str, names: Sequence[str]) -> None:
        for key, _ in node.entries:
            if key.kind == STRING and key.text not in names:
                self.problem(key.place, f"{what} has no field {quoted(key.text)}", did_you_mean(key.text, names))


def _kind(node: Node) -> str:
    if isinstance(node, Items):
        return "a list"
    return "fields" if isinstance(node, Fields) else f"{plain(node.text)!r}" if node.text else "nothing"
