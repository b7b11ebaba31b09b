"""What a host's onboarding costs, in counts: a run of 500 hosts is compared with recorded figures (docs/scale.md).

Counts, not seconds: the same on any machine. A figure may fall; what makes one rise grows with every fleet.
"""

from __future__ import annotations

from collections import Counter

import pytest
from tests.unit.engine.test_reconciler import COMMISSIONED, rounds

from lab.memory.world import Process, World, until, vm
from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.budgets import closest_readings
from microseg.planning.decide import Decision

HOSTS = 500
RECORDED = {
    "azure.vm": 1.0,
    "azure.run_commands": 1.0,
    "azure.run_command": 1.0,
    "azure.start_run_command": 1.0,
    "azure.delete_run_command": 1.0,
    "illumio.make_key": 1.0,
    "hosts.create": 1.0,
    "hosts.patch_status": 8.5,
    "decisions": 18.0,
    "decisions of the largest share": 30.0,
}
"""Per host, with the headroom that the order of events needs."""


class Decisions(Counter[str]):
    """VmId -> how often it was decided."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        plain = process.table.decided

        def decided(vm_id: str, decision: Decision) -> bool:
            self[vm_id] += 1
            return plain(vm_id, decision)

        process.table.decided = decided  # type: ignore[method-assign]


async def calm(world: World, decisions: Decisions) -> None:
    """The last statuses are written, and used run-commands are deleted."""
    before = None
    while before != (before := (decisions.total(), len(world.hosts.stored), world.count("hosts.patch_status"))):
        await rounds(world, 4)


async def test_the_onboarding_of_500_hosts_costs_no_more_than_recorded(workers: Workers) -> None:
    world = World(*(vm(number) for number in range(HOSTS)))
    process = Process(world, workers)
    decisions = Decisions(process)
    async with process.running():
        await until(
            lambda: (hosts := world.estates.stored.status.hosts) is not None and hosts.commissioned == HOSTS, 120
        )
        await until(lambda: world.all_are(COMMISSIONED))
        asked = Counter(name for name, _ in world.journal.lines)
        found = {name: asked[name] / HOSTS for name in RECORDED if "." in name}
        found["decisions"] = decisions.total() / HOSTS
        found["decisions of the largest share"] = float(max(decisions.values()))
        await calm(world, decisions)
        decisions.clear()
        writes = world.count("hosts.patch_status"), world.count("estates.patch_status")
        await rounds(world, 3)
        quiet = decisions.total(), world.count("hosts.patch_status"), world.count("estates.patch_status")
    assert {name: value for name, value in found.items() if value > RECORDED[name]} == {}
    assert quiet == (0, *writes), "a fleet with nothing to do is not looked at host by host, and nothing is written"


@pytest.mark.parametrize("requests", [1, 4, 12])
def test_readings_of_the_pce_leave_most_of_its_budget_to_the_keys(requests: int) -> None:
    assert requests / closest_readings(requests, 0) <= (0.2 if requests == 1 else 0.06) * 500 / 60


def test_a_longer_list_of_the_pce_is_read_rarer_for_the_sake_of_our_own_changes() -> None:
    assert closest_readings(4, 20_000) == 2 * closest_readings(4, 10_000) == 20.0
