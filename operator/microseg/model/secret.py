"""A secret value whose every text form is a mask, which no log line, traceback or f-string can leak."""

from __future__ import annotations

import re
from collections.abc import Callable

_BYTE_ORDER_MARK = "\ufeff"
_PLACEHOLDER = re.compile(
    r"<[^<>]*>|\$\{[^{}]*\}|\{\{.*\}\}|%[A-Z_]+%"
    r"|change[-_ ]?(me|it|this)([-_ !.].*)?|replace([-_ ]?(me|it|this))?[-_ !.]*|replace[-_ ].*|fill[-_ ]?(me[-_ ]?)?in"
    r"|to[-_ ]?do([-_: ].*)?|fix[-_ ]?me([-_: ].*)?|to[-_ ]be[-_ ](done|filled.*)|tbd"
    r"|place[-_ ]?holder|dummy|null|none|nil|undefined"
    r"|(put|type|write)[-_ ].*[-_ ]here|put[-_ ](your|the|a)[-_ ].*|(insert|enter|paste)[-_ ].*"
    r"|n/?a|example|secret|password|\W*redacted\W*|\(sensitive( value)?\)|ENC\[.*\]|(op|vault|ref\+[a-z0-9]+)://.*"
    r"|(?-i:\$\(?[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\)?)|x{2,}(-x{2,})+"
    r"|your[-_ ].*|my[-_ ](secret|password|api[-_ ]?key|key|token|user)"
    r"|x{3,}|\*{3,}|\.{3,}|\u2026|_{3,}|-{3,}|0{8,}|api_0+",
    re.IGNORECASE,
)
"""Values that stand in examples and templates for a real one, those of our own manifests/examples among them."""


def fault_of(value: str) -> str:
    """Why a secret's value cannot be right, as the end of a sentence without any part of the value; empty: it may be.

    Most come from `kubectl create secret --from-file`, from `echo value | base64`, and from editors on Windows
    (rancher/terraform-controller#8, exekube/exekube#44).
    """
    return next((words for words, is_so in _FAULTS if is_so(value)), "")


_QUOTED = {'""', "''", "``", "\u201c\u201d", "\u2018\u2019", "\u201e\u201c", "\u00ab\u00bb"}
_FAULTS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("begins with a byte order mark (U+FEFF)", lambda value: value.startswith(_BYTE_ORDER_MARK)),
    ("is empty", lambda value: not value.strip()),
    ("ends with a line break", lambda value: value.rstrip("\r\n\u0085\u2028\u2029") != value),
    ("contains a line break", lambda value: len(value.splitlines()) > 1),
    ("begins or ends with white space", lambda value: value.strip() != value),
    ("contains a character that cannot be seen", lambda value: not value.isprintable()),
    (
        "stands in quotation marks, which would be a part of it",
        lambda value: len(value) > 1 and value[0] + value[-1] in _QUOTED,
    ),
    (
        "ends with a line break that is written as a backslash and a letter",
        lambda value: value.endswith(("\\n", "\\r")),
    ),
    ("is a placeholder, and not a real value", lambda value: _PLACEHOLDER.fullmatch(value) is not None),
)
"""Fault and test; the first that holds is told."""


class Secret:
    """Holds one secret string; only `reveal()` gives it back."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Take the value."""
        self._value = value

    def reveal(self) -> str:
        """The value itself: call it only in the argument of the call that needs it."""
        return self._value

    def __repr__(self) -> str:
        """A mask."""
        return "Secret(****)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Equal when the values are."""
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        """Hash of the value."""
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled."""
        raise TypeError("a Secret cannot be pickled")
