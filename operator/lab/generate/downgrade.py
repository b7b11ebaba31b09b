"""The page of what an older version does not know, from its definitions (`older/`) and the model of today."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.generate.markdown import document, table
from microseg.kube import schema

COMMIT = "a106b6a"
"""The oldest version whose state is taken over, and the one that a person may go back to."""
_LIMITS = ("maxItems", "maxLength", "maximum")
Definition = dict[str, Any]


def older() -> dict[str, Definition]:
    """Plural -> the CustomResourceDefinition of that commit, without its descriptions."""
    text = (Path(__file__).parent / "older" / f"{COMMIT}.json").read_text(encoding="utf-8")
    found: dict[str, Definition] = json.loads(text)
    return found


def page() -> str:
    """What is lost on the way back."""
    parts = []
    for crd in schema.crds().values():
        kind, plural = crd["spec"]["names"]["kind"], crd["spec"]["names"]["plural"]
        if plural not in older():
            parts += [f"## {kind}", "It does not know this kind. The objects stay, and it does not look at them."]
            continue
        before, now = (fields(each) for each in (older()[plural], crd))
        new = [(f"`{path}`", str(now[path].get("description", ""))) for path in unknown(before, now)]
        parts += [f"## {kind}", table(("Field that it does not know", "Meaning"), new)]
        if narrower := list(_narrower(before, now)):
            parts += [f"What it cannot hold, so that it leaves such a {kind} alone:", "\n".join(narrower)]
    return document(
        f"What version {COMMIT} does not know",
        f"What is lost by [going back](../install.md#to-go-back) to the version of commit {COMMIT}, the oldest one "
        "whose state is taken over. `tests/charts/test_downgrade.py` proves it on a real API server.",
        *parts,
    )


def fields(crd: Definition) -> dict[str, Definition]:
    """Path, such as `spec.azure.sources[].name` -> its schema; of the one version."""
    (version,) = crd["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    return {path: each for part in ("spec", "status") for path, each in _below(properties[part], part)}


def unknown(before: dict[str, Definition], now: dict[str, Definition]) -> list[str]:
    """The fields that only `now` has, without those inside of them."""
    new = [path for path in now if path not in before]
    return [path for path in new if not any(path.startswith((f"{each}.", f"{each}[")) for each in new)]


def _below(part: Definition, path: str) -> Iterator[tuple[str, Definition]]:
    yield path, part
    inner = part["items"] if part.get("type") == "array" else part
    below = f"{path}[]" if inner is not part else path
    for name, field in inner.get("properties", {}).items():
        yield from _below(field, f"{below}.{name}")


def _narrower(before: dict[str, Definition], now: dict[str, Definition]) -> Iterator[str]:
    for path in (each for each in now if each in before and each.startswith("status")):
        if words := sorted({*now[path].get("enum", ())} - {*before[path].get("enum", ())}):
            yield f"- `{path}`: {', '.join(f'`{word}`' for word in words)}"
        for limit in _LIMITS:
            most = before[path].get(limit)
            if most is not None and now[path].get(limit, most + 1) > most:
                yield f"- `{path}`: more than {most}{' items' if limit == 'maxItems' else ''}"
