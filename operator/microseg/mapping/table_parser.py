"""Reads one label table and the conditions in it; called by `parser`.

Everything that would make a table ambiguous is refused here, so that evaluation never has to choose: two synonyms
or two targets that are the same text after `normalize`, two cases with one name, a default that is asked for but
not there.
"""

from __future__ import annotations

from types import MappingProxyType

from .decoding import Reader
from .document import AcceptedValues, Case, LabelTable, Normal, OnMiss, Place, When
from .limits import MAX_CASES, MAX_FROM_TAG, MAX_LABEL_VALUE, MAX_LISTED, MAX_VALUES
from .matching import FIELDS, GLOB_FIELDS, PRESENT, fold, is_glob, normalizer
from .wording import did_you_mean, quoted
from .yaml_tree import Fields, Items, Node, Scalar

TABLE_FIELDS = ("fromTag", "normalize", "values", "oneOf", "cases", "default", "onMiss")
CASE_FIELDS = ("name", "when", "value")
WHEN_FIELDS = ("tags", "notTags", *FIELDS)
GROUP_WHEN_FIELDS = (*WHEN_FIELDS, "labels")
SYSTEMS = ("linux", "windows")


def read_table(reader: Reader, key: str, node: Node) -> LabelTable:
    """The table of the label `key`; after a problem, something harmless."""
    what = f"labels.{key}"
    fields = reader.fields(node, what, TABLE_FIELDS)
    default = _optional_target(reader, fields.get("default"), f"{what}.default")
    table = LabelTable(
        key=key,
        from_tag=reader.texts(fields["fromTag"], f"{what}.fromTag", MAX_FROM_TAG) if "fromTag" in fields else (),
        normalize=read_normalize(reader, fields.get("normalize"), f"{what}.normalize"),
        values=_read_values(reader, fields.get("values"), f"{what}.values"),
        one_of=_read_one_of(reader, fields.get("oneOf"), f"{what}.oneOf"),
        cases=_read_cases(reader, key, fields.get("cases"), f"{what}.cases"),
        default=default,
        on_miss=_read_on_miss(reader, fields, what),
    )
    if isinstance(node, Fields):
        _refuse_incomplete(reader, table, fields, node.place)
        _refuse_ambiguous(reader, table, fields)
    return table


def read_normalize(reader: Reader, node: Node | None, what: str) -> tuple[Normal, ...]:
    """`normalize: [trim, lower]`."""
    if node is None:
        return ()
    words = [reader.word(part, what, tuple(Normal)) for part in reader.items(node, what, len(Normal))]
    return tuple(dict.fromkeys(Normal(word) for word in words if word is not None))


def read_when(reader: Reader, node: Node, what: str, *, group: bool = False) -> When:
    """A condition. An empty one would match every host, so it is refused."""
    if isinstance(node, Fields) and not node.entries:
        reader.problem(node.place, f"{what} asks nothing, so it would match every host")
    if not group and isinstance(node, Fields):
        node = _without_labels(reader, node, what)
    parts = reader.fields(node, what, GROUP_WHEN_FIELDS if group else WHEN_FIELDS)
    fields = {
        attribute: _read_field(reader, parts[name], f"{what}.{name}", name)
        for name, attribute in FIELDS.items()
        if name in parts
    }
    return When(
        tags=_read_accepted_values(reader, parts.get("tags"), f"{what}.tags", tags=True),
        not_tags=_read_accepted_values(reader, parts.get("notTags"), f"{what}.notTags", tags=True),
        labels=_read_accepted_values(reader, parts.get("labels"), f"{what}.labels", tags=False),
        **fields,
    )


def _without_labels(reader: Reader, node: Fields, what: str) -> Fields:
    for key, _ in node.entries:
        if key.text == "labels":
            reader.problem(key.place, f"{what}: a label table may not ask for labels", "only groups may")
    return Fields(tuple(entry for entry in node.entries if entry[0].text != "labels"), node.place)


def _read_accepted_values(reader: Reader, node: Node | None, what: str, *, tags: bool) -> AcceptedValues:
    """`tags`, `notTags` or `labels` of a condition: key -> values."""
    if node is None:
        return MappingProxyType({})
    if isinstance(node, Fields) and not node.entries:
        reader.problem(node.place, f"{what} asks nothing", "leave it out")
    values: dict[str, tuple[str, ...]] = {}
    spelled: dict[str, str] = {}
    for key, part in reader.entries(node, what, MAX_LISTED):
        other = spelled.setdefault(fold(key) if tags else key, key)
        if other != key:
            reader.problem(
                part.place,
                f"{what} asks for {quoted(other)} and {quoted(key)}: tag keys ignore case, so they are one tag",
                "put the values in one list",
            )
        values[key] = _read_listed(reader, part, f"{what}.{key}")
    return MappingProxyType(values)


def _read_field(reader: Reader, node: Node, what: str, name: str) -> tuple[str, ...]:
    values = _read_listed(reader, node, what)
    parts = dict(zip(values, getattr(node, "items", ()), strict=False))
    for text in values if values != PRESENT else ():
        place = parts[text].place
        if name == "os" and fold(text) not in SYSTEMS:
            reader.problem(place, f"{what}: no such system as {quoted(text)}", did_you_mean(text, SYSTEMS))
        elif name == "location" and " " in text:
            reader.problem(
                place,
                f"{what}: Azure writes locations without blanks",
                f"did you mean {text.replace(' ', '').lower()!r}?",
            )
        elif name not in GLOB_FIELDS and is_glob(text):
            reader.problem(
                place,
                f"{what}: patterns work only in name and resourceGroup",
                f"{quoted(text)} would be compared as written",
            )
    return values


