"""What `microseg doctor` says of the mapping: whether it would be accepted, and which of its names do not exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from microseg.cli.findings import Finding, bad, doubt, good
from microseg.engine.mapping.revisions import Candidate, judge
from microseg.kube.secrets import ConfigMapData
from microseg.mapping import MappingDocument
from microseg.model.condition import Reason
from microseg.model.estate import Estate
from microseg.model.illumio_facts import Label
from microseg.model.spelling import fold
from microseg.planning.fitness import allowed_in

_SHOWN = 8


def config_map(document: Mapping[str, Any]) -> ConfigMapData:
    """A ConfigMap's JSON object as the engine takes it."""
    metadata, data = document.get("metadata") or {}, document.get("data") or {}
    return ConfigMapData(str(metadata.get("name", "")), "", "", "", {key: str(text) for key, text in data.items()}, {})


def judged(estate: Estate, live: Sequence[ConfigMapData]) -> tuple[MappingDocument | None, Finding]:
    """The document that would be in force, and what is to be said of it."""
    reference = estate.spec.mapping
    verdict = judge(reference, live, allowed_in(estate.spec))
    if isinstance(verdict, Candidate):
        document = verdict.document
        text = f"{document.name} in {verdict.source.name} would be accepted as {document.shown}"
        return document, good("mapping", "document", text)
    message = verdict.valid.message.rstrip(".")
    if verdict.valid.reason == Reason.MAPPING_MISSING:
        fix = "add its file with -f, or write the ConfigMap: no host gets labels or groups without it"
        return None, doubt("mapping", "document", message, fix)
    return None, bad("mapping", "document", message, "correct it; `microseg validate FILE` says the same")


def labels(document: MappingDocument, known: Iterable[Label], *, create: bool) -> Iterator[Finding]:
    """Labels of the mapping that the PCE lacks."""
    there = {(fold(each.key), fold(each.value)) for each in known}
    wanted = [(table.key, value) for table in document.tables.values() for value in table.allowed]
    missing = [f"{key}={value}" for key, value in wanted if (fold(key), fold(value)) not in there]
    if missing and not create:
        text = f"the PCE lacks {len(missing)} of {len(wanted)} labels of the mapping ({_some(missing)})"
        yield bad("illumio", "labels", text, "create them, or set spec.illumio.createLabels: true")
    elif missing:
        yield good("illumio", "labels", f"the operator will create {_some(missing)} when a host needs them")
    else:
        yield good("illumio", "labels", f"all {len(wanted)} labels of the mapping are there")


def groups(document: MappingDocument, known: Iterable[str]) -> Iterator[Finding]:
    """Groups of the mapping that the domain lacks. `known`: their folded names."""
    there = set(known)
    missing = [each.name for each in document.groups if fold(each.name) not in there]
    if missing:
        text = f"the domain lacks {len(missing)} of {len(document.groups)} groups of the mapping ({_some(missing)})"
        yield bad("checkpoint", "mapping's groups", text, "create them: the operator never creates a group")
    else:
        yield good("checkpoint", "mapping's groups", f"all {len(document.groups)} are there")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f", … {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
