"""The verdict: what must be true at the end, each with a sentence."""

from __future__ import annotations

from collections.abc import Callable

from lab.demo import fleet
from lab.demo.check import Check
from lab.demo.evidence import Evidence

_REASONS_TO_PUBLISH = 5
"""First wave, group unlocked, second wave, and each once more where VMs were seen apart: a publish for each batch."""


Judge = Callable[[Evidence], Check]


def judge(evidence: Evidence) -> list[Check]:
    """All checks."""
    return [check(evidence) for check in _CHECKS]


def _all_commissioned(evidence: Evidence) -> Check:
    wanted = set(evidence.told.vms) - {fleet.HELD, fleet.REFUSED}
    done = {host.vm for host in evidence.commissioned}
    missing = f"; missing: {', '.join(sorted(wanted - done))}" if wanted - done else ""
    return Check(wanted <= done, f"{len(done & wanted)} of the {len(wanted)} VMs that can be are commissioned{missing}")


def _seed(evidence: Evidence) -> Check:
    host = evidence.host(fleet.SEED)
    labels = set(host.labels.split(",")) >= {"app=ServiceOrchestrate", "env=Dev", "loc=AU", "role=Web"}
    objects = [each for each in evidence.objects if host.vm_id in each["comments"]]
    grouped = [sorted(each["groups"]) for each in objects] == [["SO", "az-web"]]
    return Check(
        host.commissioned and labels and grouped,
        f"{fleet.SEED}: {host.stage}, labels {host.labels or 'none'}, in groups {host.groups or 'none'}",
    )


def _one_installer_each(evidence: Evidence) -> Check:
    several = {evidence.told.vms[fleet.REFUSED], evidence.told.vms[fleet.ADOPTED]}
    others = {name: vm_id for name, vm_id in evidence.told.vms.items() if vm_id not in several}
    odd = [f"{name} {evidence.installs[vm_id]}" for name, vm_id in others.items() if evidence.installs[vm_id] != 1]
    running, done = evidence.told.interrupted
    return Check(
        not odd,
        f"one installer start on each of {len(others)} VMs, though the operator was killed while {running} ran"
        f" and {done} hosts were done" + (f"; not so: {', '.join(odd)}" if odd else ""),
    )


def _adopted(evidence: Evidence) -> Check:
    vm_id, host = evidence.told.vms[fleet.ADOPTED], evidence.host(fleet.ADOPTED)
    stamped = [each["uuid"] for each in evidence.workloads if each["external_data_reference"] == vm_id]
    return Check(
        not evidence.installs[vm_id] and stamped == [evidence.told.adopted_workload] and host.commissioned,
        f"{fleet.ADOPTED} kept the VEN it had: {evidence.installs[vm_id]} installers, {evidence.probes[vm_id]} probe,"
        f" and its old workload stamped",
    )


def _one_workload_each(evidence: Evidence) -> Check:
    stamps = [str(each["external_data_reference"]) for each in evidence.workloads]
    paired = set(evidence.told.vms.values()) - {evidence.told.vms[fleet.REFUSED]}
    return Check(
        sorted(stamps) == sorted(paired),
        f"the PCE has {len(stamps)} workloads for {len(paired)} paired VMs, each stamped with its own vmId",
    )


def _refused(evidence: Evidence) -> Check:
    host = evidence.host(fleet.REFUSED)
    condition, tries = host.condition("AgentPaired"), evidence.installs[host.vm_id]
    return Check(
        host.blocked and condition.reason == "KeyRefused" and tries == 3,
        f"{fleet.REFUSED} is {host.stage}/{condition.reason} after {tries} installers, each over before the next",
    )


def _held(evidence: Evidence) -> Check:
    host = evidence.host(fleet.HELD)
    reasons = [host.condition(kind).reason for kind in ("Labelled", "Grouped")]
    placed = [each["name"] for each in evidence.objects if host.vm_id in each["comments"] and each["groups"]]
    return Check(
        reasons == ["MappingMiss"] * 2 and not host.true("Ready") and not host.blocked and not placed,
        f"{fleet.HELD} waits for the mapping ({'/'.join(reasons)}); it has its agent, and stands in no group",
    )


def _stopped(evidence: Evidence) -> Check:
    host = evidence.host(fleet.STOPPED)
    return Check(
        evidence.told.waited_stopped and host.commissioned,
        f"{fleet.STOPPED} waited while it was stopped, and is {host.stage} since it was started",
    )


def _locked(evidence: Evidence) -> Check:
    named = fleet.ADMINISTRATOR in evidence.told.lock_message
    done = [host.vm for host in evidence.commissioned if fleet.LOCKED_GROUP in host.groups.split(",")]
    return Check(
        named and len(done) == 3,
        f"{fleet.LOCKED_GROUP} was locked by an administrator, whom status {'named' if named else 'did NOT name'}; "
        f"{len(done)} hosts are in it now",
    )


def _batched(evidence: Evidence) -> Check:
    objects, publishes, installs = len(evidence.objects), evidence.publishes, evidence.installs_of_policy
    return Check(
        0 < publishes <= _REASONS_TO_PUBLISH < objects and 0 < installs <= publishes,
        f"{objects} host objects took {publishes} publishes and {installs} policy installs: batches, not host by host",
    )


def _foreign(evidence: Evidence) -> Check:
    same = bool(evidence.foreign) and evidence.foreign == evidence.told.foreign
    theirs = set(evidence.told.vms.values())
    strangers = [each["name"] for each in evidence.objects if not any(vm_id in each["comments"] for vm_id in theirs)]
    return Check(
        same and not strangers,
        f"{fleet.PRINTER} in {fleet.PRINTER_GROUP} and {fleet.MAINFRAME}'s labels, which people made, "
        f"{'are as they were' if same else 'were CHANGED'}"
        + (f"; objects of no VM: {', '.join(strangers)}" if strangers else ""),
    )


def _no_leak(evidence: Evidence) -> Check:
    where = f"; found in {', '.join(evidence.leaks)}" if evidence.leaks else ""
    return Check(not evidence.leaks, f"no secret or activation code in objects or in the operator's log{where}")


def _no_admin(evidence: Evidence) -> Check:
    return Check(
        not evidence.may_everything, "the operator had the rights of manifests/ and no more: it is no administrator"
    )


_CHECKS: tuple[Judge, ...] = (
    _all_commissioned,
    _seed,
    _one_installer_each,
    _adopted,
    _one_workload_each,
    _refused,
    _held,
    _stopped,
    _locked,
    _batched,
    _foreign,
    _no_leak,
    _no_admin,
)
