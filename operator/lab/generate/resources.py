"""The pages of the custom resources, from the CRDs that `crds/` has; and the annotations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.generate.markdown import document, table
from microseg.kube import schema
from microseg.model.names import Annotation


def page(plural: str) -> str:
    """The fields of one resource."""
    crd = next(each for each in schema.crds().values() if each["spec"]["names"]["plural"] == plural)
    names = crd["spec"]["names"]
    version = crd["spec"]["versions"][0]
    api_version = f"{crd['spec']['group']}/{version['name']}"
    short = ", ".join(names["shortNames"])
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    columns = [(one["name"], f"`{one['jsonPath']}`") for one in version["additionalPrinterColumns"]]
    selectable = ", ".join(f"`{one['jsonPath'].lstrip('.')}`" for one in version.get("selectableFields", ()))
    return document(
        names["kind"],
        f"`{api_version}`, namespaced, short name `{short}`. "
        f"`kubectl explain {names['singular']}.spec` and `.status` tell the same.",
        *_section("spec", properties),
        *_section("status", properties),
        "## Columns of kubectl get",
        table(("Column", "Field"), columns),
        f"Fields for `--field-selector`: {selectable}." if selectable else "",
    )


def written_by_people() -> str:
    """What people may write on objects."""
    rows = [(f"`{one.value}`", one.kind, f"`{one.value_form}`", one.meaning) for one in Annotation]
    return document(
        "Annotations and labels that people write",
        "An annotation that the operator does not know, or a value that it cannot read, does nothing.",
        table(("Name", "On", "Value", "What it does"), rows),
    )


def _section(name: str, properties: dict[str, Any]) -> tuple[str, str]:
    """Heading and table of `spec` or `status`."""
    rows = list(_rows(properties[name], ""))
    return f"## {name}", table(("Field", "Type", "Meaning"), rows)


def _rows(part: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    """Every field below, depth first."""
    required = set(part.get("required", ()))
    for name, field in part.get("properties", {}).items():
        inner = field["items"] if field.get("type") == "array" else field
        below = f"{path}{name}{'[]' if inner is not field else ''}"
        yield f"`{path}{name}`", _type(field), _meaning(field, required=name in required)
        yield from _rows(inner, f"{below}.")


def _type(field: dict[str, Any]) -> str:
    """The type in a word or two, with an enum's words."""
    kind = str(field["type"])
    if kind == "array":
        return f"list of {_type(field['items'])}"
    if kind == "object" and "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    if "enum" in field:
        words = [str(word) for word in field["enum"]]
        return " / ".join(words) if len(words) <= 5 else "one of a closed list"
    return str(field.get("format", kind)) if field.get("format") == "date-time" else kind


def _meaning(field: dict[str, Any], *, required: bool) -> str:
    """Description, default, limits and rules."""
    sentences = [str(field.get("description", "")).strip()]
    if required:
        sentences.append("Required.")
    if isinstance(default := field.get("default"), str | int) and default is not False:
        sentences.append(f"Default `{str(default).lower() if isinstance(default, bool) else default}`.")
    limits = [f"{word} {field[key]}" for key, word in (("minimum", "at least"), ("maximum", "at most")) if key in field]
    if limits:
        sentences.append(f"{' and '.join(limits).capitalize()}.")
    sentences += [
        f"{rule['message'][:1].upper()}{rule['message'][1:]}." for rule in field.get("x-kubernetes-validations", ())
    ]
    return " ".join(part for part in sentences if part)
