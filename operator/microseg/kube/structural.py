"""From the model's types to structural OpenAPI v3 schemas, as CustomResourceDefinitions need them.

`kube.schema` calls it. A string, list or map without a limit is an error here, long before an API server refuses a CEL
rule for its cost, or a status grows without bound.
Structural schemas: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import msgspec.inspect

from microseg.model.condition import Condition

Schema = dict[str, Any]

_DATE_TIME = 64
"""Characters of a date-time at most; the format allows any number of decimals."""
_CHOICE = re.compile(r"\^\(([A-Za-z0-9_|-]+)\)\$")


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule, and the message for a person who breaks it."""

    expression: str
    message: str


Rules = Mapping[tuple[type, str], tuple[Rule, ...]]
"""By the struct and its field as named in YAML; an empty name: the struct as a whole."""


class Unbounded(TypeError):
    """The model has a string, list or map without a limit."""


class Structural:
    """Builds schemas. `defaults`: whether the model's defaults become the schema's, as for a spec that people write."""

    def __init__(self, rules: Rules, *, defaults: bool = False) -> None:
        """`rules`: the CEL rules."""
        self._rules = rules
        self._defaults = defaults

    def of(self, kind: msgspec.inspect.Type, where: str) -> Schema:
        """The schema of one type; `where`: its path, for error messages. Raises Unbounded."""
        match kind:
            case msgspec.inspect.Metadata():
                schema = self.of(kind.type, where) | (kind.extra_json_schema or {})
                return {"description": schema.pop("description"), **schema} if "description" in schema else schema
            case msgspec.inspect.UnionType():
                return self.of(_only(kind, where), where)
            case msgspec.inspect.StructType():
                return self._struct(kind, where)
            case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
                return self._list(kind, where)
            case msgspec.inspect.DictType():
                limit = _limited(kind.max_length, where)
                values = self.of(kind.value_type, f"{where}[*]")
                return {"type": "object", "maxProperties": limit, "additionalProperties": values}
            case _:
                return _scalar(kind, where)

    def _struct(self, kind: msgspec.inspect.StructType, where: str) -> Schema:
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

    def _list(self, kind: msgspec.inspect.VarTupleType | msgspec.inspect.ListType, where: str) -> Schema:
        limits: Schema = {"maxItems": _limited(kind.max_length, where)}
        if kind.min_length:
            limits["minItems"] = kind.min_length
        by_type = isinstance(kind.item_type, msgspec.inspect.StructType) and kind.item_type.cls is Condition
        behaviour = {"x-kubernetes-list-type": "atomic"}
        if by_type:
            behaviour = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}  # type: ignore[dict-item]
        return {"type": "array", **limits, **behaviour, "items": self.of(kind.item_type, f"{where}[*]")}

    def _validations(self, owner: type, field: str) -> Schema:
        rules = self._rules.get((owner, field), ())
        validations = [{"rule": rule.expression, "message": rule.message} for rule in rules]
        return {"x-kubernetes-validations": validations} if validations else {}


def _scalar(kind: msgspec.inspect.Type, where: str) -> Schema:
    match kind:
        case msgspec.inspect.StrType():
            return _text(kind, where)
        case msgspec.inspect.IntType():
            bounds = {"minimum": kind.ge, "maximum": kind.le}
            limits = {key: value for key, value in bounds.items() if value is not None}
            return {"type": "integer", "format": "int64", **limits}
        case msgspec.inspect.BoolType():
            return {"type": "boolean"}
        case msgspec.inspect.DateTimeType():
            return {"type": "string", "format": "date-time", "maxLength": _DATE_TIME}
        case msgspec.inspect.EnumType():
            return {"type": "string", "enum": [member.value for member in kind.cls]}
        case _:
            raise TypeError(f"{where}: {type(kind).__name__} has no structural schema here")


def _text(kind: msgspec.inspect.StrType, where: str) -> Schema:
    # A pattern of alternatives becomes an enum: `kubectl explain` shows it, and the error for a typo lists the words.
    if kind.pattern and (choice := _CHOICE.fullmatch(kind.pattern)):
        return {"type": "string", "enum": choice[1].split("|")}
    schema: Schema = {"type": "string", "maxLength": _limited(kind.max_length, where)}
    if kind.min_length:
        schema["minLength"] = kind.min_length
    if kind.pattern:
        schema["pattern"] = kind.pattern
    return schema


def _only(kind: msgspec.inspect.UnionType, where: str) -> msgspec.inspect.Type:
    """The one type besides None, which is an absent field: no field is nullable, because no null is ever written."""
    others = [one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)]
    if len(others) != 1:
        raise TypeError(f"{where}: a union of {len(others)} types has no structural schema")
    return others[0]


def _limited(limit: int | None, where: str) -> int:
    if limit is None:
        raise Unbounded(f"{where} has no limit; give it one in the model (Meta(max_length=...))")
    return limit


def _default(field: msgspec.inspect.Field, schema: Schema) -> Any:
    """The default in the schema: a scalar that is not empty, or {} if a field inside has a default."""
    value = field.default
    if isinstance(value, msgspec.Struct):
        inner = any("default" in part for part in schema["properties"].values())
        return {} if inner and not schema.get("required") else None
    if value is msgspec.NODEFAULT or value is None or value in ("", ()):
        return None
    return value


def _first_paragraph(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
