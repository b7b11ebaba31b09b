"""Whole lives: the operator as a process, on the real API server, with the three worlds around it.

A module of such tests has a `STORY`: what happens on one rig, with many VMs of different fates. It is told once, in a
thread of its own, several modules' stories side by side, because most of a life is waiting. At each interesting moment
it turns a page: everything that can be seen from outside then. The tests look at pages; `conftest.py` has the fixtures.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from lab.controlplane import ControlPlane
from lab.hosts import Host
from lab.operator_process import Tempo
from lab.processes import NotInTime, wait_until
from lab.rig import Rig
from simulators.ledger import Entry

from .. import oracles

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
_LOOK = 0.2
_AT_ONCE = 4
"""Stories told side by side: each is two processes that mostly wait."""
_LONGEST_PAGE = 280.0

SEED = {"app": "service orchestrate", "env": "dev", "loc": "azure", "rol": "web"}
"""Tags of the seed's Host24."""


class Abandoned(RuntimeError):
    """The run ends before the story does."""


def vm(name: str, os: str = "Linux", *, tags: Mapping[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """An order for a VM; without tags of its own it wants labels but no group."""
    return {"name": name, "os": os, "tags": dict(tags if tags is not None else {"app": "sap", "env": "prd"}), **more}


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that can be seen from outside at one moment."""

    hosts: Mapping[str, Host]
    """By the VM's name."""
    estate: Mapping[str, Any]
    entries: tuple[Entry, ...]
    """The worlds' ledgers so far."""
    workloads: tuple[dict[str, Any], ...]
    objects: tuple[dict[str, Any], ...]
    firewall: Mapping[str, Any]
    events: tuple[dict[str, Any], ...]
    state: str
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What else the story kept of the moment."""

    def of(self, system: str, *operations: str, since: int = 0) -> list[Entry]:
        """The ledger's entries of some operations."""
        return [e for e in self.entries if e.system == system and e.operation in operations and e.seq > since]

    @property
    def seq(self) -> int:
        """Where the ledger ended."""
        return self.entries[-1].seq

    def scripts(self, name: str, mode: str = "install") -> int:
        """How often a script started inside this VM."""
        vm_id = self.hosts[name].vm_id
        started = self.of("azure", "world.script-started")
        return sum(1 for entry in started if (entry.changed[0], entry.changed[2]) == (vm_id, mode))

    def publishes(self, since: int = 0) -> list[Entry]:
        """Revisions that the operator published."""
        return [entry for entry in self.of("checkpoint", "world.published", since=since) if entry.who == "microseg"]

    def workload(self, name: str) -> dict[str, Any]:
        """The workload that carries this VM's stamp."""
        vm_id = self.hosts[name].vm_id
        (found,) = [each for each in self.workloads if each["external_data_reference"] == vm_id]
        return found

    def objects_of(self, name: str) -> dict[str, dict[str, Any]]:
        """Published host objects with this VM's mark, by address."""
        mark = f" {self.hosts[name].vm_id}"
        marked = [each for each in self.objects if each["type"] == "host" and each["comments"].endswith(mark)]
        return {each.get("ipv4-address") or each["ipv6-address"]: each for each in marked}

    def condition(self, kind: str) -> Mapping[str, Any]:
        """A condition of the Estate; an empty one where it was never written."""
        return condition(self.estate, kind)


def condition(estate: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition of an Estate as JSON."""
    found = estate.get("status", {}).get("conditions", ())
    return next((each for each in found if each["type"] == kind), {"status": "", "reason": "", "message": ""})


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

    def settled(self) -> None:
        """Wait until the Estate itself says that nothing is under way, and every record is in its status."""

        def look() -> bool:
            status = self.rig.estate().get("status", {})
            done = condition({"status": status}, "Reconciling")["status"] == "False"
            return done and status["hosts"]["total"] == len(self.rig.hosts()) > 0

        self.wait("the estate settled", look)

    def tells_of_estate(self, kind: str, status: str, reason: str = "", text: str = "") -> Mapping[str, Any]:
        """Wait until a condition of the Estate has this status, reason and text; returns it."""

        def look() -> Mapping[str, Any] | None:
            found = condition(self.rig.estate(), kind)
            right = found["status"] == status and found["reason"] in {reason, found["reason"] if not reason else reason}
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
            self.wait(
                f"{number} readings of {system}",
                lambda system=system, operation=operation: (
                    len(self.worlds.ledger(system, operation, since=since)) >= number
                ),
            )

    def annotate(self, what: str, text: str) -> None:
        """`kubectl annotate`; `what` is such as `mh/NAME` or `est/respiro`."""
        self.rig.kubectl("annotate", "--overwrite", what, text)

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


@dataclass(frozen=True, slots=True)
class Story:
    """What a module's tests look at. `own_plane`: it does things to the cluster that others must not meet."""

    name: str
    tell: Callable[[Scene], None]
    own_plane: bool = False


class Tale:
    """One story being told: its pages, and how it ended."""

    def __init__(self, name: str) -> None:
        """Nothing is told yet."""
        self.name = name
        self.state = "nothing was told yet"
        self._pages: dict[str, Page] = {}
        self._news = threading.Condition()
        self._abandoned = False
        self._future: Future[None] | None = None

    def follow(self, future: Future[None]) -> None:
        """The future of its telling."""
        self._future = future
        future.add_done_callback(lambda _: self._tell_waiting())

    def page(self, name: str) -> Page:
        """Wait for a page; raises what ended the story if it ended before."""
        assert self._future is not None
        with self._news:
            if not self._news.wait_for(lambda: name in self._pages or self._over, timeout=_LONGEST_PAGE):
                raise NotInTime(f"the story {self.name} did not come to its page {name!r}\n{self.state}")
        if name not in self._pages:
            self._future.result()
            raise LookupError(f"the story {self.name} has no page {name!r}")
        self.state = self._pages[name].state
        return self._pages[name]

    def finish(self) -> None:
        """Wait for the end; raises what went wrong in it, and every broken invariant."""
        assert self._future is not None
        self._future.result(timeout=_LONGEST_PAGE)

    # for the teller:

    def turned(self, name: str, page: Page) -> None:
        """A page was turned."""
        with self._news:
            self._pages[name] = page
            self._news.notify_all()

    def abandon(self) -> None:
        """Nobody listens any more."""
        self._abandoned = True

    def check(self) -> None:
        """Raise Abandoned where nobody listens any more."""
        if self._abandoned:
            raise Abandoned(self.name)

    @property
    def _over(self) -> bool:
        return self._future is not None and self._future.done()

    def _tell_waiting(self) -> None:
        with self._news:
            self._news.notify_all()


class Library:
    """Tells the stories of a run. A context manager: at its end whatever is still told is broken off."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        """`plane` is shared by all stories that do not ask for their own."""
        self._plane, self._folder = plane, folder
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="story")
        self._tales: dict[str, Tale] = {}

    def begin(self, stories: Iterable[Story]) -> Self:
        """Begin to tell them, in this order, a few at a time."""
        for story in stories:
            tale = self._tales[story.name] = Tale(story.name)
            tale.follow(self._pool.submit(self._tell, story, tale))
        return self

    def tale(self, story: Story) -> Tale:
        """The tale of a story that was begun."""
        return self._tales[story.name]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Break off."""
        for tale in self._tales.values():
            tale.abandon()
        self._pool.shutdown(cancel_futures=True)

    def _tell(self, story: Story, tale: Tale) -> None:
        tale.check()
        folder, namespace = self._folder / story.name, f"life-{story.name}"
        cluster = None if story.own_plane else self._plane
        with Rig.build(folder, cluster=cluster, namespace=namespace, tempo=TEMPO, audit=True) as rig:
            story.tell(Scene(rig, tale))
            rig.operator.stop()
            broken = oracles.judge(rig)
            assert not broken, "\n".join([f"the story {story.name} broke what must always hold:", *broken, rig.state()])
