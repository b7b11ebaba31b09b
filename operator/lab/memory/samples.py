"""Small true-to-life values for the pure layers' tests: a VM, its record, its workload, its objects, its estate.

Every maker gives a host for whom nothing was done yet; a test changes the one thing that it is about.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.azure_facts import RunCommand, Vm
from microseg.model.azure_record import Address, AzureRecord, Nic, Tag
from microseg.model.checkpoint_facts import EnforcementPoint, Group, HostObject, Revision
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.desired import Desired
from microseg.model.facts import HostFacts, ObjectMatches, Seen, WorkloadMatches
from microseg.model.host import HostSpec, HostStatus, ManagedHost, host_name
from microseg.model.illumio_facts import Label, PairingProfile, Workload
from microseg.stages import attempt as attempts
from microseg.stages.context import EstateContext, HostContext, Policy

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
VM_ID = "5b8b1c2d-0000-4000-8000-000000000024"
OTHER_VM_ID = "5b8b1c2d-0000-4000-8000-000000000099"
RESOURCE_ID = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/Host24"
OWNER = "plant/respiro"
MARK = f"microseg.dev/{OWNER}"
IP = "10.1.0.4"
NAME = host_name("Host24", VM_ID)
OBJECT = f"az-{NAME}"
UUID = "0f1e2d3c-0000-4000-8000-00000000abcd"
HREF = f"/orgs/50/workloads/{UUID}"
LABELS = {("app", "Orchestrate"): "/orgs/50/labels/1", ("env", "Dev"): "/orgs/50/labels/2"}
PROFILE = PairingProfile("linux", "/orgs/50/pairing_profiles/7", enabled=True, uses_per_key=1, key_life=1800)
PUBLISHED = Revision("rev-2", NOW - timedelta(hours=1))


def ago(**parts: float) -> datetime:
    """A time before NOW."""
    return NOW - timedelta(**parts)


def ahead(**parts: float) -> datetime:
    """A time after NOW."""
    return NOW + timedelta(**parts)


def nics(*ips: str) -> tuple[Nic, ...]:
    """One NIC with these addresses, the first one primary."""
    addresses = tuple(
        Address(ip=ip, version="IPv6" if ":" in ip else "IPv4", primary=rank == 0) for rank, ip in enumerate(ips)
    )
    return (Nic(id="/nic/1", primary=True, addresses=addresses),)


def vm(*ips: str, selected: bool = True, unsupported: Any = None, **record: Any) -> Vm:
    """A running Linux VM in the poll."""
    known: dict[str, Any] = {
        "resource_id": RESOURCE_ID,
        "name": "Host24",
        "computer_name": "host24",
        "subscription": "s1",
        "resource_group": "rg",
        "location": "westeurope",
        "os_type": "Linux",
        "power_state": "running",
        "nics": nics(*(ips or (IP,))),
        "tags": (Tag(key="app", value="Orchestrate"),),
        "created_at": ago(hours=3),
    }
    return Vm(VM_ID, AzureRecord(**(known | record)), "main", unsupported, selected)


def workload(**changes: Any) -> Workload:
    """An unstamped workload with this VM's name and address, first seen just now."""
    known: dict[str, Any] = {
        "href": HREF,
        "ven": "/orgs/50/vens/1",
        "hostname": "host24.corp",
        "enforcement_mode": "visibility_only",
        "labels": (),
        "external_set": "",
        "external_reference": "",
        "addresses": frozenset({IP}),
        "created_at": NOW,
        "online": True,
        "ven_status": "active",
    }
    return Workload(**(known | changes))


def stamped(*labels: tuple[str, str], **changes: Any) -> Workload:
    """The same, with our mark and these labels."""
    carried = tuple(Label(key, value, LABELS.get((key, value), f"/orgs/50/labels/{key}")) for key, value in labels)
    return workload(external_set=MARK, external_reference=VM_ID, labels=carried, **changes)


def host_object(name: str = OBJECT, address: str = IP, *groups: str, **changes: Any) -> HostObject:
    """A published object of ours."""
    known: dict[str, Any] = {"uid": f"uid-{name}", "owner": OWNER, "vm_id": VM_ID}
    return HostObject(name=name, address=address, groups=frozenset(groups), **(known | changes))


PART = "0a1b2c3d"
"""The part of every name in tests that name run-commands: the number tells them apart there."""


def command_name(number: int = 1, vm_id: str = VM_ID) -> str:
    """Name of the run-command of an attempt."""
    return attempts.command_name(vm_id, number, PART)


