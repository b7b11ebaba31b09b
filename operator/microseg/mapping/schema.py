"""The JSON Schema of a mapping, for editors; generated into the tree and compared in CI.

It helps while typing and is never the judge: `parser` refuses more than a schema can say.
"""

from __future__ import annotations

from microseg.model.names import MAPPING_API_VERSION

from .document import Normal, OnMiss
from .limits import (
    MAX_CASES,
    MAX_FROM_TAG,
    MAX_GROUPS,
    MAX_LABEL_KEY,
    MAX_LABEL_VALUE,
    MAX_LISTED,
    MAX_NAME,
    MAX_OVERRIDES,
    MAX_TABLES,
    MAX_TESTS,
    MAX_TEXT,
    MAX_VALUES,
)
from .parser import GIVEN_TEXTS, LABEL_KEY, NAME
from .table_parser import SYSTEMS

Schema = dict[str, object]

_TEXT: Schema = {"type": "string", "maxLength": MAX_TEXT}
_TARGET: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_LABEL_VALUE}


def json_schema() -> Schema:
    """The schema as JSON-ready data (draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://{MAPPING_API_VERSION}/schema.json",
        "title": "microseg mapping",
        **_fields(
            "Tags of a VM to Illumio labels and Check Point groups.",
            {
                "apiVersion": {"const": MAPPING_API_VERSION},
                "name": {
                    **_described("The mapping's identity, named by Estates."),
                    "type": "string",
                    "pattern": f"^{NAME.pattern}$",
                    "maxLength": MAX_NAME,
                },
                "owner": {**_TEXT, **_described("Who answers for it; shown with every answer.")},
                "labels": _map(
                    _table(),
                    MAX_TABLES,
                    "One table for each label key that this mapping owns.",
                    keys={"pattern": f"^{LABEL_KEY.pattern}$", "maxLength": MAX_LABEL_KEY},
                ),
                "overrides": _list(_override(), MAX_OVERRIDES, "Exceptions for single VMs, each with an end."),
                "groups": _list(_group(), MAX_GROUPS, "One question for each Check Point group."),
                "tests": _list(_test(), MAX_TESTS, "Hosts and what they must get."),
            },
            ("apiVersion", "name", "labels"),
        ),
    }


def _described(text: str) -> Schema:
    return {"description": text}


def _fields(description: str, properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    schema: Schema = {
        **_described(description),
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    return {**schema, "required": list(required)} if required else schema


def _map(value: Schema, most: int, description: str, keys: Schema | None = None) -> Schema:
    schema: Schema = {**_described(description), "type": "object", "maxProperties": most, "additionalProperties": value}
    return schema if keys is None else {**schema, "propertyNames": keys}


def _list(items: Schema, most: int, description: str, least: int = 0) -> Schema:
    return {**_described(description), "type": "array", "minItems": least, "maxItems": most, "items": items}


def _texts(description: str, most: int = MAX_LISTED, items: Schema = _TEXT) -> Schema:
    return {**_list(items, most, description, least=1), "uniqueItems": True}


def _normalize() -> Schema:
    return _texts(
        "How tag values are spelled before they are compared.", len(Normal), {"enum": [str(way) for way in Normal]}
    )


def _table() -> Schema:
    return _fields(
        "How one label is decided: cases in order, then the tag, then onMiss.",
        {
            "fromTag": _texts("Tags to read; the first that the VM has counts.", MAX_FROM_TAG),
            "normalize": _normalize(),
            "values": _map(_TARGET, MAX_VALUES, "Synonyms: a tag's value to a label's value."),
            "oneOf": _texts("The known values of this label.", MAX_VALUES, _TARGET),
            "cases": _list(_case(), MAX_CASES, "The first case that holds wins."),
            "default": {**_TARGET, **_described("The label's value on a miss, with onMiss: default.")},
            "onMiss": {
                **_described("What happens to a host that no rule knows."),
                "enum": [str(word) for word in OnMiss],
            },
        },
    )


def _case() -> Schema:
    return _fields(
        "A condition and a value.", {"name": _TARGET, "when": _when(group=False), "value": _TARGET}, ("when", "value")
    )


def _when(*, group: bool) -> Schema:
    texts = _texts('Any of these values; ["*"] means present.')
    parts: Schema = {
        "tags": _map(texts, MAX_LISTED, "Tags that the VM must have."),
        "notTags": _map(texts, MAX_LISTED, "Tags that the VM must not have."),
        "name": _texts("Names or patterns with * and ?."),
        "location": _texts("Azure locations, such as australiaeast."),
        "resourceGroup": _texts("Resource groups or patterns with * and ?."),
        "subscription": _texts("Subscription ids."),
        "os": _texts("Operating systems.", items={"enum": [*SYSTEMS, "*"]}),
    }
    if group:
        parts["labels"] = _map(texts, MAX_LISTED, "Labels that the host must have, as just decided.")
    return {**_fields("All parts must hold; in a part, any value.", parts), "minProperties": 1}


def _override() -> Schema:
    until: Schema = {
        **_described("When it ends: an RFC 3339 time with a time zone."),
        "type": "string",
        "format": "date-time",
    }
    labels = _map(_TARGET, MAX_TABLES, "Label key to value.")
    names = ("vmId", "labels", "reason", "until")
    return _fields(
        "An exception for one VM.",
        {"vmId": {"type": "string", "format": "uuid"}, "labels": labels, "reason": _TARGET, "until": until},
        names,
    )


def _group() -> Schema:
    scope = _fields(
        "Where the question is asked at all.", {"subscriptions": _texts("Subscription ids.")}, ("subscriptions",)
    )
    return _fields(
        "Every host for which the answer is yes joins.",
        {"name": _TARGET, "when": _when(group=True), "normalize": _normalize(), "scope": scope},
        ("name", "when"),
    )


def _test() -> Schema:
    subject = _fields(
        "The host; a field that is left out is empty.",
        {
            **dict.fromkeys(GIVEN_TEXTS, _TEXT),
            "tags": _map(_TEXT, MAX_LISTED, "The VM's tags."),
            "labels": _map(_TEXT, MAX_TABLES, "The labels that the workload has in the PCE."),
        },
    )
    return _fields(
        "A host and what it must get.",
        {
            "name": _TEXT,
            "given": subject,
            "labels": _map(_TARGET, MAX_TABLES, "Expected labels; others are not checked."),
            "groups": _list(_TEXT, MAX_GROUPS, "All the groups that it must be in."),
            "holds": _list(_TEXT, MAX_TABLES, "The labels that no rule knows, and so wait for a person."),
        },
        ("name", "given"),
    )
