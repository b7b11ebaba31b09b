"""Text to Mapping: the front door of the language. Called by the operator for ConfigMaps, by `microseg validate`.

Either everything in the document is known, typed and consistent, or there is a MappingError that names every
problem with its place. What merely looks unintended is for `lint`; whether the rules do what their author wants is
for `document_tests`.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from types import MappingProxyType

from microseg.model.names import MAPPING_API_VERSION

from .canonical import digest
from .decoding import Reader
from .document import Example, Group, LabelTable, MappingDocument, Override, Place, Subject
from .limits import (
    MAX_GROUPS,
    MAX_LABEL_KEY,
    MAX_LABEL_VALUE,
    MAX_LISTED,
    MAX_NAME,
    MAX_OVERRIDES,
    MAX_TABLES,
    MAX_TESTS,
    MAX_TEXT,
)
from .table_parser import read_normalize, read_table, read_when
from .wording import did_you_mean, quoted
from .yaml_tree import Fields, Items, Node, Scalar, grow

DOCUMENT_FIELDS = ("apiVersion", "name", "owner", "labels", "overrides", "groups", "tests")
OVERRIDE_FIELDS = ("vmId", "labels", "reason", "until")
GROUP_FIELDS = ("name", "when", "normalize", "scope")
TEST_FIELDS = ("name", "given", "labels", "groups", "holds")
GIVEN_TEXTS = ("name", "location", "resourceGroup", "subscription", "os", "vmId")
GIVEN_FIELDS = (*GIVEN_TEXTS, "tags", "labels")

NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
LABEL_KEY = re.compile(r"[A-Za-z][-_A-Za-z0-9]*")
VM_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[-+][0-9]{2}:[0-9]{2})"
)


def parse(text: str, source: str) -> MappingDocument:
    """The mapping that `text` holds. `source` is the file's name in messages.

    Raises MappingError, and nothing else, whatever the text; its time is bounded by the limits of `limits`.
    """
    root = grow(text, source)
    reader = Reader(source)
    if isinstance(root, Fields) and any(key.text == "kind" for key, _ in root.entries):
        reader.problem(
            root.place,
            "this is a Kubernetes manifest, not a mapping",
            "the mapping is the text under its data, mapping.yaml",
        )
        reader.finish()
    fields = reader.fields(root, "the document", DOCUMENT_FIELDS, required=("apiVersion", "name", "labels"))
    if "apiVersion" in fields:
        reader.word(fields["apiVersion"], "apiVersion", (MAPPING_API_VERSION,))
    tables = _read_tables(reader, fields.get("labels"))
    groups = _read_groups(reader, fields.get("groups"), tables)
    mapping = MappingDocument(
        name=_read_name(reader, fields.get("name")),
        owner=_text(reader, fields.get("owner"), "owner"),
        tables=MappingProxyType(tables),
        overrides=_read_overrides(reader, fields.get("overrides"), tables),
        groups=groups,
        tests=_read_tests(reader, fields.get("tests"), tables, groups),
        digest="",
        source=source,
        places=MappingProxyType(_places(root)),
    )
    reader.finish()
    return dataclasses.replace(mapping, digest=digest(mapping))


def _text(reader: Reader, node: Node | None, what: str) -> str:
    return "" if node is None else reader.text(node, what) or ""


def _read_name(reader: Reader, node: Node | None) -> str:
    """The document's name; it becomes part of Kubernetes names."""
    text = None if node is None else reader.text(node, "name", MAX_NAME)
    if node is not None and text is not None and not NAME.fullmatch(text):
        reader.problem(node.place, f"name is {quoted(text)}; it must be lower-case letters, digits and -")
    return text or ""


def _read_tables(reader: Reader, node: Node | None) -> dict[str, LabelTable]:
    tables: dict[str, LabelTable] = {}
    for key, part in () if node is None else reader.entries(node, "labels", MAX_TABLES):
        if not LABEL_KEY.fullmatch(key) or len(key) > MAX_LABEL_KEY:
            reader.problem(
                part.place,
                f"labels: {quoted(key)} can not be the key of a label",
                f"a letter, then letters, digits, - and _, at most {MAX_LABEL_KEY}",
            )
        else:
            tables[key] = read_table(reader, key, part)
    return tables


