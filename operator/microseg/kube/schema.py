"""The two CustomResourceDefinitions, generated from the model. `crds/` is this module's output and never edited.

    python -m microseg.kube.schema --write crds/      (make generate)
    python -m microseg.kube.schema --check crds/      (make verify: fails if a file is not what the model says)

The operator compares the live definitions with these at its start: what the cluster's schema lacks, the API server
would prune, and an attempt counter that is pruned is an installer that runs twice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import inspect as types

from microseg.kube.resources import ESTATES, GROUP, MANAGED_HOSTS, VERSION, Resource
from microseg.kube.structural import Rule, Rules, Schema, Structural
from microseg.model.condition import ConditionStatus, ConditionType, Reason
from microseg.model.estate import AzureSpec, CheckPointSpec, EstateSpec, EstateStatus, Identity
from microseg.model.host import HostSpec, HostStatus

_HEADER = "# Generated from operator/microseg/model by `make generate`. Do not edit.\n"
_EPOCH = "1970-01-01T00:00:00Z"
_VM_ID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_UNCHANGED = "self == oldSelf"

RULES: Rules = {
    (HostSpec, "estate"): (Rule(_UNCHANGED, "estate cannot change: delete the record, and it is made again"),),
    (HostSpec, "vmId"): (
        Rule(_UNCHANGED, "vmId cannot change: it is the host's identity"),
        Rule(
            f"self.matches('{_VM_ID}')",
            "vmId must be Azure's vmId in lower case, such as 5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01",
        ),
    ),
    (AzureSpec, "sources"): (
        Rule("self.all(one, self.exists_one(other, other.name == one.name))", "every source needs a name of its own"),
    ),
    (Identity, ""): (
        Rule(
            "(has(self.workloadIdentity) ? 1 : 0) + (has(self.managedIdentity) ? 1 : 0)"
            " + (has(self.clientSecret) ? 1 : 0) == 1",
            "give exactly one of workloadIdentity, managedIdentity and clientSecret",
        ),
    ),
    (CheckPointSpec, ""): (
        Rule(
            "!has(self.caBundle) || !has(self.fingerprint) || size(self.fingerprint) == 0",
            "give caBundle or fingerprint, not both",
        ),
    ),
}
"""What a schema's types cannot say. Neither bundle nor fingerprint is fine: a Secret may bring `ca.crt`."""

_NAME_RULE = Rule("size(self.metadata.name) <= 63", "the name is used as a label's value: at most 63 characters")


def definitions() -> dict[str, Schema]:
    """File name -> CustomResourceDefinition, both of them."""
    return {f"{GROUP}_{resource.plural}.yaml": _definition(resource) for resource in (MANAGED_HOSTS, ESTATES)}


def rendered() -> dict[str, str]:
    """File name -> text."""
    return {
        name: _HEADER + yaml.dump(document, Dumper=_Plain, sort_keys=False, width=110, allow_unicode=True)
        for name, document in definitions().items()
    }


def missing_fields(live_crd: Mapping[str, Any]) -> tuple[str, ...]:
    """Paths that the operator needs and a live definition lacks, sorted; empty: it fits.

    A missing enum word is `path=word`, a missing status subresource `subresources.status`. A definition that does not
    serve our version lacks everything: `v1alpha1`.
    """
    spec = live_crd["spec"]
    plural = spec["names"]["plural"]
    wanted = next(document for document in definitions().values() if document["spec"]["names"]["plural"] == plural)
    versions = [version for version in spec.get("versions", ()) if version["name"] == VERSION and version.get("served")]
    if not versions:
        return (VERSION,)
    live = versions[0]
    found = [] if "status" in live.get("subresources", {}) else ["subresources.status"]
    ours = wanted["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    theirs = live.get("schema", {}).get("openAPIV3Schema", {}).get("properties", {})
    for part in ("spec", "status"):
        found += _missing(ours[part], theirs.get(part), part)
    return tuple(sorted(found))


def _missing(wanted: Schema, live: Mapping[str, Any] | None, path: str) -> Iterator[str]:
    if live is None:
        yield path
        return
    if live.get("x-kubernetes-preserve-unknown-fields"):
        return
    if "enum" in live:
        yield from (f"{path}={word}" for word in wanted.get("enum", ()) if word not in live["enum"])
    for name, schema in wanted.get("properties", {}).items():
        yield from _missing(schema, live.get("properties", {}).get(name), f"{path}.{name}")
    if "items" in wanted:
        yield from _missing(wanted["items"], live.get("items"), f"{path}[]")
    if "additionalProperties" in wanted:
        yield from _missing(wanted["additionalProperties"], live.get("additionalProperties"), f"{path}{{}}")


def _definition(resource: Resource) -> Schema:
    host = resource is MANAGED_HOSTS
    singular, short = ("managedhost", "mh") if host else ("estate", "est")
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": list(_HOST_COLUMNS if host else _ESTATE_COLUMNS),
        **({"selectableFields": [{"jsonPath": path} for path in _SELECTABLE]} if host else {}),
        "schema": {"openAPIV3Schema": _object(host=host)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}", "labels": {"app.kubernetes.io/name": "microseg"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": singular,
                "shortNames": [short],
                "categories": ["microseg"],
            },
            "versions": [version],
        },
    }


