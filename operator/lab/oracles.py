"""The invariants, checked from outside: by the simulators' ledger, the API server's audit log and the operator's log.

The operator's own status proves nothing: "one attempt" is checked by the script starts in the ledger. Every oracle
returns one sentence per violation. `judge` runs them all; the sweep and the integration tests call it at the end of a
scenario.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.controlplane import ControlPlane
from lab.evidence import Evidence, digest, gather
from lab.rig import Rig
from simulators.ledger import Entry

_OURS_AT_CHECK_POINT = "microseg"
"""The operator's administrator in the Check Point simulator."""
_SHORTEST_SECRET = 8
_PCE_CALLS_PER_MINUTE = 500
"""A PCE's limit per API key."""
_HOUR = 3600.0
_TAKES_AWAY = (
    "workloads.unpair",
    "vens.unpair",
    "workloads.delete",
    "workloads.bulk_delete",
    "workloads.remove_labels",
)
_MOVES = ("world.vm-readdressed", "world.nic-attached")
_HREF = re.compile(r"/(?:vens|workloads)/([0-9a-f-]{36})")


def judge(rig: Rig) -> list[str]:
    """Return every sentence of every oracle."""
    evidence = gather(rig)
    return [f"{oracle.__name__}: {sentence}" for oracle in ORACLES for sentence in oracle(evidence)]


def one_installer_at_a_time(evidence: Evidence) -> Iterator[str]:
    """S1: a second installer of a vmId starts only after the first ended, and never on a VM that it paired."""
    running: dict[str, str] = {}
    for entry in evidence.of("azure", "world.script-started", "world.script-ended"):
        vm_id, command, mode = entry.changed
        if mode != "install" or entry.note.startswith("again"):  # a fresh disk runs it again: Azure's doing, not ours
            continue
        if entry.operation == "world.script-ended":
            running.pop(vm_id, None)
        elif vm_id in running:
            yield f"{command} started on {vm_id} while {running[vm_id]} ran (entry {entry.seq})"
        else:
            running[vm_id] = command


def no_installer_for_a_paired_machine(evidence: Evidence) -> Iterator[str]:
    """S1: the operator pairs a machine at most once, unless it was unpaired or its VM was deleted in between."""
    paired: defaultdict[str, set[str]] = defaultdict(set)
    told = [
        *evidence.of("illumio", "world.workload-paired", "world.workload-unpaired"),
        *evidence.of("azure", "world.vm-deleted"),
    ]
    for entry in sorted(told, key=lambda entry: entry.seq):
        if entry.system == "azure":
            paired[entry.changed[1].lower()].clear()
            continue
        machine = entry.changed[0].rpartition("(")[2].rstrip(")").lower()
        if entry.operation == "world.workload-unpaired":
            paired[machine].discard(entry.changed[0].split()[1])
            continue
        paired[machine].add(entry.changed[0].split()[1])
        if len(paired[machine]) > 1:
            yield f"{machine} was paired again (entry {entry.seq})"


def each_name_is_put_once(evidence: Evidence) -> Iterator[str]:
    """Architecture 2: the name of a run-command is PUT at most once, ever."""
    puts = Counter(change for entry in evidence.of("azure", "commands.put") for change in entry.changed)
    yield from (f"{change} was PUT {number} times" for change, number in puts.items() if number > 1)


def nothing_foreign_is_touched(evidence: Evidence) -> Iterator[str]:
    """S7: the operator changes no object, session or workload without its mark."""
    for each in evidence.objects:
        ours = each["comments"].startswith(f"{evidence.mark} ")
        if each["type"] == "host" and not ours and _OURS_AT_CHECK_POINT in (each["creator"], each["modifier"]):
            yield f"host {each['name']} has no mark of the operator, but the operator changed it"
        if each["type"] == "group" and each["creator"] == _OURS_AT_CHECK_POINT:
            yield f"group {each['name']} was created by the operator"
    stamped = {each["href"] for each in evidence.workloads if each["external_data_reference"]}
    for entry in evidence.of("illumio", "workloads.bulk_update", "workloads.update"):
        hrefs = {change.split()[1] for change in entry.changed if change.startswith("workload ")}
        yield from (f"{href} was changed but is not stamped (entry {entry.seq})" for href in sorted(hrefs - stamped))


def nothing_of_the_living_is_taken_away(evidence: Evidence) -> Iterator[str]:
    """S4, S5: only what belongs to a deleted VM is unpaired or deleted; an object may go with its address."""
    gone = {entry.changed[0]: entry.seq for entry in evidence.of("azure", "world.vm-deleted")}
    moved = {entry.changed[0] for entry in evidence.of("azure", *_MOVES)}
    for vm_id, entry in _taken_away(evidence):
        moves = entry.system == "checkpoint" and vm_id in moved
        if not moves and gone.get(vm_id, entry.seq) >= entry.seq:
            yield f"{entry.operation}: {', '.join(entry.changed)} of {vm_id or 'an unknown VM'} (entry {entry.seq})"