def _read_labels(reader: Reader, node: Node, what: str, tables: dict[str, LabelTable]) -> MappingProxyType[str, str]:
    """Label key -> value, both known to the tables."""
    labels: dict[str, str] = {}
    for key, part in reader.entries(node, what, MAX_TABLES):
        value = reader.text(part, f"{what}.{key}", MAX_LABEL_VALUE)
        table = tables.get(key)
        if table is None:
            reader.problem(part.place, f"{what}: no table is named {quoted(key)}", did_you_mean(key, tables))
        elif value is not None and value not in table.allowed:
            reader.problem(
                part.place, f"{what}: {quoted(value)} is not a value of {key}", did_you_mean(value, table.allowed)
            )
        elif value is not None:
            labels[key] = value
    return MappingProxyType(labels)


def _read_overrides(reader: Reader, node: Node | None, tables: dict[str, LabelTable]) -> tuple[Override, ...]:
    overrides: list[Override] = []
    first: dict[tuple[str, str], Place] = {}
    for index, part in enumerate(() if node is None else reader.items(node, "overrides", MAX_OVERRIDES)):
        what = f"overrides[{index}]"
        fields = reader.fields(part, what, OVERRIDE_FIELDS, required=OVERRIDE_FIELDS)
        if fields.keys() != set(OVERRIDE_FIELDS):
            continue
        vm_id = _vm_id(reader, fields["vmId"], f"{what}.vmId")
        labels = _read_labels(reader, fields["labels"], f"{what}.labels", tables)
        for key in labels:
            if (vm_id, key) in first:
                reader.problem(
                    part.place,
                    f"{what}: {key} of this VM is overridden twice",
                    f"first in line {first[vm_id, key].line}",
                )
            first[vm_id, key] = part.place
        reason = reader.target(fields["reason"], f"{what}.reason", MAX_TEXT) or ""
        overrides.append(Override(vm_id, labels, reason, _until(reader, fields["until"], f"{what}.until")))
    return tuple(overrides)


def _vm_id(reader: Reader, node: Node, what: str) -> str:
    text = reader.text(node, what) or ""
    if text and not VM_ID.fullmatch(text.lower()):
        reader.problem(
            node.place,
            f"{what} is {quoted(text)}, not a whole vmId",
            "8-4-4-4-12 hex digits, as `az vm show --query vmId` prints",
        )
    return text.lower()


def _until(reader: Reader, node: Node, what: str) -> datetime.datetime:
    """A moment with its zone; the one place where YAML's own dates may stand unquoted."""
    never = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    scalar = reader.scalar(node, what)
    if scalar is None:
        return never
    try:
        if RFC3339.fullmatch(scalar.text):
            moment = datetime.datetime.fromisoformat(scalar.text.upper())
            moment.astimezone(datetime.UTC)  # a moment outside of the calendar's years has no UTC
            return moment
    except (ValueError, OverflowError):
        pass  # told below, like every other text that is no moment
    reader.problem(
        scalar.place,
        f"{what} is {quoted(scalar.text)}, not an RFC 3339 time with a time zone",
        "such as 2027-01-31T00:00:00+11:00",
    )
    return never


def _read_groups(reader: Reader, node: Node | None, tables: dict[str, LabelTable]) -> tuple[Group, ...]:
    groups: dict[str, Group] = {}
    for index, part in enumerate(() if node is None else reader.items(node, "groups", MAX_GROUPS)):
        what = f"groups[{index}]"
        fields = reader.fields(part, what, GROUP_FIELDS, required=("name", "when"))
        if not {"name", "when"} <= fields.keys():
            continue
        name = reader.target(fields["name"], f"{what}.name", MAX_TEXT) or ""
        when = read_when(reader, fields["when"], f"{what}.when", group=True)
        for key in when.labels:
            if key not in tables:
                reader.problem(
                    fields["when"].place,
                    f"{what} asks for the label {quoted(key)}, which has no table",
                    did_you_mean(key, tables),
                )
        if name in groups:
            reader.problem(fields["name"].place, f"two groups are named {quoted(name)}", "put both into one group")
        normalize = read_normalize(reader, fields.get("normalize"), f"{what}.normalize")
        groups[name] = Group(name, when, normalize, _read_scope(reader, fields.get("scope"), f"{what}.scope"))
    return tuple(groups.values())


