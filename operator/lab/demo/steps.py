"""The demo's story, in order: what happens to the fleet and to the operator, and what is waited for in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.demo import fleet
from lab.demo.screen import Screen
from lab.hosts import Host
from lab.processes import ProcessFailed, wait_until
from lab.rig import Rig

_SETTLED_SECONDS = 240.0
_STAYS_OPEN = {fleet.HELD: "MappingMiss", fleet.REFUSED: "KeyRefused"}
"""VMs that never get all the way, and the reason that their first open stage has at the end."""
Reached = Callable[[Sequence[Host]], bool]


@dataclass(slots=True)
class Told:
    """What was seen on the way, for the verdict."""

    vms: dict[str, str] = field(default_factory=dict)
    """VM name -> vmId."""
    adopted_workload: str = ""
    lock_message: str = ""
    """What a host that waited for the locked group said."""
    waited_stopped: bool = False
    """Whether the stopped VM waited for its start, and nothing else."""
    interrupted: tuple[int, int] = (0, 0)
    """When the operator was killed: installers running, hosts commissioned."""
    hosts: Sequence[Host] = ()
    """The last look."""
    foreign: list[dict[str, Any]] = field(default_factory=list)
    """What is not the operator's, as the worlds had it before the operator came."""


def prepare(rig: Rig, screen: Screen) -> Told:
    """Order the first VMs, and arrange what will go wrong."""
    told = Told()
    worlds = rig.worlds
    orders = fleet.first_wave(worlds.described["azure"]["subscriptions"])
    screen.say(f"{len(orders)} VMs appear in Azure at once; {fleet.STOPPED} is stopped")
    _order(rig, told, orders)
    told.adopted_workload = worlds.adopt(fleet.ADOPTED)
    worlds.post("/illumio/pairing", {"hostname": fleet.REFUSED, "refuse": 1000})
    lock = {"group": fleet.LOCKED_GROUP, "admin": fleet.ADMINISTRATOR, "seconds": fleet.LOCKED_SECONDS}
    worlds.post("/checkpoint/lock", lock)
    screen.say(f"{fleet.ADOPTED} has a VEN already; the PCE will refuse every key from {fleet.REFUSED}")
    screen.say(f"{fleet.ADMINISTRATOR} has {fleet.LOCKED_GROUP} open in SmartConsole for {fleet.LOCKED_SECONDS:g} s")
    _foreign(rig, told)
    screen.say(f"{fleet.PRINTER} in Check Point and {fleet.MAINFRAME} in the PCE are people's own: not to be touched")
    rig.apply_estate()
    return told


def _foreign(rig: Rig, told: Told) -> None:
    """Make what other people have in the same systems."""
    worlds = rig.worlds
    by_hand = {"host": fleet.PRINTER, "ip-address": fleet.PRINTER_ADDRESS}
    worlds.post("/checkpoint/edit", {"do": "add-host", **by_hand})
    worlds.post("/checkpoint/edit", {"do": "add-member", "group": fleet.PRINTER_GROUP, "host": fleet.PRINTER})
    machine = {"hostname": fleet.MAINFRAME, "interfaces": [{"name": "eth0", "address": "192.168.7.10"}]}
    worlds.post("/illumio/preloaded", machine)
    worlds.post(f"/illumio/workloads/{fleet.MAINFRAME}/relabel", {"role": "Mainframe", "env": "Prod"})
    told.foreign = foreign(rig)


def foreign(rig: Rig) -> list[dict[str, Any]]:
    """What is not the operator's, as the worlds have it now."""
    objects = rig.worlds.get("/checkpoint/objects", type="host")["objects"]
    workloads = rig.worlds.get("/illumio/workloads")["workloads"]
    return [each for each in objects if each["name"] == fleet.PRINTER] + [
        each for each in workloads if each["hostname"] == fleet.MAINFRAME
    ]


