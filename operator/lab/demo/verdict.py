"""The verdict of the demo: one check per invariant, each with the sentence that the screen shows.

Called by `lab.demo.__main__`.
"""

from __future__ import annotations

from collections.abc import Callable

from lab.demo import fleet
from lab.demo.check import Check
from lab.demo.evidence import Evidence
from lab.demo.wording import counted

_REASONS_TO_PUBLISH = 5
"""Publishes that the steps justify: first wave, unlocked group, second wave, and two batches that were split."""


Judge = Callable[[Evidence], Check]


def judge(evidence: Evidence) -> list[Check]:
    """Return all checks."""
    return [check(evidence) for check in _CHECKS]


def _all_commissioned(evidence: Evidence) -> Check:
    wanted = set(evidence.observed.vms) - {fleet.HELD, fleet.REFUSED}
    done = {host.vm for host in evidence.commissioned}
    missing = f"; missing: {', '.join(sorted(wanted - done))}" if wanted - done else ""
    return Check(
        wanted <= done,
        f"{len(done & wanted)} of {counted(len(wanted), 'VM')} without an obstacle are commissioned{missing}",
    )


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
    several = {evidence.observed.vms[fleet.REFUSED], evidence.observed.vms[fleet.ADOPTED]}
    others = {name: vm_id for name, vm_id in evidence.observed.vms.items() if vm_id not in several}
    odd = [f"{name} {evidence.installs[vm_id]}" for name, vm_id in others.items() if evidence.installs[vm_id] != 1]
    running, done = evidence.observed.interrupted
    return Check(
        not odd,
        f"exactly one installer on each of {counted(len(others), 'VM')}, although the operator was killed while"
        f" {running} ran and {counted(done, 'host was', 'hosts were')} commissioned"
        + (f"; others: {', '.join(odd)}" if odd else ""),
    )


def _adopted(evidence: Evidence) -> Check:
    vm_id, host = evidence.observed.vms[fleet.ADOPTED], evidence.host(fleet.ADOPTED)
    stamped = [each["uuid"] for each in evidence.workloads if each["external_data_reference"] == vm_id]
    return Check(
        not evidence.installs[vm_id] and stamped == [evidence.observed.adopted_workload] and host.commissioned,
        f"{fleet.ADOPTED} kept its VEN: {counted(evidence.installs[vm_id], 'installer')},"
        f" {counted(evidence.probes[vm_id], 'probe')},"
        " and the stamp is on its old workload",
    )


def _one_workload_each(evidence: Evidence) -> Check:
    stamps = [str(each["external_data_reference"]) for each in evidence.workloads]
    paired = set(evidence.observed.vms.values()) - {evidence.observed.vms[fleet.REFUSED]}
    return Check(
        sorted(stamps) == sorted(paired),
        f"the PCE has {counted(len(stamps), 'workload')} for {counted(len(paired), 'paired VM')},"
        " each stamped with its vmId",
    )


def _refused(evidence: Evidence) -> Check:
    host = evidence.host(fleet.REFUSED)
    condition, tries = host.condition("AgentPaired"), evidence.installs[host.vm_id]
    return Check(
        host.blocked and condition.reason == "KeyRefused" and tries == 3,
        f"{fleet.REFUSED} is {host.stage}/{condition.reason} after {counted(tries, 'installer')}, one after the other",
    )


def _held(evidence: Evidence) -> Check:
    host = evidence.host(fleet.HELD)
    reasons = [host.condition(kind).reason for kind in ("Labelled", "Grouped")]
    groups = {group for each in evidence.objects if host.vm_id in each["comments"] for group in each["groups"]}
    return Check(
        reasons == ["MappingMiss"] * 2 and not host.true("Ready") and not host.blocked and groups == {"az-web"},
        f"{fleet.HELD} waits for the mapping ({'/'.join(reasons)}); it has its agent, and of the groups only"
        " az-web, which asks nothing of its unknown application",
    )


def _stopped(evidence: Evidence) -> Check:
    host = evidence.host(fleet.STOPPED)
    return Check(
        evidence.observed.waited_stopped and host.commissioned,
        f"{fleet.STOPPED} waited while it was stopped and is {host.stage} after its start",
    )


def _locked(evidence: Evidence) -> Check:
    named = fleet.ADMINISTRATOR in evidence.observed.lock_message
    done = [host.vm for host in evidence.commissioned if fleet.LOCKED_GROUP in host.groups.split(",")]
    return Check(
        named and len(done) == 3,
        f"an administrator locked {fleet.LOCKED_GROUP}; status {'named' if named else 'did NOT name'} the holder; "
        f"{counted(len(done), 'host is', 'hosts are')} in the group now",
    )


def _batched(evidence: Evidence) -> Check:
    objects, publishes, installs = len(evidence.objects), evidence.publishes, evidence.installs_of_policy
    return Check(
        0 < publishes <= _REASONS_TO_PUBLISH < objects and 0 < installs <= publishes,
        f"{counted(objects, 'host object')} in {counted(publishes, 'publish', 'publishes')} and"
        f" {counted(installs, 'policy install')}: in batches, not host by host",
    )


def _foreign(evidence: Evidence) -> Check:
    same = bool(evidence.foreign) and evidence.foreign == evidence.observed.foreign
    theirs = set(evidence.observed.vms.values())
    strangers = [each["name"] for each in evidence.objects if not any(vm_id in each["comments"] for vm_id in theirs)]
    return Check(
        same and not strangers,
        f"people's own objects ({fleet.PRINTER} in {fleet.PRINTER_GROUP}, {fleet.MAINFRAME} with its labels) "
        f"are {'unchanged' if same else 'CHANGED'}"
        + (f"; objects without a VM: {', '.join(strangers)}" if strangers else ""),
    )


def _no_leak(evidence: Evidence) -> Check:
    where = f"; found in {', '.join(evidence.leaks)}" if evidence.leaks else ""
    return Check(
        not evidence.leaks, f"no secret or activation code in Kubernetes objects or in the operator's log{where}"
    )


def _no_admin(evidence: Evidence) -> Check:
    return Check(not evidence.may_everything, "the operator has only the RBAC of manifests/: it is no administrator")


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
