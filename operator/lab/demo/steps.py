"""The steps of the demo, in order: what happens to the fleet and to the operator, and what each step waits for.

Called by `lab.demo.__main__`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.demo import fleet
from lab.demo.screen import Screen
from lab.demo.wording import counted
from lab.hosts import Host
from lab.processes import ProcessFailed, wait_until
from lab.rig import Rig

INSTALL = "install"
"""The mode of a script that installs; the other one only looks."""
_SETTLED_SECONDS = 240.0
_STAYS_OPEN = {fleet.HELD: "MappingMiss", fleet.REFUSED: "KeyRefused"}
"""VMs that are never commissioned -> the reason of their first open stage at the end."""
Reached = Callable[[Sequence[Host]], bool]


@dataclass(slots=True)
class Observed:
    """What the steps saw, for the verdict."""

    vms: dict[str, str] = field(default_factory=dict)
    """VM name -> vmId."""
    adopted_workload: str = ""
    lock_message: str = ""
    """The condition message of a host that waited for the locked group."""
    waited_stopped: bool = False
    """Whether the stopped VM had reason VMNotRunning."""
    interrupted: tuple[int, int] = (0, 0)
    """When the operator was killed: installers that ran on VMs, hosts that were commissioned."""
    hosts: Sequence[Host] = ()
    """The hosts, as last read."""
    foreign: list[dict[str, Any]] = field(default_factory=list)
    """Objects and workloads that are not the operator's, before the operator started."""


def prepare(rig: Rig, screen: Screen) -> Observed:
    """Create the first VMs, and arrange what will go wrong."""
    observed = Observed()
    worlds = rig.worlds
    orders = fleet.first_wave(worlds.described["azure"]["subscriptions"])
    screen.say(f"Azure has {len(orders)} new VMs; {fleet.STOPPED} is stopped")
    _order(rig, observed, orders)
    observed.adopted_workload = worlds.adopt(fleet.ADOPTED)
    worlds.post("/illumio/pairing", {"hostname": fleet.REFUSED, "refuse": 1000})
    lock = {"group": fleet.LOCKED_GROUP, "admin": fleet.ADMINISTRATOR, "seconds": fleet.LOCKED_SECONDS}
    worlds.post("/checkpoint/lock", lock)
    screen.say(f"{fleet.ADOPTED} already has a VEN; the PCE will refuse every pairing key from {fleet.REFUSED}")
    screen.say(f"{fleet.ADMINISTRATOR} locks group {fleet.LOCKED_GROUP} in SmartConsole for {fleet.LOCKED_SECONDS:g} s")
    _make_foreign(rig, observed)
    screen.say(f"people made {fleet.PRINTER} in Check Point and {fleet.MAINFRAME} in the PCE: they must not change")
    rig.apply_estate()
    return observed


def _make_foreign(rig: Rig, observed: Observed) -> None:
    """Make objects that people own in the same systems."""
    worlds = rig.worlds
    by_hand = {"host": fleet.PRINTER, "ip-address": fleet.PRINTER_ADDRESS}
    worlds.post("/checkpoint/edit", {"do": "add-host", **by_hand})
    worlds.post("/checkpoint/edit", {"do": "add-member", "group": fleet.PRINTER_GROUP, "host": fleet.PRINTER})
    machine = {"hostname": fleet.MAINFRAME, "interfaces": [{"name": "eth0", "address": "192.168.7.10"}]}
    worlds.post("/illumio/preloaded", machine)
    worlds.post(f"/illumio/workloads/{fleet.MAINFRAME}/relabel", {"role": "Mainframe", "env": "Prod"})
    observed.foreign = foreign(rig)


def foreign(rig: Rig) -> list[dict[str, Any]]:
    """Return the objects and workloads that are not the operator's, as they are now."""
    objects = rig.worlds.get("/checkpoint/objects", type="host")["objects"]
    workloads = rig.worlds.get("/illumio/workloads")["workloads"]
    return [each for each in objects if each["name"] == fleet.PRINTER] + [
        each for each in workloads if each["hostname"] == fleet.MAINFRAME
    ]


