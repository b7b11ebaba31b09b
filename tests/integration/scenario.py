"""Whole lives: the operator as a process, on the real API server, with the three worlds around it.

A module of such tests has a `STORY`: what happens on one rig, with many VMs of different fates. It is told once, in a
thread of its own, several modules' stories side by side, because most of a life is waiting. At each interesting moment
it turns a page: everything that can be seen from outside then. The tests look at pages; `conftest.py` has the fixtures.
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

from tests.integration.pages import Page, Tale, condition

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
    lease_seconds=5,
)
PATIENCE = 90.0
"""Seconds for one thing to happen; only a failure takes so long."""
_LOOK = 0.4

SEED = {"app": "service orchestrate", "env": "dev", "loc": "azure", "rol": "web"}
"""Tags of the seed's Host24."""


REACHABLE = ("AzureReachable", "IllumioReachable", "CheckPointReachable")
"""The Estate's conditions of the three systems."""


def vm(name: str, os: str = "Linux", *, tags: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """An order for a VM; without tags of its own it wants labels but no group."""
    return {"name": name, "os": os, "tags": dict(tags if tags is not None else {"app": "sap", "env": "prd"}), **more}


def _at_least(number: int, read: Callable[[], list[Entry]]) -> bool:
    return len(read()) >= number


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class Scene:
    """What a story acts with: a rig, and pages to turn."""

    def __init__(self, rig: Rig, tale: Tale) -> None:
        """The operator does not run yet."""
        self.rig, self.worlds, self.operator = rig, rig.worlds, rig.operator
        self._tale = tale

    def begin(self, *orders: dict[str, Any], **how: Any) -> None:
        """The usual beginning: VMs, an Estate (see `Rig.apply_estate` for `how`), and the operator starts."""
        self.appear(*orders)
        self.rig.apply_estate(**how)
        self.operator.start()

    def appear(self, *orders: dict[str, Any]) -> dict[str, str]:
        """VMs appear in Azure; returns their vmIds by name."""
        made = self.worlds.post("/azure/vms", list(orders))["vms"] if orders else []
        return {each["name"]: each["vmId"] for each in made}

    def wait(self, what: str, look: Callable[[], T], *, seconds: float = PATIENCE) -> T:
        """Look until it is so."""
        return wait_until(
            functools.partial(self._still, look), seconds=seconds, what=what, otherwise=self.state, pause=_LOOK
        )

    def hosts(self) -> dict[str, Host]:
        """Records by the VM's name."""
        return {host.vm: host for host in self.rig.hosts()}

    def commissioned(self, *names: str) -> None:
        """Wait until these VMs are commissioned."""

        def look() -> bool:
            hosts = self.hosts()
            return all(name in hosts and hosts[name].commissioned for name in names)

        self.wait(f"{', '.join(names)} commissioned", look)

    def tells(self, **reasons: str) -> None:
        """Wait until each VM (an underscore stands for a dash) tells this as the reason of its Ready condition."""
        wanted = {name.replace("_", "-"): reason for name, reason in reasons.items()}

        def look() -> bool:
            hosts = self.hosts()
            return all(name in hosts and hosts[name].reason == reason for name, reason in wanted.items())

        self.wait(f"the reasons {wanted}", look)

    def obstacle(self, name: str, kind: str, reason: str, text: str = "") -> None:
        """Wait until one condition of a host is not True for this reason, with this text in its message."""

        def look() -> bool:
            host = self.hosts().get(name)
            found = host.condition(kind) if host else None
            return found is not None and found.status != "True" and found.reason == reason and text in found.message

        self.wait(f"{name}: {kind} {reason} {text!r}", look)

    def settled(self) -> None:
        """Wait until the Estate itself says that nothing is under way, and every record is in its status."""

        def look() -> bool:
            status = self.rig.estate().get("status", {})
            done = condition({"status": status}, "Reconciling")["status"] == "False"
            return done and 0 < len(self.rig.hosts()) == int(status["hosts"]["total"])

        self.wait("the estate settled", look)

    def tells_of_estate(self, kind: str, status: str, reason: str = "", text: str = "") -> Mapping[str, Any]:
        """Wait until a condition of the Estate has this status, reason and text; returns it."""

        def look() -> Mapping[str, Any] | None:
            found = condition(self.rig.estate(), kind)
            right = found["status"] == status and found["reason"] == (reason or found["reason"])
            return found if right and text in found["message"] else None

        return self.wait(f"{kind}={status} {reason} {text!r}", look) or {}

    def entry(self, system: str, operation: str, *, since: int, about: str = "") -> Entry:
        """Wait for a ledger's entry after `since` that names `about`."""

        def look() -> Entry | None:
            found = self.worlds.ledger(system, operation, since=since)
            return next((entry for entry in found if about in " ".join(entry.changed)), None)

        found = self.wait(f"{system} {operation} {about}", look)
        assert found is not None
        return found

    def seq(self) -> int:
        """Where the ledger ends now."""
        entries = self.worlds.ledger()
        return entries[-1].seq if entries else 0

    def rounds(self, number: int = 3) -> None:
        """Wait until the operator has read every system so many times more."""
        since = self.seq()
        for system, operation in (
            ("azure", "vms.list"),
            ("illumio", "workloads.list"),
            ("checkpoint", "show-gateways-and-servers"),
        ):
            read = functools.partial(self.worlds.ledger, system, operation, since=since)
            self.wait(f"{number} readings of {system}", functools.partial(_at_least, number, read))

    def let_pass(self, seconds: float) -> None:
        """Let time pass where nothing can be waited for, because nothing must happen."""
        until = time.monotonic() + seconds
        self.wait(f"{seconds:g} seconds", lambda: time.monotonic() >= until)

    def order_fault(self, system: str, operation: str, **fault: Any) -> int:
        """Order one failure of the worlds (see `simulators.faults.Fault`); returns its number."""
        (number,) = self.order_faults({"system": system, "operation": operation, **fault})
        return number

    def order_faults(self, *faults: dict[str, Any]) -> list[int]:
        """Order several at one moment, so that their hits are counted from the same call on; returns their numbers."""
        return [int(number) for number in self.worlds.post("/faults", list(faults))["ids"]]

    def met(self, number: int) -> bool:
        """Whether an ordered failure was met as often as it was ordered."""
        return all(each["id"] != number for each in self.worlds.get("/faults")["faults"])

    @contextmanager
    def killed_at(self, system: str, operation: str, *, phase: str) -> Iterator[None]:
        """Within it something begins; in the midst of the next such call, before or after its effect, kill -9."""
        number = self.order_fault(system, operation, phase=phase, action="hang")
        yield
        self.wait(f"the operator is in the midst of {system} {operation}", lambda: self.met(number))
        self.operator.kill()

    def annotate(self, what: str, text: str) -> None:
        """`kubectl annotate`; `what` is such as `mh/NAME` or `est/respiro`."""
        self.rig.kubectl("annotate", "--overwrite", what, text)

    def microseg(self, *arguments: str) -> Said:
        """`microseg ...` as an administrator of the cluster runs it."""
        plane = self.rig.cluster
        assert isinstance(plane, ControlPlane)
        where = ["--kubeconfig", str(plane.admin_kubeconfig), "-n", self.rig.namespace]
        argv = [sys.executable, "-m", "microseg", *arguments, *where]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT / "operator")
        return Said(done.returncode, done.stdout, done.stderr)

    def patch(self, what: str, change: object, *more: str) -> None:
        """`kubectl patch` with a merge patch."""
        self.rig.kubectl("patch", what, "--type=merge", "-p", json.dumps(change), *more)

    def page(self, name: str, **notes: Any) -> Page:
        """Turn a page: keep what can be seen now."""
        events = json.loads(self.rig.kubectl("get", "events", "-o", "json"))["items"]
        made = Page(
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
        self._tale.turned(name, made)
        return made

    def state(self) -> str:
        """How everything stands, for a message about a failure."""
        estate = self.rig.estate().get("status", {})
        lines = [
            f"{each['type']}={each['status']} {each['reason']}: {each['message']}"
            for each in estate.get("conditions", ())
        ]
        return "\n".join(["--- estate:", *lines, self.rig.state()])

    def _still(self, look: Callable[[], T]) -> T:
        self._tale.check()
        return look()
