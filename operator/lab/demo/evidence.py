"""Collects what the verdict judges: the hosts, and what the simulated systems recorded.

Called by `lab.demo.__main__` when the steps are over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from lab.cluster import ACCOUNT
from lab.controlplane import KubectlFailed
from lab.demo import fleet
from lab.demo.steps import INSTALL, Observed, foreign
from lab.demo.wording import counted
from lab.hosts import Host
from lab.rig import Rig
from simulators.azure.timing import Timing
from simulators.checkpoint import Durations
from simulators.illumio import Traits

_READABLE = "managedhosts,estates,events,configmaps,controllerrevisions,leases"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The end of the demo. `installs` and `probes`: vmId -> scripts in that mode that started on it."""

    observed: Observed
    hosts: Sequence[Host]
    installs: Counter[str]
    probes: Counter[str]
    calls: dict[str, dict[str, int]]
    workloads: list[dict[str, Any]]
    objects: list[dict[str, Any]]
    foreign: list[dict[str, Any]]
    """Objects and workloads that are not the operator's; `workloads` and `objects` are without them."""
    leaks: list[str]
    may_everything: bool
    scale: float

    def host(self, vm: str) -> Host:
        """Return the host of a VM; raises KeyError or StopIteration if there is none."""
        vm_id = self.observed.vms[vm]
        return next(each for each in self.hosts if each.vm_id == vm_id)

    @property
    def commissioned(self) -> list[Host]:
        """The commissioned hosts."""
        return [host for host in self.hosts if host.commissioned]

    @property
    def publishes(self) -> int:
        """Publishes that the operator requested."""
        return self.calls["checkpoint"].get("publish", 0)

    @property
    def installs_of_policy(self) -> int:
        """Policy installations that the operator requested."""
        return self.calls["checkpoint"].get("install-policy", 0)

    def durations(self) -> list[tuple[float, str]]:
        """Return (seconds from discovery to commissioning, VM name), shortest first."""
        found = [(host.seconds("discoveredAt", "commissionedAt"), host.vm) for host in self.commissioned]
        return sorted((seconds, vm) for seconds, vm in found if seconds is not None)


def gather(rig: Rig, observed: Observed) -> Evidence:
    """Read the API server and the simulated systems."""
    worlds = rig.worlds
    scripts = worlds.scripts()
    return Evidence(
        observed=observed,
        hosts=rig.hosts(),
        installs=Counter(script.vm_id for script in scripts if script.mode == INSTALL),
        probes=Counter(script.vm_id for script in scripts if script.mode != INSTALL),
        calls=worlds.operator_calls(),
        workloads=[
            each
            for each in worlds.get("/illumio/workloads")["workloads"]
            if not each["deleted"] and each["hostname"] != fleet.MAINFRAME
        ],
        objects=[
            each for each in worlds.get("/checkpoint/objects", type="host")["objects"] if each["name"] != fleet.PRINTER
        ],
        foreign=foreign(rig),
        leaks=_leaks(rig),
        may_everything=_may_everything(rig),
        scale=rig.tempo.scale,
    )


def summary(evidence: Evidence) -> str:
    """Return the totals as text."""
    lines = ["API calls by the operator:"]
    for system, operations in sorted(evidence.calls.items()):
        most = ", ".join(f"{name} {number}" for name, number in Counter(operations).most_common(6))
        lines.append(f"  {system:11} {sum(operations.values()):5}   {most}")
    starts = Counter(evidence.installs.values())
    per_vm = ", ".join(f"{number} on {counted(vms, 'VM')}" for number, vms in sorted(starts.items()))
    probed, objects = sum(evidence.probes.values()), len(evidence.objects)
    lines += [
        f"installers started per VM: {per_vm}; probes without a key: {probed}",
        f"publishes: {evidence.publishes}, policy installs: {evidence.installs_of_policy}; host objects: {objects}",
        *_times(evidence),
    ]
    return "\n".join(lines)


def _times(evidence: Evidence) -> list[str]:
    durations = evidence.durations()
    if not durations:
        return ["no host is commissioned"]
    slowest, vm = durations[-1]
    middle = median(seconds for seconds, _ in durations)
    agent, firewall = vendor_seconds()
    bound = max(agent, firewall) / evidence.scale
    return [
        f"seconds from discovery to commissioning: p50 {middle:.1f}, max {slowest:.1f} ({vm})",
        f"  vendors' own latency: {bound:.1f} = max(agent {agent:g}, firewall {firewall:g}) / {evidence.scale:g}",
        "  agent: VM agent ready + run-command pickup + pairing + report; firewall: publish + install",
    ]


def vendor_seconds() -> tuple[float, float]:
    """Return the least vendor seconds that one host needs: for its agent, and in parallel for its firewall."""
    azure, pce, firewall = Timing(), Traits(), Durations()
    return azure.agent + azure.pickup + pce.pairing_seconds + azure.report, firewall.publish + firewall.install


def _leaks(rig: Rig) -> list[str]:
    """Return the places in which a secret value appears; never the value."""
    places = {
        "the operator's log": rig.operator.output(),
        "an object of the API server": rig.kubectl("get", _READABLE, "-o", "yaml"),
    }
    secrets = rig.worlds.secrets()
    return [place for place, text in places.items() if any(secret in text for secret in secrets)]


def _may_everything(rig: Rig) -> bool:
    """Return whether the operator's ServiceAccount may do everything."""
    who = f"--as=system:serviceaccount:{rig.namespace}:{ACCOUNT}"
    try:
        return rig.cluster.kubectl("auth", "can-i", "*", "*", "--all-namespaces", who).strip() == "yes"
    except KubectlFailed:  # "no" is exit code 1
        return False