def _object(*, host: bool) -> Schema:
    spec, status = (HostSpec, HostStatus) if host else (EstateSpec, EstateStatus)
    never = {
        "type": ConditionType.READY.value,
        "status": ConditionStatus.UNKNOWN.value,
        "reason": Reason.NEVER_DECIDED.value,
        "message": Reason.NEVER_DECIDED.meaning,
        "lastTransitionTime": _EPOCH,
        "observedGeneration": 0,
    }
    # On `status` as a whole: a default on `conditions` alone shows nothing, since nobody writes the status around it.
    default = {"ready": never["status"], "reason": never["reason"], "conditions": [never]}
    rules = [] if host else [{"rule": _NAME_RULE.expression, "message": _NAME_RULE.message}]
    return {
        "description": _HOST if host else _ESTATE,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": Structural(RULES, defaults=True).of(types.type_info(spec), "spec"),
            "status": Structural(RULES).of(types.type_info(status), "status") | {"default": default},
        },
        **({"x-kubernetes-validations": rules} if rules else {}),
    }


_HOST = (
    "One Azure VM, from its discovery to its retirement. The operator makes it; its status is the record of what Azure,"
    " the Illumio PCE and Check Point have confirmed about the VM. Deleting it changes nothing outside the cluster: the"
    " record is made again from what can be observed."
)
_ESTATE = (
    "The VMs of some Azure subscriptions, with the one Illumio PCE organisation and the one Check Point domain that"
    " protect them. A person writes it; mode Observe plans everything and changes nothing outside the cluster."
)


def _column(name: str, path: str, kind: str = "string", *, description: str = "", wide: bool = False) -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    return column | ({"description": description} if description else {}) | ({"priority": 1} if wide else {})


_AGE = _column("Age", ".metadata.creationTimestamp", "date")
_HOST_COLUMNS = (
    _column("Stage", ".status.stage", description="The first stage that does not hold yet."),
    _column("Ready", ".status.ready", description="Whether all stages hold."),
    _column("Reason", ".status.reason", description="Why it is, or is not, ready."),
    _column("IP", ".status.ip", description="Primary private address."),
    _AGE,
    _column("VM", ".status.azure.name", wide=True),
    _column("Resource Group", ".status.azure.resourceGroup", wide=True),
    _column("OS", ".status.azure.osType", wide=True),
    _column("Labels", ".status.summary.labels", wide=True),
    _column("Groups", ".status.summary.groups", wide=True),
)
_ESTATE_COLUMNS = (
    _column("Mode", ".spec.mode", description="Observe changes nothing outside."),
    _column("Ready", ".status.ready", description="Whether every host is commissioned, or waits for a named fact."),
    _column("Hosts", ".status.hosts.total", "integer"),
    _column("Commissioned", ".status.hosts.commissioned", "integer"),
    _column("Blocked", ".status.hosts.blocked", "integer", description="Hosts that need a person."),
    _AGE,
    _column("Reason", ".status.reason", wide=True),
    _column("Mapping", ".status.mapping.revision", wide=True, description="Revision of the mapping in force."),
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


class _Plain(yaml.SafeDumper):
    """Block style without anchors: a shared part is written out each time."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's own signature
        return True


def main(arguments: list[str] | None = None) -> int:
    """Write or check the files in the named folder; 1 if a checked one differs."""
    parser = argparse.ArgumentParser(prog="microseg.kube.schema", description="The custom resources' definitions.")
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
