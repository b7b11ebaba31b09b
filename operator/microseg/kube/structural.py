"""From the model's types to structural OpenAPI v3 schemas, as CustomResourceDefinitions want them.

`kube.schema` calls it. It refuses what has no limit: a string, list or map without one is an error here, long before an
API server refuses a CEL rule for its cost or a status grows without end.
Structural schemas: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect as types

from microseg.model.condition import Condition

Schema = dict[str, Any]

_DATE_TIME = 64
"""Characters that a date-time may have; the format allows any number of decimals."""
_CHOICE = re.compile(r"\^\(([A-Za-z0-9_|-]+)\)\$")


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule and the sentence that a person gets who breaks it."""

    expression: str
    message: str


Rules = Mapping[tuple[type, str], tuple[Rule, ...]]
"""Keyed by the struct and its field as YAML names it; an empty name: the struct as a whole."""


class Unbounded(TypeError):
    """The model has a string, list or map without a limit."""


class Structural:
    """Makes schemas. `defaults`: whether the model's defaults become the schema's (for a spec that people write)."""

    def __init__(self, rules: Rules, *, defaults: bool = False) -> None:
        """Take the CEL rules and the choice."""
        self._rules = rules
        self._defaults = defaults

    def of(self, kind: types.Type, where: str) -> Schema:
        """Schema of one type; `where` is its path, for complaints. Raises Unbounded."""
        match kind:
            case types.Metadata():
                schema = self.of(kind.type, where) | (kind.extra_json_schema or {})
                return {"description": schema.pop("description"), **schema} if "description" in schema else schema
            case types.UnionType():
                return self.of(_only(kind, where), where)
            case types.StructType():
                return self._struct(kind, where)
            case types.VarTupleType() | types.ListType():
                return self._list(kind, where)
            case types.DictType():
                limit = _limited(kind.max_length, where)
                values = self.of(kind.value_type, f"{where}[*]")
                return {"type": "object", "maxProperties": limit, "additionalProperties": values}
            case _:
                return _scalar(kind, where)

    def _struct(self, kind: types.StructType, where: str) -> Schema:
        properties: Schema = {}
        for field in kind.fields:
            schema = self.of(field.type, f"{where}.{field.encode_name}")
            schema |= self._validations(kind.cls, field.encode_name)
            if self._defaults and (default := _default(field, schema)) is not None:
                schema["default"] = default
            properties[field.encode_name] = schema
        required = [field.encode_name for field in kind.fields if field.required]
        return {
            "description": _first_paragraph(kind.cls),
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
            **self._validations(kind.cls, ""),
        }

    def _list(self, kind: types.VarTupleType | types.ListType, where: str) -> Schema:
        limits: Schema = {"maxItems": _limited(kind.max_length, where)}
        if kind.min_length:
            limits["minItems"] = kind.min_length
        by_type = isinstance(kind.item_type, types.StructType) and kind.item_type.cls is Condition
        behaviour = {"x-kubernetes-list-type": "atomic"}
        if by_type:
            behaviour = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}  # type: ignore[dict-item]
        return {"type": "array", **limits, **behaviour, "items": self.of(kind.item_type, f"{where}[*]")}

    def _validations(self, owner: type, field: str) -> Schema:
        rules = self._rules.get((owner, field), ())
        written = [{"rule": rule.expression, "message": rule.message} for rule in rules]
        return {"x-kubernetes-validations": written} if written else {}


def _scalar(kind: types.Type, where: str) -> Schema:
    match kind:
        case types.StrType():
            return _text(kind, where)
        case types.IntType():
            bounds = {"minimum": kind.ge, "maximum": kind.le}
            given = {key: value for key, value in bounds.items() if value is not None}
            return {"type": "integer", "format": "int64", **given}
        case types.BoolType():
            return {"type": "boolean"}
        case types.DateTimeType():
            return {"type": "string", "format": "date-time", "maxLength": _DATE_TIME}
        case types.EnumType():
            return {"type": "string", "enum": [member.value for member in kind.cls]}
        case _:
            raise TypeError(f"{where}: {type(kind).__name__} has no structural schema here")


def _text(kind: types.StrType, where: str) -> Schema:
    # A pattern that lists words is an enum: `kubectl explain` shows it, and a typo is answered with the words.
    if kind.pattern and (choice := _CHOICE.fullmatch(kind.pattern)):
        return {"type": "string", "enum": choice[1].split("|")}
    schema: Schema = {"type": "string", "maxLength": _limited(kind.max_length, where)}
    if kind.min_length:
        schema["minLength"] = kind.min_length
    if kind.pattern:
        schema["pattern"] = kind.pattern
    return schema


def _only(kind: types.UnionType, where: str) -> types.Type:
    """The one type beside None. Absence says None: no field is nullable, since no null is ever written."""
    others = [one for one in kind.types if not isinstance(one, types.NoneType)]
    if len(others) != 1:
        raise TypeError(f"{where}: a union of {len(others)} types has no structural schema")
    return others[0]


def _limited(limit: int | None, where: str) -> int:
    if limit is None:
        raise Unbounded(f"{where} has no limit; give it one in the model (Meta(max_length=...))")
    return limit


def _default(field: types.Field, schema: Schema) -> Any:
    """The default to write: a scalar that says something, or {} where something inside has one."""
    value = field.default
    if isinstance(value, msgspec.Struct):
        inner = any("default" in part for part in schema["properties"].values())
        return {} if inner and not schema.get("required") else None
    if value is msgspec.NODEFAULT or value is None or value in ("", ()):
        return None
    return value


def _first_paragraph(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
