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
from microseg.planning import known_names
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


def labels(estate: Estate, document: MappingDocument, known: Iterable[Label]) -> Iterator[Finding]:
    """Labels of the mapping that the PCE lacks, as the operator would judge them."""
    wanted, _ = known_names.named(document)
    there = [(label.key, label.value) for label in known]
    lacking = known_names.as_read(estate, (), there).lacking(wanted, ())
    if lacking:
        fix = "create them; spec.illumio.createLabels: true has the operator create labels, of types that the PCE has"
        yield bad("illumio", "labels", _some(lacking), fix)
        return
    folded = {fold(f"{key}={value}") for key, value in there}
    missing = [name for name in sorted(f"{key}={value}" for key, value in wanted) if fold(name) not in folded]
    if missing:
        yield good("illumio", "labels", f"the operator will create {_some(missing, ', ')} when a host needs them")
    else:
        yield good("illumio", "labels", f"all {len(wanted)} labels of the mapping are there")


def groups(estate: Estate, document: MappingDocument, known: Iterable[str]) -> Iterator[Finding]:
    """Groups of the mapping that the domain lacks or the estate does not allow. `known`: their names."""
    _, wanted = known_names.named(document)
    lacking = known_names.as_read(estate, known, ()).lacking((), wanted)
    if lacking:
        fix = "create them: the operator never creates a group; or add them to spec.checkPoint.allowedGroups"
        yield bad("checkpoint", "mapping's groups", _some(lacking), fix)
    else:
        yield good("checkpoint", "mapping's groups", f"all {len(wanted)} are there")


def _some(texts: Sequence[str], joint: str = " ") -> str:
    return joint.join(texts[:_SHOWN]) + (f" … {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else "")