def no_more_go_than_may(evidence: Evidence) -> Iterator[str]:
    """S6: in no hour are more VMs retired than it allows and Approvals name."""
    bounds = evidence.estate.get("spec", {}).get("retirement", {}).get("maxPerHour", {})
    approved = "microseg.dev/approve" in evidence.estate.get("metadata", {}).get("annotations", {})
    if not evidence.estate or approved:
        return
    deleted = {entry.changed[0] for entry in evidence.of("azure", "world.vm-deleted")}
    began: dict[str, float] = {}
    for vm_id, entry in _taken_away(evidence):
        if vm_id in deleted:
            began[vm_id] = min(entry.at, began.get(vm_id, entry.at))
    gone = max((sum(0 <= other - at < _HOUR for other in began.values()) for at in began.values()), default=0)
    most = max(bounds.get("count", 5), bounds.get("percent", 5) * (len(evidence.hosts) + gone) // 100)
    if gone > most + evidence.may_go:
        yield f"{gone} VMs were retired; {most} per hour are allowed, and Approvals name {evidence.may_go}"


def _taken_away(evidence: Evidence) -> Iterator[tuple[str, Entry]]:
    """Yield (vmId, entry) per object that the operator deleted or VEN that it unpaired; vmId "": unknown."""
    stamps = {_uuid(each["href"]): str(each["external_data_reference"]) for each in evidence.workloads}
    for entry in evidence.of("illumio", *_TAKES_AWAY):
        if entry.who.startswith("api_"):
            yield from ((stamps.get(_uuid(text), ""), entry) for text in entry.changed)
    known = {digest(entry.changed[0]): entry.changed[0] for entry in evidence.of("azure", "world.vm-created")}
    for entry in evidence.of("checkpoint", "delete-host"):
        for name in entry.changed:
            yield next((vm_id for short, vm_id in known.items() if f"-{short}" in name), ""), entry


def _uuid(text: str) -> str:
    found = _HREF.search(text)
    return found[1] if found else text


def no_session_is_left(evidence: Evidence) -> Iterator[str]:
    """S9: a stopped operator leaves no session behind."""
    for session in evidence.sessions:
        if str(session.get("name", "")).startswith(evidence.session_prefix):
            yield f"session {session['name']} is still open: {session}"


def no_secret_leaves(evidence: Evidence) -> Iterator[str]:
    """S10: no key, token or password in a log, an object or an Event."""
    secrets = [secret for secret in evidence.secrets if len(secret) >= _SHORTEST_SECRET]
    for place, text in evidence.places.items():
        yield from (
            f"a secret ({secret[:2]}…, {len(secret)} characters) is in {place}" for secret in secrets if secret in text
        )


def every_publish_is_ours_alone(evidence: Evidence) -> Iterator[str]:
    """S7: the operator publishes only objects with its prefix or tag, and groups whose members changed."""
    groups = {each["name"] for each in evidence.objects if each["type"] == "group"}
    for entry in evidence.of("checkpoint", "world.published"):
        if entry.who != _OURS_AT_CHECK_POINT:
            continue
        strange = {name for name in entry.changed if not name.startswith(("az-", "microseg.dev"))} - groups
        if strange:
            yield f"entry {entry.seq} published {', '.join(sorted(strange))}"


def an_address_has_one_holder(evidence: Evidence) -> Iterator[str]:
    """S2: no two VMs have objects with the same address in groups."""
    holders: defaultdict[str, set[str]] = defaultdict(set)
    for each in evidence.objects:
        if each["type"] == "host" and each["groups"] and each["comments"].startswith(f"{evidence.mark} "):
            holders[each.get("ipv4-address") or each["ipv6-address"]].add(each["comments"].split()[-1])
    yield from (f"{address} belongs to {sorted(vms)}" for address, vms in holders.items() if len(vms) > 1)


def a_stamp_is_one_vms_alone(evidence: Evidence) -> Iterator[str]:
    """S3: no two workloads have the same vmId stamp, and none the vmId of a VM that Azure never had."""
    stamps = Counter(
        str(each["external_data_reference"])
        for each in evidence.workloads
        if each["external_data_reference"] and not each["deleted"]
    )
    yield from (f"{vm_id} is stamped on {number} workloads" for vm_id, number in stamps.items() if number > 1)
    known = {word for entry in evidence.of("azure", "world.vm-created") for word in entry.changed}
    yield from (f"{vm_id} is stamped but is not a VM's" for vm_id in stamps if known and vm_id not in known)


def installed_is_more_than_published(evidence: Evidence) -> Iterator[str]:
    """S8: a host is PolicyInstalled only if an install succeeded after the last publish of its objects."""
    installs = [entry.seq for entry in evidence.of("checkpoint", "install-policy")]
    ended = [
        entry.seq
        for entry in evidence.of("checkpoint", "world.task-ended")
        if entry.changed[0].startswith("install ") and entry.note.startswith("succeeded")
    ]
    publishes = [(each.seq, set(each.changed)) for each in evidence.of("checkpoint", "world.published")]
    for host in evidence.hosts:
        names = {str(each["name"]) for each in (host.raw["status"].get("checkPoint") or {}).get("hosts", ())}
        published = [seq for seq, changed in publishes if names & changed]
        if not published or not host.true("PolicyInstalled") or not host.groups:
            continue
        begun = [seq for seq in installs if seq > published[-1]]
        if not begun or not any(seq > begun[0] for seq in ended):
            yield f"{host.name} is PolicyInstalled, but nothing was installed since entry {published[-1]}"


def the_pce_is_not_flooded(evidence: Evidence) -> Iterator[str]:
    """S13: at most 500 calls by the operator to the PCE in any minute."""
    times = [entry.at for entry in evidence.entries if entry.system == "illumio" and entry.who.startswith("api_")]
    for first, last in zip(times, times[_PCE_CALLS_PER_MINUTE:], strict=False):
        if last - first < 60:
            yield f"more than {_PCE_CALLS_PER_MINUTE} calls in the minute from {first:.0f} on"
            return


Oracle = Callable[[Evidence], Iterable[str]]
ORACLES: tuple[Oracle, ...] = (
    one_installer_at_a_time,
    no_installer_for_a_paired_machine,
    each_name_is_put_once,
    nothing_foreign_is_touched,
    every_publish_is_ours_alone,
    nothing_of_the_living_is_taken_away,
    no_more_go_than_may,
    no_session_is_left,
    no_secret_leaves,
    an_address_has_one_holder,
    a_stamp_is_one_vms_alone,
    installed_is_more_than_published,
    the_pce_is_not_flooded,
)


def effects(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Return what the operator changed outside: "system operation" -> what. Empty: nothing (S11, in mode Observe).

    An unpublished change in a Check Point session counts too; login and logout do not.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        inside_a_vm = entry.system == "illumio" and entry.operation.startswith(("software.", "agents."))
        if entry.changed and not entry.operation.startswith("world.") and not inside_a_vm:
            found[f"{entry.system} {entry.operation}"] += entry.changed
        elif entry.system == "checkpoint" and entry.operation in {"publish", "install-policy"}:
            found[f"checkpoint {entry.operation}"].append(f"entry {entry.seq}")
    return dict(found)


def kubernetes_writes(plane: ControlPlane, namespace: str, *, since: int = 0) -> list[dict[str, Any]]:
    """Return the operator's audited writes of ManagedHosts and Estates, from a byte of the audit log on."""
    return [
        event
        for event in _written(plane, namespace, since)
        if event["objectRef"].get("resource") in {"managedhosts", "estates"}
    ]


def operators_writes(plane: ControlPlane, namespace: str) -> list[tuple[float, str, str, str]]:
    """Return (epoch seconds, verb, resource, name) per write request of the operator, in order."""
    return [
        (
            datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
            event["verb"],
            event["objectRef"]["resource"],
            event["objectRef"].get("name", ""),
        )
        for event in _written(plane, namespace, 0)
    ]


def audited_so_far(plane: ControlPlane) -> int:
    """Return the size of the audit log in bytes."""
    return _audit_log(plane).stat().st_size


def _audit_log(plane: ControlPlane) -> Path:
    if plane.audit_log is None:
        raise RuntimeError("the control plane has no audit log")
    return plane.audit_log


def _written(plane: ControlPlane, namespace: str, since: int) -> Iterator[dict[str, Any]]:
    """Yield audit events of write requests by the operator's ServiceAccount."""
    who = f"system:serviceaccount:{namespace}:microseg"
    for event in _audited(plane, since):
        by_us = event.get("user", {}).get("username") == who
        if by_us and event["verb"] not in {"get", "list", "watch"} and "objectRef" in event:
            yield event


def _audited(plane: ControlPlane, since: int) -> Iterator[dict[str, Any]]:
    with _audit_log(plane).open("rb") as log:
        log.seek(since)
        for line in log.read().splitlines():
            yield json.loads(line)