def play(rig: Rig, screen: Screen, observed: Observed) -> None:
    """Run the operator, kill it in the middle, add VMs, and wait until every host is in its final state."""
    screen.say("the operator starts with the token of its ServiceAccount")
    rig.operator.start()
    _watch(
        rig,
        screen,
        observed,
        lambda hosts: _may_be_killed(rig, hosts, observed),
        seconds=60,
        what="an installer started on every running VM, and runs on one of them",
    )
    rig.operator.kill()
    under_way = counted(observed.interrupted[0], "installer runs", "installers run")
    screen.say(f"SIGKILL to the operator while {under_way}")
    _watch(rig, screen, observed, lambda _: not rig.operator.healthy, seconds=10, what="the operator has ended")
    screen.say("the operator starts again; its only memory is the API server")
    rig.operator.start()
    _watch(
        rig, screen, observed, lambda hosts: _commissioned(hosts) >= 15, seconds=120, what="fifteen hosts commissioned"
    )
    _second_wave(rig, screen, observed)
    _watch(
        rig,
        screen,
        observed,
        lambda hosts: _settled(hosts, observed),
        seconds=_SETTLED_SECONDS,
        what="every host in its final state",
    )
    screen.say("every host is in its final state")


def _second_wave(rig: Rig, screen: Screen, observed: Observed) -> None:
    orders = fleet.second_wave(rig.worlds.described["azure"]["subscriptions"])
    screen.say(f"Azure has {counted(len(orders), 'more VM')}, and {fleet.STOPPED} is started")
    _order(rig, observed, orders)
    rig.worlds.post(f"/azure/vms/{fleet.STOPPED}/start")


def _order(rig: Rig, observed: Observed, orders: list[fleet.Order]) -> None:
    answer: dict[str, list[dict[str, Any]]] = rig.worlds.post("/azure/vms", orders)
    observed.vms |= {vm["name"]: vm["vmId"] for vm in answer["vms"]}


def _watch(rig: Rig, screen: Screen, observed: Observed, reached: Reached, *, seconds: float, what: str) -> None:
    """Show the fleet until `reached`; raises NotInTime with the state of everything."""

    def look() -> bool:
        observed.hosts = rig.hosts()
        if not observed.hosts:
            _refuse_stalled(rig)
        _remember(observed)
        screen.show(observed.hosts)
        return reached(observed.hosts)

    wait_until(look, seconds=seconds, what=what, otherwise=rig.state, pause=0.4)


def _refuse_stalled(rig: Rig) -> None:
    """Do not wait for a stalled Estate: raises ProcessFailed with its reason."""
    conditions = rig.estate().get("status", {}).get("conditions", ())
    stalled = next((each for each in conditions if each["type"] == "Stalled" and each["status"] == "True"), None)
    if stalled is not None:
        raise ProcessFailed(f"the Estate is stalled: {stalled['reason']}: {stalled['message']}")


def _remember(observed: Observed) -> None:
    """Remember what is no longer visible at the end."""
    for host in observed.hosts:
        grouped, agent = host.condition("Grouped"), host.condition("AgentPaired")
        if grouped.reason == "GroupLocked":
            observed.lock_message = grouped.message
        if host.vm == fleet.STOPPED and agent.reason == "VMNotRunning":
            observed.waited_stopped = True


def _may_be_killed(rig: Rig, hosts: Sequence[Host], observed: Observed) -> bool:
    """Note what is under way; return whether an installer runs, a host is not done, and no start is in doubt."""
    observed.interrupted = (_running(rig), _commissioned(hosts))
    running, done = observed.interrupted
    return running > 0 and done < len(hosts) and _all_started(hosts, observed)


def _all_started(hosts: Sequence[Host], observed: Observed) -> bool:
    """Return whether the operator knows that a script started on every running VM.

    Killed a moment earlier, it could not know whether the latest starts had reached Azure. It would not start a second
    installer, but wait until the first one's key has expired: half an hour, too long for a demo.
    """
    started = {host.vm for host in hosts if host.raw.get("status", {}).get("agent", {}).get("startedAt")}
    return started >= set(observed.vms) - {fleet.STOPPED}


def _running(rig: Rig) -> int:
    """Return how many installers run on VMs now."""
    started = {(script.vm_id, script.command) for script in rig.worlds.scripts() if script.mode == INSTALL}
    return len(started - {entry.changed[:2] for entry in rig.worlds.ledger("azure", "world.script-ended")})


def _commissioned(hosts: Sequence[Host]) -> int:
    return sum(host.commissioned for host in hosts)


def _settled(hosts: Sequence[Host], observed: Observed) -> bool:
    """Return whether every VM has a ManagedHost that is commissioned or waits for its expected reason."""
    if {host.vm_id for host in hosts} != set(observed.vms.values()):
        return False
    return all(_is_final(host) for host in hosts)


def _is_final(host: Host) -> bool:
    match host.vm:
        case fleet.REFUSED:
            return host.blocked
        case fleet.HELD:
            return host.true("AgentPaired") and host.condition("Labelled").reason == _STAYS_OPEN[fleet.HELD]
        case _:
            return host.commissioned
