"""Reads a mapping document from a file: the plain text, or the ConfigMap that carries it, as it lies in Git.

Places in messages are those of the file that the person has open, also where the document is a block in a ConfigMap.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from microseg.cli.errors import CommandError
from microseg.mapping import LintWarning, MappingDocument, MappingError, Problem, TestFailure, parse

_KEY = "mapping.yaml"
_STDIN = Path("-")


Finding = Problem | LintWarning | TestFailure
_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """A mapping's text, and where in its file it begins."""

    source: str
    text: str
    line: int = 0
    """Lines of the file above the text."""
    column: int = 0
    """Blanks before each of its lines."""

    def parsed(self) -> MappingDocument:
        """Parse it. Raises CommandError with every problem, one per line."""
        try:
            return parse(self.text, self.source)
        except MappingError as error:
            raise CommandError("\n".join(str(problem) for problem in self.placed(error.problems))) from None

    def placed(self, findings: Iterable[Finding]) -> list[Finding]:
        """Findings with the places of the file."""
        return [
            dataclasses.replace(each, line=each.line + self.line, column=each.column + self.column) for each in findings
        ]


def read(file: Path) -> Document:
    """Read a document; `-` is the standard input. Raises CommandError where there is none to read."""
    try:
        text = sys.stdin.read() if file == _STDIN else file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror or error}") from None
    if len(text) > _LARGEST:
        raise CommandError(f"{file} has {len(text)} characters: a mapping has at most 256 KiB")
    source = "standard input" if file == _STDIN else str(file)
    return _carried(text, source) or Document(source, text)


def _carried(text: str, source: str) -> Document | None:
    """The document that a ConfigMap in the file carries; None: the file has no Kubernetes object."""
    if "kind:" not in text and '"kind"' not in text:
        return None
    try:
        roots = [node for node in yaml.compose_all(text, Loader=yaml.CSafeLoader) if isinstance(node, yaml.MappingNode)]
    except (yaml.YAMLError, RecursionError):
        return None  # the reader of mappings says where and what
    kinds = [kind.value for root in roots if isinstance(kind := _field(root, "kind"), yaml.ScalarNode)]
    if not kinds:
        return None
    for root in roots:
        data = _field(root, "data")
        value = _field(data, _KEY) if isinstance(data, yaml.MappingNode) else None
        if isinstance(value, yaml.ScalarNode):
            return _placed(value, text, source)
    raise CommandError(f"{source} holds {', '.join(kinds)}, but no ConfigMap with a mapping under data, {_KEY}")


def _placed(node: yaml.ScalarNode, text: str, source: str) -> Document:
    """A block (`|`) begins one line below its mark and is indented; of any other form only the line is known."""
    if node.style != "|":
        return Document(source, node.value, node.start_mark.line)
    line = node.start_mark.line + 1
    lines = text.splitlines()
    first = next((each for each in lines[line:] if each.strip()), "")
    return Document(source, node.value, line, len(first) - len(first.lstrip(" ")))


def _field(node: yaml.MappingNode, name: str) -> yaml.Node | None:
    return next((value for key, value in node.value if getattr(key, "value", None) == name), None)