def _read_scope(reader: Reader, node: Node | None, what: str) -> tuple[str, ...]:
    if node is None:
        return ()
    fields = reader.fields(node, what, ("subscriptions",), required=("subscriptions",))
    if "subscriptions" not in fields:
        return ()
    return reader.texts(fields["subscriptions"], f"{what}.subscriptions", MAX_LISTED)


def _read_tests(
    reader: Reader, node: Node | None, tables: dict[str, LabelTable], groups: tuple[Group, ...]
) -> tuple[Example, ...]:
    tests: list[Example] = []
    for index, part in enumerate(() if node is None else reader.items(node, "tests", MAX_TESTS)):
        what = f"tests[{index}]"
        fields = reader.fields(part, what, TEST_FIELDS, required=("name", "given"))
        if not {"labels", "groups", "holds"} & fields.keys():
            reader.problem(part.place, f"{what} expects nothing", "say labels, groups or holds")
        subject, current = _read_given(reader, fields.get("given"), f"{what}.given", tables)
        labels = _read_labels(reader, fields["labels"], f"{what}.labels", tables) if "labels" in fields else {}
        names = tuple(group.name for group in groups)
        tests.append(
            Example(
                _text(reader, fields.get("name"), f"{what}.name"),
                subject,
                current,
                labels,
                _read_known(reader, fields.get("groups"), f"{what}.groups", names),
                _read_known(reader, fields.get("holds"), f"{what}.holds", tuple(tables)),
            )
        )
    return tuple(tests)


def _read_known(reader: Reader, node: Node | None, what: str, allowed: tuple[str, ...]) -> tuple[str, ...] | None:
    """A list, perhaps empty, of names that the document defines."""
    if node is None:
        return None
    texts = reader.texts(node, what, max(MAX_GROUPS, MAX_TABLES), empty=True)
    names = frozenset(allowed)
    for name in texts:
        if name not in names:
            reader.problem(node.place, f"{what}: nothing here is named {quoted(name)}", did_you_mean(name, allowed))
    return texts


def _read_given(
    reader: Reader, node: Node | None, what: str, tables: dict[str, LabelTable]
) -> tuple[Subject, MappingProxyType[str, str]]:
    """The host of a test, a field that is left out being empty, and the labels that it has in the PCE."""
    fields = {} if node is None else reader.fields(node, what, GIVEN_FIELDS)
    name, location, resource_group, subscription, system, vm_id = (
        _text(reader, fields.get(field), f"{what}.{field}") for field in GIVEN_TEXTS
    )
    pairs = reader.entries(fields["tags"], f"{what}.tags", MAX_LISTED) if "tags" in fields else []
    tags = tuple((key, _text(reader, part, f"{what}.tags.{key}")) for key, part in pairs)
    labels = reader.entries(fields["labels"], f"{what}.labels", MAX_TABLES) if "labels" in fields else []
    current = {key: _text(reader, part, f"{what}.labels.{key}") for key, part in labels}
    for key, part in labels:
        if key not in tables:
            reader.problem(part.place, f"{what}.labels: no table is named {quoted(key)}", did_you_mean(key, tables))
    subject = Subject(name, location, resource_group, subscription, system, tags, vm_id)
    return subject, MappingProxyType(current)


def _places(root: Node) -> dict[tuple[str | int, ...], Place]:
    """Every part's place, by path: of a text its own, of a list or fields that of the key before it."""
    places: dict[tuple[str | int, ...], Place] = {(): root.place}
    waiting: list[tuple[tuple[str | int, ...], Node]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, Fields):
            for key, value in node.entries:
                places[(*path, key.text)] = value.place if isinstance(value, Scalar) else key.place
                waiting.append(((*path, key.text), value))
        elif isinstance(node, Items):
            for index, value in enumerate(node.items):
                places[(*path, index)] = value.place
                waiting.append(((*path, index), value))
    return places
