"""An estate as a cluster would have it, for commands that are asked about it."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from microseg.cli.cluster import Leadership, Live
from microseg.cli.times import Times, of_deployments
from microseg.kube.deployments import OperatorDeployment
from microseg.kube.revisions import MappingRevision
from microseg.mapping import parse
from microseg.model.approval import Approval, ApprovalSpec
from microseg.model.azure_record import AzureRecord, Nic, Tag
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.estate import Estate
from microseg.model.estate_spec import EstateSpec
from microseg.model.estate_status import EstateStatus, KnownNames, MappingState
from microseg.model.host import HostSpec, HostStatus, ManagedHost, MappingRecord, Timeline
from microseg.model.illumio_record import IllumioRecord, LabelRecord

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
RULES = """\
apiVersion: mapping.microseg.dev/v1
name: platform
owner: team-netsec
labels:
  app: {fromTag: [app], oneOf: [shop, sap], onMiss: hold}
  env: {fromTag: [env], normalize: [lower], values: {prd: Prod, dev: Dev}, default: Dev, onMiss: default}
groups:
  - {name: az-shop, when: {labels: {app: [shop]}}}
  - {name: az-pci, when: {labels: {env: [Prod]}}}
"""
REVISION = parse(RULES, "t").digest
MOVED = RULES.replace("prd: Prod", "prd: Test")
"""Production hosts are called Test, and leave az-pci."""
_NUMBERS = itertools.count(1)


def host(name: str, *, commissioned: bool = True, app: str = "shop", env: str = "prd", **more: Any) -> ManagedHost:
    """A host that RULES have been carried out for."""
    value = {"prd": "Prod", "dev": "Dev"}[env]
    labels = tuple(LabelRecord(key=key, value=text) for key, text in (("app", app), ("env", value)))
    groups = tuple(sorted({"shop": {"az-shop"}}.get(app, set()) | ({"az-pci"} if env == "prd" else set())))
    azure = AzureRecord(
        resource_id=f"/vms/{name}", name=name.capitalize(), computer_name=f"{name}.corp", resource_group="rg",
        location="westeurope", tags=(Tag(key="app", value=app), Tag(key="env", value=env)),
        nics=(Nic(id="nic", primary=True),),
    )  # fmt: skip
    status = HostStatus(
        azure=azure,
        illumio=IllumioRecord(workload="/w", labels=labels, owned_keys=("app", "env")) if commissioned else None,
        check_point=CheckPointRecord(groups=groups) if commissioned else None,
        mapping=MappingRecord(revision=REVISION) if commissioned else None,
        timeline=Timeline(commissioned_at=NOW) if commissioned else Timeline(),
    )
    status = msgspec.structs.replace(status, **more)
    vm_id = str(uuid.UUID(int=next(_NUMBERS)))
    return ManagedHost(name=f"{name}-1", namespace="ns", spec=HostSpec(estate="respiro", vm_id=vm_id), status=status)


def revision(number: int, document: str) -> MappingRevision:
    """An accepted one."""
    digest = parse(document, "t").digest
    return MappingRevision("platform", number, digest, document, "ns/cm uid@1", NOW, commit="c0ffee1", author="nora")


def estate(**status: Any) -> Estate:
    """Enforcing, with RULES in force."""
    spec = msgspec.convert(
        {
            "mode": "Enforce",
            "azure": {"sources": [{"name": "a", "subscriptions": ["s"], "identity": {}}]},
            "illumio": {"url": "https://pce", "orgId": 1, "secretRef": {"name": "i"}, "pairingProfiles": {}},
            "checkPoint": {"url": "https://cp", "secretRef": {"name": "c"}},
            "mapping": {"name": "platform"},
        },
        EstateSpec,
    )
    read: dict[str, Any] = {
        "mapping": MappingState(revision=REVISION),
        "known": KnownNames(groups=("az-pci", "az-shop"), label_types=("app", "env")),
    }
    return Estate(name="respiro", namespace="ns", spec=spec, status=EstateStatus(**(read | status)))


class FakeCluster:
    """Stands where `Cluster` does."""

    def __init__(self, live: Live) -> None:
        self.now = live
        self.leads = Leadership(None, None)
        self.asked: list[str] = []
        self.pins: list[str] = []
        self.approved: list[ApprovalSpec] = []
        self.deployments: Sequence[OperatorDeployment] = ()

    def __call__(self, _: object) -> FakeCluster:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def live(self, mapping: str = "", *, hosts: bool = True) -> Live:
        self.asked.append(mapping)
        return self.now if hosts else replace(self.now, hosts=())

    def times(self) -> Times:
        return of_deployments(self.deployments, "ns")

    def leadership(self) -> Leadership:
        return self.leads

    def user_name(self) -> str:
        return "nora"

    def approve(self, spec: ApprovalSpec) -> Approval:
        self.approved.append(spec)
        return Approval(name="respiro-plan-x1", namespace="ns", spec=spec, created_at=NOW)

    def pin(self, _: Estate, digest: str) -> None:
        self.pins.append(digest)


def with_hosts(live: Live, hosts: Sequence[ManagedHost]) -> Live:
    """The estate with other hosts."""
    return replace(live, hosts=tuple(hosts))