def nonce(number: int = 1, vm_id: str = VM_ID) -> str:
    """What ties a result line to that attempt."""
    return attempts.nonce(vm_id, command_name(number, vm_id))


def attempt(number: int = 1, **changes: Any) -> AgentRecord:
    """An attempt that Azure accepted a minute ago."""
    known: dict[str, Any] = {
        "attempt": number,
        "mode": "install",
        "run_command": command_name(number),
        "nonce": nonce(number),
        "intended_at": ago(minutes=1),
        "seals_at": ahead(minutes=34),
        "started_at": ago(minutes=1),
    }
    return AgentRecord(**(known | changes))


def ended(outcome: AgentOutcome, **changes: Any) -> AgentRecord:
    """An attempt that is over."""
    known: dict[str, Any] = {"outcome": outcome, "finished_at": ago(seconds=5)}
    return attempt(**(known | changes))


def result_line(record: AgentRecord, outcome: str, code: int = 0, workload: str = "-") -> str:
    """What the script prints last."""
    org = "50" if workload != "-" else "-"
    return (
        f"noise\nmicroseg-result v1 nonce={record.nonce} outcome={outcome} code={code} workload={workload} org={org}\n"
    )


def run_command(record: AgentRecord, state: str = "Running", output: str = "", **changes: Any) -> RunCommand:
    """The attempt's run-command as the instance view shows it."""
    known: dict[str, Any] = {"ended_at": ago(seconds=10) if state in {"Succeeded", "Failed"} else None}
    return RunCommand(record.run_command, state, output=output, **(known | changes))


def host(status: HostStatus | None = None, *, suspend: bool = False, **changes: Any) -> ManagedHost:
    """The record of the VM; nothing is in its status unless said."""
    known: dict[str, Any] = {
        "name": NAME,
        "namespace": "plant",
        "generation": 3,
        "resource_version": "10",
        "uid": "u1",
        "created_at": ago(hours=2),
    }
    spec = HostSpec(estate="respiro", vm_id=VM_ID, suspend=suspend)
    return ManagedHost(spec=spec, status=status or HostStatus(), **(known | changes))


def estate(**changes: Any) -> EstateContext:
    """An enforcing estate with profiles, labels, one group and one gateway."""
    known: dict[str, Any] = {
        "owner_id": OWNER,
        "labels": LABELS,
        "profiles": {"Linux": PROFILE, "Windows": "The profile windows is disabled."},
        "groups": {"SO": Group("SO", "g1"), "Web": Group("Web", "g2")},
        "last_revision": PUBLISHED,
        "policies": (Policy("Standard", ("gw1",)),),
        "gateways": {"gw1": EnforcementPoint("gw1", "Standard", PUBLISHED, ago(minutes=30))},
    }
    return EstateContext(**(known | changes))


def desired(**changes: Any) -> Desired:
    """Two labels and one group."""
    known: dict[str, Any] = {
        "revision": "abc123",
        "labels": (("app", "Orchestrate"), ("env", "Dev")),
        "groups": ("SO",),
        "cases": ("orchestrate",),
    }
    return Desired(**(known | changes))


def illumio(**view: Any) -> Seen[WorkloadMatches]:
    """The PCE was read."""
    return Seen(WorkloadMatches(**view))


def check_point(*own: HostObject, **view: Any) -> Seen[ObjectMatches]:
    """Check Point was read."""
    return Seen(ObjectMatches(own=own, **view))


def facts(**changes: Any) -> HostFacts:
    """All three systems were read; the VM is there and nothing was done for it."""
    known: dict[str, Any] = {"azure": Seen(vm()), "illumio": illumio(), "check_point": check_point()}
    return HostFacts(**(known | changes))


def protected_facts() -> HostFacts:
    """All three systems show a host that is protected."""
    return facts(
        illumio=illumio(stamped=stamped(("app", "Orchestrate"), ("env", "Dev"))),
        check_point=check_point(host_object(OBJECT, IP, "SO")),
    )


def context(**changes: Any) -> HostContext:
    """All of it as a stage sees it; stages before are not held unless said."""
    known: dict[str, Any] = {"host": host(), "facts": facts(), "estate": estate(), "desired": desired(), "now": NOW}
    return HostContext(**(known | changes))


def with_status(record: ManagedHost, status: HostStatus) -> ManagedHost:
    """The record after the API server took the status."""
    return msgspec.structs.replace(record, status=status)


def condition(kind: ConditionType, status: ConditionStatus, at: datetime = NOW) -> Condition:
    """A condition as it was stored."""
    return Condition(type=kind, status=status, reason=Reason.SEEN.value, message="As it was.", last_transition_time=at)
