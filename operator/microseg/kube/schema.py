"""The CustomResourceDefinitions, generated from the model. `crds/` is this module's output and never edited.

    python -m microseg.kube.schema --write crds/      (make generate)
    python -m microseg.kube.schema --check crds/      (make verify: fails if a file is not what the model says)

At its start the operator compares the live CRDs with these: the API server drops every field that the live
schema lacks, and a dropped attempt counter would be an installer that runs twice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec.inspect
import yaml

from microseg.kube.resources import APPROVALS, ESTATES, MANAGED_HOSTS, Resource
from microseg.kube.schema_rules import RULES
from microseg.kube.structural import Rule, Schema, Structural
from microseg.model.approval import ApprovalSpec, ApprovalStatus
from microseg.model.condition import ConditionStatus, ConditionType, Reason
from microseg.model.estate_spec import EstateSpec
from microseg.model.estate_status import EstateStatus
from microseg.model.host import HostSpec, HostStatus
from microseg.model.names import GROUP, VERSION

_HEADER = "# Generated from operator/microseg/model by `make generate`. Do not edit.\n"
_EPOCH = "1970-01-01T00:00:00Z"
_NAME_RULE = Rule("size(self.metadata.name) <= 63", "the name is used as a label's value: at most 63 characters")


def crds() -> dict[str, Schema]:
    """File name -> CustomResourceDefinition, all of them."""
    return {f"{GROUP}_{kind.resource.plural}.yaml": _crd(kind) for kind in _KINDS}


def rendered() -> dict[str, str]:
    """File name -> text."""
    return {
        name: _HEADER + yaml.dump(document, Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)
        for name, document in crds().items()
    }


def missing_fields(live_crd: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths that the operator needs and a live CRD lacks, sorted; empty: nothing is missing.

    A missing enum word is `path=word`, a missing status subresource `subresources.status`; `v1alpha1` alone: the
    CRD does not serve our version.
    """
    spec = live_crd["spec"]
    plural = spec["names"]["plural"]
    generated = next(document for document in crds().values() if document["spec"]["names"]["plural"] == plural)
    versions = [version for version in spec.get("versions", ()) if version["name"] == VERSION and version.get("served")]
    if not versions:
        return (VERSION,)
    live = versions[0]
    missing = [] if "status" in live.get("subresources", {}) else ["subresources.status"]
    ours = generated["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    theirs = live.get("schema", {}).get("openAPIV3Schema", {}).get("properties", {})
    for part in ("spec", "status"):
        missing += _missing(ours[part], theirs.get(part), part)
    return tuple(sorted(missing))


def _missing(needed: Schema, live: Mapping[str, Any] | None, path: str) -> Iterator[str]:
    if live is None:
        yield path
        return
    if live.get("x-kubernetes-preserve-unknown-fields"):
        return
    if "enum" in live:
        yield from (f"{path}={word}" for word in needed.get("enum", ()) if word not in live["enum"])
    for name, schema in needed.get("properties", {}).items():
        yield from _missing(schema, live.get("properties", {}).get(name), f"{path}.{name}")
    if "items" in needed:
        yield from _missing(needed["items"], live.get("items"), f"{path}[]")
    if "additionalProperties" in needed:
        yield from _missing(needed["additionalProperties"], live.get("additionalProperties"), f"{path}{{}}")


@dataclass(frozen=True, slots=True)
class _Kind:
    """What makes the definition of one kind."""

    resource: Resource
    short: str
    description: str
    spec: type
    status: type
    columns: tuple[Schema, ...]
    selectable: tuple[str, ...] = ()
    default: Schema | None = None
    """Of `status`, before the operator wrote it: a default on `conditions` alone does not apply then."""
    rules: tuple[Rule, ...] = ()


def _crd(kind: _Kind) -> Schema:
    names = kind.resource
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": list(kind.columns),
        **({"selectableFields": [{"jsonPath": path} for path in kind.selectable]} if kind.selectable else {}),
        "schema": {"openAPIV3Schema": _object(kind)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{GROUP}", "labels": {"app.kubernetes.io/name": "microseg"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.kind,
                "listKind": f"{names.kind}List",
                "plural": names.plural,
                "singular": names.kind.lower(),
                "shortNames": [kind.short],
                "categories": ["microseg"],
            },
            "versions": [version],
        },
    }


def _object(kind: _Kind) -> Schema:
    rules = [{"rule": rule.expression, "message": rule.message} for rule in kind.rules]
    default = {"default": kind.default} if kind.default is not None else {}
    return {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": Structural(RULES, defaults=True).of(msgspec.inspect.type_info(kind.spec), "spec"),
            "status": Structural(RULES).of(msgspec.inspect.type_info(kind.status), "status") | default,
        },
        **({"x-kubernetes-validations": rules} if rules else {}),
    }