def _read_listed(reader: Reader, node: Node, what: str) -> tuple[str, ...]:
    """The values of one part of a condition: any of them, or `["*"]` for present."""
    texts = reader.texts(node, what, MAX_LISTED)
    if "*" in texts and len(texts) > 1:
        reader.problem(node.place, f'{what}: "*" means present, whatever the value', 'leave out the rest: ["*"]')
    return texts


def _read_values(reader: Reader, node: Node | None, what: str) -> MappingProxyType[str, str]:
    pairs = [] if node is None else reader.entries(node, what, MAX_VALUES)
    read = {key: reader.target(part, f"{what}.{key}", MAX_LABEL_VALUE) for key, part in pairs}
    return MappingProxyType({key: value for key, value in read.items() if value is not None})


def _read_one_of(reader: Reader, node: Node | None, what: str) -> tuple[str, ...]:
    if node is None:
        return ()
    for part in reader.items(node, what, MAX_VALUES):
        reader.target(part, what, MAX_LABEL_VALUE)
    return reader.texts(node, what, MAX_VALUES)


def _read_cases(reader: Reader, key: str, node: Node | None, what: str) -> tuple[Case, ...]:
    cases: list[Case] = []
    first: dict[str, Place] = {}
    for index, part in enumerate(() if node is None else reader.items(node, what, MAX_CASES)):
        where = f"{what}[{index}]"
        fields = reader.fields(part, where, CASE_FIELDS, required=("when", "value"))
        name = _optional_target(reader, fields.get("name"), f"{where}.name") or f"{key}#{index + 1}"
        if name in first:
            reader.problem(
                part.place, f"{what}: two cases are named {quoted(name)}", f"first in line {first[name].line}"
            )
        first.setdefault(name, part.place)
        value = _optional_target(reader, fields.get("value"), f"{where}.value")
        if "when" in fields:
            cases.append(Case(name, read_when(reader, fields["when"], f"{where}.when"), value or ""))
    return tuple(cases)


def _read_on_miss(reader: Reader, fields: dict[str, Node], what: str) -> OnMiss:
    """As written; else `default` where there is a default, and `hold` where there is none."""
    if "onMiss" not in fields:
        return OnMiss.DEFAULT if "default" in fields else OnMiss.HOLD
    word = reader.word(fields["onMiss"], f"{what}.onMiss", tuple(OnMiss))
    if word == OnMiss.DEFAULT and "default" not in fields:
        reader.problem(fields["onMiss"].place, f"{what}: onMiss is default, but there is no default")
    return OnMiss(word or OnMiss.HOLD)


def _optional_target(reader: Reader, node: Node | None, what: str) -> str | None:
    return None if node is None else reader.target(node, what, MAX_LABEL_VALUE)


def _refuse_incomplete(reader: Reader, table: LabelTable, fields: dict[str, Node], place: Place) -> None:
    what = f"labels.{table.key}"
    if not {"fromTag", "cases", "default"} & fields.keys():
        reader.problem(place, f"{what} has no rule", "give it fromTag, cases or default")
    elif "values" in fields and "fromTag" not in fields:
        reader.problem(fields["values"].place, f"{what}: values translate a tag, but no fromTag is named")
    elif not {"values", "oneOf", "cases", "default"} & fields.keys():
        reader.problem(
            fields["fromTag"].place, f"{what} names no label value", "list the known ones in oneOf or values"
        )
    spelled: dict[str, str] = {}
    for key in table.from_tag:
        other = spelled.setdefault(fold(key), key)
        if other != key:
            reader.problem(
                fields["fromTag"].place,
                f"{what}.fromTag names {quoted(other)} and {quoted(key)}: tag keys ignore case, so they are one tag",
                "one of them is enough",
            )


def _refuse_ambiguous(reader: Reader, table: LabelTable, fields: dict[str, Node]) -> None:
    """Two texts that `normalize` makes one, with different answers."""
    if not table.from_tag:
        return
    spell = normalizer(table.normalize)
    what = f"labels.{table.key}"
    written: dict[str, str] = {}
    for key, value in table.values.items():
        other = written.setdefault(spell(key), key)
        if table.values[other] != value:
            reader.problem(
                _key_place(fields["values"], key),
                f"{what}.values: {quoted(other)} and {quoted(key)} are the same after normalize, "
                "but have different labels",
            )
    spelled: dict[str, str] = {}
    for value in table.allowed:
        other = spelled.setdefault(spell(value), value)
        if other != value and spell(value) not in written:
            places = [place for part in fields.values() if (place := _text_place(part, value)) is not None]
            reader.problem(
                places[0],
                f"{what}: the labels {quoted(other)} and {quoted(value)} are the same after normalize",
                "keep one spelling",
            )


def _text_place(node: Node, text: str) -> Place | None:
    """Where `text` stands as a value, anywhere under `node`."""
    if isinstance(node, Scalar):
        return node.place if node.text == text else None
    parts = node.items if isinstance(node, Items) else tuple(part for _, part in node.entries)
    return next((place for part in parts if (place := _text_place(part, text))), None)


def _key_place(node: Node, key: str) -> Place:
    keys: list[Scalar] = [entry for entry, _ in node.entries] if isinstance(node, Fields) else []
    return next((entry.place for entry in keys if entry.text == key), node.place)
