"""Scenarios: the operator as a process on a real API server, with the three simulated systems around it.

A test module with a scenario has a `SCENARIO`: what happens on one rig, with several VMs. It runs once, in its own
thread and in parallel to those of other modules, because it mostly waits. At each interesting moment it takes a
snapshot of everything that is visible from outside. The module's tests read snapshots; `conftest.py` has the fixtures.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from kubernetes.client.exceptions import NotFoundException
from tests.integration.snapshots import Recording, Snapshot, condition

from lab.cluster import ROOT
from lab.controlplane import ControlPlane
from lab.hosts import Host
from lab.operator_process import Tempo
from lab.processes import wait_until
from lab.rig import Rig
from simulators.ledger import Entry

T = TypeVar("T")

TEMPO = Tempo(
    scale=40,
    poll="1s",
    installer_expected=2,
    look_pause=0.5,
    retry_pause=0.5,
    task_pause=0.1,
    install_patience=3,
    lease_seconds=10,  # an API server that many stories share leaves a renewal without an answer now and then
)
PATIENCE = 180.0
"""Seconds to wait for one thing; only a failure takes so long."""
_LOOK = 0.4

SEED = {"app": "service orchestrate", "env": "dev", "loc": "azure", "rol": "web"}
"""The tags of Host24, the one host that the 2019 workflow published."""


REACHABLE = ("AzureReachable", "IllumioReachable", "CheckPointReachable")
"""The Estate's condition types for the three systems."""


def fast_retirement(estate: dict[str, Any]) -> None:
    """Let retirements begin as soon as they may, so that a wrong decision shows within seconds."""
    estate["spec"]["retirement"] = {"missedPolls": 2, "after": "1s", "maxPerHour": {"count": 20, "percent": 50}}