def _never_decided() -> Schema:
    condition = {
        "type": ConditionType.READY.value,
        "status": ConditionStatus.UNKNOWN.value,
        "reason": Reason.NEVER_DECIDED.value,
        "message": Reason.NEVER_DECIDED.meaning,
        "lastTransitionTime": _EPOCH,
        "observedGeneration": 0,
    }
    return {"ready": condition["status"], "reason": condition["reason"], "conditions": [condition]}


_HOST = (
    "One Azure VM, from its discovery to its retirement. The operator creates it; its status records what Azure, the"
    " Illumio PCE and Check Point have confirmed about the VM. Deleting it changes nothing outside the cluster: the"
    " operator creates it again from what it observes."
)
_ESTATE = (
    "The VMs of some Azure subscriptions, with the one Illumio PCE organisation and the one Check Point domain that"
    " protect them. A person writes it; mode Observe plans everything and changes nothing outside the cluster."
)
_APPROVAL = (
    "A person's word that lets through what the operator holds, and the evidence of who gave it, when and why. Made by"
    " `microseg approve`; it never changes, and lets nothing through a day after it was made if it was not used."
)


def _column(name: str, path: str, kind: str = "string", *, description: str = "", wide: bool = False) -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    return column | ({"description": description} if description else {}) | ({"priority": 1} if wide else {})


_AGE = _column("Age", ".metadata.creationTimestamp", "date")
_HOST_COLUMNS = (
    _column("Ready", ".status.ready", description="Whether all stages hold."),
    _column("Reason", ".status.reason", description="Why it is, or is not, ready."),
    _column("Stage", ".status.stage", description="The first stage that does not hold yet.", wide=True),
    _column("IP", ".status.ip", description="Primary private address.", wide=True),
    _column("OS", ".status.azure.osType", wide=True),
    _AGE | {"priority": 1},
    _column("Resource Group", ".status.azure.resourceGroup", wide=True),
)
"""Within 80 columns, and 160 when wide, with the longest reason: a test computes it. Labels and groups, which have no
usual length, are in `microseg report`."""
_ESTATE_COLUMNS = (
    _column("Mode", ".spec.mode", description="Observe changes nothing outside."),
    _column("Ready", ".status.ready", description="Whether every host is commissioned, or waits for a named fact."),
    _column("Hosts", ".status.hosts.total", "integer"),
    _column("Commissioned", ".status.hosts.commissioned", "integer"),
    _column("Blocked", ".status.hosts.blocked", "integer", description="Hosts that need a person."),
    _AGE,
    _column("Reason", ".status.reason", wide=True),
)
_APPROVAL_COLUMNS = (
    _column("Estate", ".spec.estate"),
    _column("Action", ".spec.action"),
    _column("By", ".spec.by", description="Who approved."),
    _column("Outcome", ".status.outcome", description="What came of it; nothing: it was not used yet."),
    _AGE,
    _column("What", ".spec.what", wide=True),
    _column("Reason", ".spec.reason", wide=True),
)
_SELECTABLE = (
    ".spec.estate",
    ".spec.vmId",
    ".status.stage",
    ".status.ready",
    ".status.reason",
    ".status.azure.subscription",
    ".status.azure.osType",
)


_KINDS = (
    _Kind(
        MANAGED_HOSTS, "mh", _HOST, HostSpec, HostStatus, _HOST_COLUMNS,
        selectable=_SELECTABLE, default=_never_decided(),
    ),
    _Kind(
        ESTATES, "est", _ESTATE, EstateSpec, EstateStatus, _ESTATE_COLUMNS,
        default=_never_decided(), rules=(_NAME_RULE,),
    ),
    _Kind(APPROVALS, "appr", _APPROVAL, ApprovalSpec, ApprovalStatus, _APPROVAL_COLUMNS),
)  # fmt: skip


class _Plain(yaml.SafeDumper):
    """Block style without anchors: a shared part is written each time."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's own signature
        return True


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files in the named folder; returns 1 if a checked one differs."""
    parser = argparse.ArgumentParser(prog="microseg.kube.schema", description="Writes or checks the CRDs.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="FOLDER", help="write the files")
    action.add_argument("--check", type=Path, metavar="FOLDER", help="fail if a file is not up to date")
    chosen = parser.parse_args(arguments)
    stale = []
    for name, text in rendered().items():
        file = (chosen.write or chosen.check) / name
        if chosen.write:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        sys.stderr.write(f"not up to date: {', '.join(stale)}; run `make generate`\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
