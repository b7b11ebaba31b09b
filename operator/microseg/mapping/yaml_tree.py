"""Text to a tree of strings, lists and fields, each with its place; called by `parser` only.

Built from the events of libyaml (PyYAML's C parser), never by constructing Python objects: what the text
could make a loader do (anchors, aliases, tags, merge keys, deep nesting) is refused at the event that begins it.
Scalars keep their text; `kind` says what a YAML reader would have made of it, so that `parser` can demand strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import yaml

from .document import MappingError, Place, Problem
from .limits import MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_TEXT

STRING = "a string"
NOTHING = "nothing"
MERGE = "a merge key"

_KINDS = {
    "tag:yaml.org,2002:str": STRING,
    "tag:yaml.org,2002:bool": "yes/no",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:timestamp": "a date",
    "tag:yaml.org,2002:null": NOTHING,
    "tag:yaml.org,2002:merge": MERGE,
    "tag:yaml.org,2002:value": "a YAML default key",
}
# Numbers to a YAML 1.2 reader (an editor, a Go program) that PyYAML takes for strings.
_NUMBER_ELSEWHERE = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+|0o[0-7]+)")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single text; `kind` is STRING if it was quoted or reads as one."""

    text: str
    kind: str
    place: Place


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Fields:
    """A YAML mapping, in the order of the text, duplicates and all."""

    entries: tuple[tuple[Scalar, Node], ...]
    place: Place


Node = Scalar | Items | Fields


def grow(text: str, source: str) -> Node:
    """The one document in `text`. Raises MappingError with one problem; bounded by the size of `text`."""
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise _refusal(source, _place_at(text, error.start), "a lone surrogate is not a character") from None
    if size > MAX_BYTES:
        raise _refusal(source, Place(1, 1), f"the document has {size} bytes; at most {MAX_BYTES} are read")
    loader = yaml.CSafeLoader(text)
    try:
        return _Builder(source, loader).document()
    except yaml.reader.ReaderError as error:
        place = _place_at_byte(text, error.position)
        raise _refusal(source, place, f"the character U+{_code(error):04X} is not allowed") from None
    except yaml.MarkedYAMLError as error:
        raise _syntax(source, error) from None
    finally:
        loader.dispose()


class _Builder:
    """Eats events; a stack of open lists and fields, never recursion."""

    def __init__(self, source: str, loader: yaml.CSafeLoader) -> None:
        self._source = source
        self._loader = loader
        self._resolve: Callable[[type, str, tuple[bool, bool]], str] = loader.resolve
        self._open: list[tuple[Place, bool, list[Node]]] = []
        self._nodes = 0

    def document(self) -> Node:
        root: Node | None = None
        while True:
            event = self._loader.get_event()
            match event:
                case yaml.StreamEndEvent():
                    if root is None:
                        raise self._refuse(event, "the document is empty", "it begins with apiVersion:")
                    return root
                case yaml.DocumentStartEvent():
                    self._refuse_document(event, root)
                case yaml.NodeEvent():
                    self._refuse_aliases_anchors_and_tags(event)
                    root = self._begin(event) or root
                case yaml.CollectionEndEvent():
                    root = self._end() or root
                case _:
                    pass

    def _refuse_document(self, event: yaml.DocumentStartEvent, root: Node | None) -> None:
        if root is not None:
            raise self._refuse(event, "a second document begins here", "one mapping, one document")
        if event.version or event.tags:
            raise self._refuse(event, "YAML directives are not allowed", "leave out the lines that begin with %")

    def _refuse_aliases_anchors_and_tags(self, event: yaml.NodeEvent) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refuse(event, f"the document has more than {MAX_NODES} values")
        if isinstance(event, yaml.AliasEvent):
            raise self._refuse(event, "aliases (*name) are not allowed", "write the value out, or quote it")
        if event.anchor is not None:
            raise self._refuse(event, "anchors (&name) are not allowed", "write the value out, or quote it")
        if getattr(event, "tag", None) is not None:
            raise self._refuse(event, "YAML tags (!name) are not allowed", "quote a text that begins with !")

    def _begin(self, event: yaml.NodeEvent) -> Node | None:
        place = _place(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            return self._add(Scalar(event.value, self._kind(event), place))
        if len(self._open) >= MAX_DEPTH:
            raise self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        self._open.append((place, isinstance(event, yaml.MappingStartEvent), []))
        return None

    def _end(self) -> Node | None:
        place, is_fields, parts = self._open.pop()
        if not is_fields:
            return self._add(Items(tuple(parts), place))
        entries = []
        for key, value in zip(parts[::2], parts[1::2], strict=True):
            if not isinstance(key, Scalar):
                raise _refusal(self._source, key.place, "a key must be a single text", "quote it")
            entries.append((key, value))
        return self._add(Fields(tuple(entries), place))

    def _add(self, node: Node) -> Node | None:
        """Put a finished node into what is open; it is the root where nothing is."""
        if not self._open:
            return node
        self._open[-1][2].append(node)
        return None

    def _kind(self, event: yaml.ScalarEvent) -> str:
        if not event.implicit[0] or len(event.value) > MAX_TEXT:
            return STRING
        if _NUMBER_ELSEWHERE.fullmatch(event.value):
            return "a number"
        tag: str = self._resolve(yaml.ScalarNode, event.value, (True, False))
        return _KINDS[tag]

    def _refuse(self, event: yaml.Event, message: str, hint: str = "") -> MappingError:
        return _refusal(self._source, _place(event.start_mark), message, hint)


def _refusal(source: str, place: Place, message: str, hint: str = "") -> MappingError:
    return MappingError((Problem(source, place.line, place.column, message, hint),))


def _syntax(source: str, error: yaml.MarkedYAMLError) -> MappingError:
    place = _place(error.problem_mark or error.context_mark)
    message = ": ".join(part for part in (error.context, error.problem) if part)
    hint = "indent with blanks, not tabs" if "cannot start any token" in message else ""
    return _refusal(source, place, f"not YAML: {message}", hint)


class _Mark(Protocol):
    """A mark, whichever of PyYAML's parsers made it: lines and columns from 0."""

    line: int
    column: int


def _place(mark: _Mark | None) -> Place:
    return Place(1, 1) if mark is None else Place(mark.line + 1, mark.column + 1)


def _code(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")


def _place_at_byte(text: str, offset: int) -> Place:
    return _place_at(text, len(text.encode("utf-8")[:offset].decode("utf-8", "ignore")))


def _place_at(text: str, index: int) -> Place:
    before = text[:index]
    return Place(before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)