def vm(name: str, os: str = "Linux", *, tags: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Return a VM for the Azure simulator; with the default tags the mapping gives it labels but no group."""
    return {"name": name, "os": os, "tags": dict(tags if tags is not None else {"app": "sap", "env": "prd"}), **more}


def _at_least(number: int, read: Callable[[], list[Entry]]) -> bool:
    return len(read()) >= number


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class ScenarioRun:
    """What a scenario works with: a rig, waits, and snapshots."""

    def __init__(self, rig: Rig, recording: Recording) -> None:
        """The operator does not run yet."""
        self.rig, self.worlds, self.operator = rig, rig.worlds, rig.operator
        self._recording = recording

    def start(self, *orders: dict[str, Any], **how: Any) -> None:
        """Create VMs and an Estate (see `Rig.apply_estate` for `how`), and start the operator."""
        self.create_vms(*orders)
        self.rig.apply_estate(**how)
        self.operator.start()

    def create_vms(self, *orders: dict[str, Any]) -> dict[str, str]:
        """Create VMs in Azure; return name -> vmId."""
        created = self.worlds.post("/azure/vms", list(orders))["vms"] if orders else []
        return {each["name"]: each["vmId"] for each in created}

    def wait(self, what: str, look: Callable[[], T], *, seconds: float = PATIENCE) -> T:
        """Wait until `look` returns something true, and return it."""
        return wait_until(
            functools.partial(self._unless_abandoned, look),
            seconds=seconds,
            what=what,
            otherwise=self.state,
            pause=_LOOK,
        )

    def hosts(self) -> dict[str, Host]:
        """Return VM name -> ManagedHost."""
        return {host.vm: host for host in self.rig.hosts()}

    def wait_commissioned(self, *names: str) -> None:
        """Wait until these VMs are commissioned."""

        def look() -> bool:
            hosts = self.hosts()
            return all(name in hosts and hosts[name].commissioned for name in names)

        self.wait(f"{', '.join(names)} commissioned", look)

    def wait_for_reasons(self, **reasons: str) -> None:
        """Wait until the Ready condition of each VM (an underscore stands for a dash) has this reason."""
        wanted = {name.replace("_", "-"): reason for name, reason in reasons.items()}

        def look() -> bool:
            hosts = self.hosts()
            return all(name in hosts and hosts[name].reason == reason for name, reason in wanted.items())

        self.wait(f"the reasons {wanted}", look)

    def wait_for_condition(self, name: str, kind: str, reason: str, text: str = "") -> None:
        """Wait until a condition of a host is not True, with this reason and this text in its message."""

        def look() -> bool:
            host = self.hosts().get(name)
            found = host.condition(kind) if host else None
            return found is not None and found.status != "True" and found.reason == reason and text in found.message

        self.wait(f"{name}: {kind} {reason} {text!r}", look)

    def wait_settled(self) -> None:
        """Wait until nothing is left to do but what waits for the outside, and the status counts every ManagedHost."""

        def look() -> bool:
            status = self.rig.estate().get("status", {})
            reconciling = condition({"status": status}, "Reconciling")
            done = reconciling["status"] == "False" or reconciling["message"].startswith("It waits for ")
            return done and 0 < len(self.rig.hosts()) == int(status["hosts"]["total"])

        self.wait("the Estate is not reconciling", look)

    def wait_for_estate_condition(self, kind: str, status: str, reason: str = "", text: str = "") -> Mapping[str, Any]:
        """Wait until a condition of the Estate has this status, reason and text; return it."""

        def look() -> Mapping[str, Any] | None:
            found = condition(self.rig.estate(), kind)
            right = found["status"] == status and found["reason"] == (reason or found["reason"])
            return found if right and text in found["message"] else None

        return self.wait(f"{kind}={status} {reason} {text!r}", look) or {}

    def wait_for_entry(self, system: str, operation: str, *, since: int, about: str = "") -> Entry:
        """Wait for a ledger entry after `since` that names `about`."""

        def look() -> Entry | None:
            found = self.worlds.ledger(system, operation, since=since)
            return next((entry for entry in found if about in " ".join(entry.changed)), None)

        found = self.wait(f"{system} {operation} {about}", look)
        assert found is not None
        return found

    def ledger_end(self) -> int:
        """Return the number of the ledger's latest entry."""
        entries = self.worlds.ledger()
        return entries[-1].seq if entries else 0

    def wait_polls(self, number: int = 3) -> None:
        """Wait until the operator has polled every system `number` more times."""
        since = self.ledger_end()
        for system, operation in (
            ("azure", "vms.list"),
            ("illumio", "workloads.list"),
            ("checkpoint", "show-gateways-and-servers"),
        ):
            read = functools.partial(self.worlds.ledger, system, operation, since=since)
            self.wait(f"{number} more polls of {system}", functools.partial(_at_least, number, read))

    def let_time_pass(self, seconds: float) -> None:
        """Let time pass if there is nothing to wait for, because nothing must happen."""
        until = time.monotonic() + seconds
        self.wait(f"{seconds:g} seconds", lambda: time.monotonic() >= until)

    def inject_fault(self, system: str, operation: str, **fault: Any) -> int:
        """Inject one fault (see `simulators.faults.Fault`); return its number."""
        (number,) = self.inject_faults({"system": system, "operation": operation, **fault})
        return number

    def inject_faults(self, *faults: dict[str, Any]) -> list[int]:
        """Inject several faults at once, so that they count hits from the same request on; return their numbers."""
        return [int(number) for number in self.worlds.post("/faults", list(faults))["ids"]]

    def fault_was_met(self, number: int) -> bool:
        """Return whether an injected fault has no hits left."""
        return all(each["id"] != number for each in self.worlds.get("/faults")["faults"])

    @contextmanager
    def kill_at(self, system: str, operation: str, *, phase: str) -> Iterator[None]:
        """Run the body; then SIGKILL the operator in the next such request, before or after its effect."""
        number = self.inject_fault(system, operation, phase=phase, action="hang")
        yield
        self.wait(f"the operator is in a request {system} {operation}", lambda: self.fault_was_met(number))
        self.operator.kill()

    def annotate(self, what: str, text: str) -> None:
        """`kubectl annotate`; `what`: such as `mh/NAME` or `est/respiro`."""
        self.rig.kubectl("annotate", "--overwrite", what, text)

    def microseg(self, *arguments: str) -> CommandResult:
        """Run `microseg ...` as an administrator of the cluster."""
        plane = self.rig.cluster
        assert isinstance(plane, ControlPlane)
        where = ["--kubeconfig", str(plane.admin_kubeconfig), "-n", self.rig.namespace]
        argv = [sys.executable, "-m", "microseg", *arguments, *where]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT / "operator")
        return CommandResult(done.returncode, done.stdout, done.stderr)

    def patch(self, what: str, change: object, *more: str) -> None:
        """`kubectl patch` with a merge patch."""
        self.rig.kubectl("patch", what, "--type=merge", "-p", json.dumps(change), *more)

    def snapshot(self, name: str, **notes: Any) -> Snapshot:
        """Record everything that is visible now; `notes` are kept with it."""
        events = json.loads(self.rig.kubectl("get", "events", "-o", "json"))["items"]
        snapshot = Snapshot(
            hosts=self.hosts(),
            estate=self.rig.estate(),
            entries=tuple(self.worlds.ledger()),
            workloads=tuple(self.worlds.get("/illumio/workloads")["workloads"]),
            objects=tuple(self.worlds.get("/checkpoint/objects")["objects"]),
            firewall=self.worlds.get("/checkpoint/summary"),
            events=tuple(events),
            state=self.state(),
            notes=notes,
        )
        self._recording.add(name, snapshot)
        return snapshot

    def state(self) -> str:
        """Return the state of everything, for the message of a failure."""
        try:
            estate = self.rig.estate().get("status", {})
        except NotFoundException:
            estate = {}
        lines = [
            f"{each['type']}={each['status']} {each['reason']}: {each['message']}"
            for each in estate.get("conditions", ())
        ]
        return "\n".join(["--- estate:", *lines, self.rig.state()])

    def _unless_abandoned(self, look: Callable[[], T]) -> T:
        self._recording.check()
        return look()