def play(rig: Rig, screen: Screen, told: Told) -> None:
    """Run the operator on it, kill it in the middle, add VMs, and wait until everything stands where it should."""
    screen.say("the operator starts, with its ServiceAccount's token")
    rig.operator.start()
    _watch(rig, screen, told, lambda hosts: _all_begun(hosts, told), seconds=60, what="an installer on every VM")
    told.interrupted = (_running(rig), sum(host.commissioned for host in told.hosts))
    rig.operator.kill()
    screen.say(f"the operator is KILLED (SIGKILL) while {told.interrupted[0]} installers run")
    _watch(rig, screen, told, lambda _: not rig.operator.healthy, seconds=10, what="the operator is gone")
    screen.say("the operator starts again; it has nothing but what the API server keeps")
    rig.operator.start()
    _watch(rig, screen, told, lambda hosts: _commissioned(hosts) >= 15, seconds=120, what="fifteen commissioned")
    _second_wave(rig, screen, told)
    _watch(rig, screen, told, lambda hosts: _settled(hosts, told), seconds=_SETTLED_SECONDS, what="every host settled")
    screen.say("every host stands where it should")


def _second_wave(rig: Rig, screen: Screen, told: Told) -> None:
    orders = fleet.second_wave(rig.worlds.described["azure"]["subscriptions"])
    screen.say(f"{len(orders)} more VMs appear, and {fleet.STOPPED} is started")
    _order(rig, told, orders)
    rig.worlds.post(f"/azure/vms/{fleet.STOPPED}/start")


def _order(rig: Rig, told: Told, orders: list[fleet.Order]) -> None:
    answer: dict[str, list[dict[str, Any]]] = rig.worlds.post("/azure/vms", orders)
    told.vms |= {vm["name"]: vm["vmId"] for vm in answer["vms"]}


def _watch(rig: Rig, screen: Screen, told: Told, reached: Reached, *, seconds: float, what: str) -> None:
    """Show the fleet until `reached`; raises NotInTime, which tells how everything stood."""

    def look() -> bool:
        told.hosts = rig.hosts()
        if not told.hosts:
            _refuse_stalled(rig)
        _note(told)
        screen.show(told.hosts)
        return reached(told.hosts)

    wait_until(look, seconds=seconds, what=what, otherwise=rig.state, pause=0.4)


def _refuse_stalled(rig: Rig) -> None:
    """An Estate that nothing will become of: say why, and do not wait. Raises ProcessFailed."""
    conditions = rig.estate().get("status", {}).get("conditions", ())
    stalled = next((each for each in conditions if each["type"] == "Stalled" and each["status"] == "True"), None)
    if stalled is not None:
        raise ProcessFailed(f"the operator cannot keep the Estate: {stalled['reason']}: {stalled['message']}")


def _note(told: Told) -> None:
    """Remember what will be gone at the end."""
    for host in told.hosts:
        grouped, agent = host.condition("Grouped"), host.condition("AgentPaired")
        if grouped.reason == "GroupLocked":
            told.lock_message = grouped.message
        if host.vm == fleet.STOPPED and agent.reason == "VMNotRunning":
            told.waited_stopped = True


def _all_begun(hosts: Sequence[Host], told: Told) -> bool:
    """Whether a script is known to have begun on every VM that runs.

    Killed a moment earlier, the operator could not know whether the latest starts had reached Azure. It would not start
    a second installer, but wait for the first one's key to have expired: half an hour, too long for a demo.
    """
    begun = {host.vm for host in hosts if host.raw.get("status", {}).get("agent", {}).get("startedAt")}
    return begun >= set(told.vms) - {fleet.STOPPED}


def _running(rig: Rig) -> int:
    """Scripts that run inside VMs now."""
    ended = len(rig.worlds.ledger("azure", "world.script-ended"))
    return len(rig.worlds.scripts()) - ended


def _commissioned(hosts: Sequence[Host]) -> int:
    return sum(host.commissioned for host in hosts)


def _settled(hosts: Sequence[Host], told: Told) -> bool:
    """Whether every VM has a record, and each is commissioned or open for its own reason."""
    if {host.vm_id for host in hosts} != set(told.vms.values()):
        return False
    return all(_stands(host) for host in hosts)


def _stands(host: Host) -> bool:
    match host.vm:
        case fleet.REFUSED:
            return host.blocked
        case fleet.HELD:
            return host.true("AgentPaired") and host.condition("Labelled").reason == _STAYS_OPEN[fleet.HELD]
        case _:
            return host.commissioned
