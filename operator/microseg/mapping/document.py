"""What a mapping says, as frozen data: the types that every other module of this package passes around.

Nothing here reads YAML or decides anything. `parser` makes these from text; `evaluator`, `groups`, `lint`,
`explanation` and `document_tests` only read them. Places (line and column) ride along for messages and are never
part of equality.
"""

from __future__ import annotations

import datetime
import enum
from collections import abc
from dataclasses import dataclass, field

from microseg.model.shown import DIGITS


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in the text: line and column, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that makes a mapping unusable; `str()` is the line a person reads."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}" + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True, slots=True)
class LintWarning:
    """Something that is allowed but probably not meant; never a reason to refuse a mapping."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: warning: {self.message}"
        return text + (f" ({self.hint})" if self.hint else "")


class MappingError(Exception):
    """The text is not a mapping. `problems` is never empty and is in the order of the text."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class OnMiss(enum.StrEnum):
    """What a table does for a host that none of its rules knows."""

    HOLD = "hold"
    KEEP = "keep"
    REMOVE = "remove"
    DEFAULT = "default"


class Normal(enum.StrEnum):
    """A way in which two spellings of a tag's value count as one."""

    TRIM = "trim"
    LOWER = "lower"


AcceptedValues = abc.Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class When:
    """A condition: every part that is not empty must hold; inside a part any one value is enough."""

    tags: AcceptedValues
    not_tags: AcceptedValues
    name: tuple[str, ...] = ()
    location: tuple[str, ...] = ()
    resource_group: tuple[str, ...] = ()
    subscription: tuple[str, ...] = ()
    os: tuple[str, ...] = ()
    labels: AcceptedValues = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a table: a condition and the label's value where it holds."""

    name: str
    when: When
    value: str


@dataclass(frozen=True, slots=True)
class LabelTable:
    """All the rules for one label key: cases in order, then the tag, then what a miss means."""

    key: str
    from_tag: tuple[str, ...]
    normalize: tuple[Normal, ...]
    values: abc.Mapping[str, str]
    one_of: tuple[str, ...]
    cases: tuple[Case, ...]
    default: str | None
    on_miss: OnMiss
    allowed: abc.KeysView[str] = field(init=False, compare=False, repr=False)
    """Every value that this table can set, each once, in the order of the document."""

    def __post_init__(self) -> None:
        named = [*self.one_of, *self.values.values(), *(case.value for case in self.cases)]
        if self.default is not None:
            named.append(self.default)
        object.__setattr__(self, "allowed", dict.fromkeys(named).keys())


@dataclass(frozen=True, slots=True)
class Override:
    """An exception for one VM: with a reason, and over at `until` (aware)."""

    vm_id: str
    labels: abc.Mapping[str, str]
    reason: str
    until: datetime.datetime


@dataclass(frozen=True, slots=True)
class Group:
    """A yes/no question; every host for which it is yes belongs in the Check Point group `name`."""

    name: str
    when: When
    normalize: tuple[Normal, ...]
    subscriptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """What rules may read of a host. Text from outside: it is only ever compared.

    `tags` are (key, value) pairs in any order, keys as Azure spells them. `os` is `linux` or `windows`.
    """

    name: str
    location: str
    resource_group: str
    subscription: str
    os: str
    tags: tuple[tuple[str, str], ...]
    vm_id: str


@dataclass(frozen=True, slots=True)
class Example:
    """One entry of `tests:`; an expectation that is None was not written and is not checked."""

    name: str
    subject: Subject
    current: abc.Mapping[str, str]
    labels: abc.Mapping[str, str]
    groups: tuple[str, ...] | None
    holds: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class MappingDocument:
    """A whole document. Equal content gives equal `digest` (64 hex), whatever its comments and layout."""

    name: str
    owner: str
    tables: abc.Mapping[str, LabelTable]
    overrides: tuple[Override, ...]
    groups: tuple[Group, ...]
    tests: tuple[Example, ...]
    digest: str
    source: str = field(compare=False)
    places: abc.Mapping[tuple[str | int, ...], Place] = field(compare=False, repr=False)

    @property
    def shown(self) -> str:
        """The digits of the digest that people see."""
        return self.digest[:DIGITS]

    def __hash__(self) -> int:
        return hash(self.digest)

    def place(self, *path: str | int) -> Place:
        """The place of a part of the document, named by its keys and indexes; of its nearest parent if unknown."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1))


@dataclass(frozen=True, slots=True)
class Value:
    """The label `key` is to be `value`; `case` names the rule that decided."""

    key: str
    value: str
    case: str


@dataclass(frozen=True, slots=True)
class Keep:
    """The label stays what it is in the PCE."""

    key: str


@dataclass(frozen=True, slots=True)
class Remove:
    """The label is taken off, if we put it there."""

    key: str


@dataclass(frozen=True, slots=True)
class Miss:
    """No rule knows this host and the table says hold: a person must look.

    `tag` is "" where the table reads no tag; `value` is None where the tag is absent.
    """

    key: str
    tag: str
    value: str | None


LabelAnswer = Value | Keep | Remove | Miss


@dataclass(frozen=True, slots=True)
class GroupAnswer:
    """Whether the host belongs in the group; None means: not known now, change nothing."""

    name: str
    member: bool | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that a mapping says about one host.

    `labels` has one entry for each owned key, sorted by key; `groups` one for each group, sorted by name.
    While `undecided`, no label may change, and groups that depend on what misses have `member` None.
    `cases` are the names of the cases that won, in the order of `labels`.
    """

    labels: tuple[LabelAnswer, ...]
    groups: tuple[GroupAnswer, ...]
    undecided: bool
    miss_message: str
    cases: tuple[str, ...]
    warnings: tuple[str, ...]
