"""Whole passes in memory: from an unknown VM to a commissioned host, through failures, and then to silence."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from lab.memory import samples as m
from lab.memory.world import PREFIX, Process, World, forgotten, until, vm
from microseg.engine.ground.workers import Workers
from microseg.gateways.ports import Busy, OutcomeUnknown, Refused, Throttled, Unreachable
from microseg.kube.revisions import MappingRevision
from microseg.model.checkpoint_facts import Session
from microseg.model.condition import ConditionStatus, ConditionType, Reason, find
from microseg.model.host import ManagedHost

OUTSIDE = (
    "azure.start_run_command", "illumio.make_key", "illumio.update_workloads", "illumio.set_labels",
    "illumio.create_label",
    "checkpoint.put_host", "checkpoint.put_hosts", "checkpoint.join_group", "checkpoint.leave_groups",
    "checkpoint.delete_host", "checkpoint.publish", "checkpoint.install",
)  # fmt: skip
COMMISSIONED = "Commissioned"


def effects(world: World) -> list[str]:
    return world.journal.names(*OUTSIDE)


def holds(host: ManagedHost, kind: ConditionType) -> bool:
    made = find(host.status.conditions, kind)
    return made is not None and made.status == ConditionStatus.TRUE


async def rounds(world: World, count: int = 4) -> None:
    """Let every lane read so many times more."""
    reads = ("azure.list_vms", "illumio.workloads", "checkpoint.last_published")
    before = {name: world.count(name) for name in reads}
    await until(lambda: all(world.count(name) >= before[name] + count for name in reads))


async def commissioned(count: int, workers: Workers) -> World:
    """So many commissioned hosts, and a process that ended well."""
    world = World(*(vm(number) for number in range(count)))
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
    return world


async def test_many_vms_are_commissioned_with_one_script_each_and_few_publishes_and_installs(workers: Workers) -> None:
    world = World(*(vm(number, "Orchestrate" if number % 2 else "Shop") for number in range(40)))
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
        assert len(world.azure.puts) == len(set(world.azure.puts)) == 40
        assert world.count("illumio.make_key") == 40
        assert world.count("checkpoint.publish") <= 6
        assert world.count("checkpoint.install") <= 6
        assert world.count("illumio.set_labels") < 40
        assert {item.groups for item in world.check_point.published.values()} == {frozenset({"SO"}), frozenset({"Web"})}
        assert all(found.external_set == m.MARK for found in world.illumio.stored.values())
        done, writes, outside = len(world.journal.lines), world.count("hosts.patch_status"), effects(world)
        await rounds(world)
        assert (world.count("hosts.patch_status"), effects(world)) == (writes, outside), "steady state is silent"
        assert len(world.journal.lines) > done
    assert world.check_point.session is None, "a clean end leaves no session behind"


async def test_a_pce_that_is_away_delays_labels_and_not_firewall_groups(workers: Workers) -> None:
    world = World(vm(1), vm(2))
    world.illumio.fail("workloads", *[Unreachable("away")] * 100_000)
    async with Process(world, workers).running():
        await until(
            lambda: (
                len(world.hosts.stored) == 2
                and all(holds(host, ConditionType.POLICY_INSTALLED) for host in world.hosts.stored.values())
            )
        )
        assert world.azure.puts == [], "without the PCE's word no script begins"
        world.illumio._fails.clear()
        await until(lambda: world.all_are(COMMISSIONED))
    assert len(world.azure.puts) == 2


async def test_a_check_point_that_is_away_delays_no_agent(workers: Workers) -> None:
    world = World(vm(1), vm(2))
    world.check_point.fail("open", *[Unreachable("away")] * 100_000)
    async with Process(world, workers).running():
        await until(
            lambda: (
                len(world.hosts.stored) == 2
                and all(holds(host, ConditionType.LABELLED) for host in world.hosts.stored.values())
            )
        )
        world.check_point._fails.clear()
        await until(lambda: world.all_are(COMMISSIONED))


async def test_hosts_that_need_a_person_hold_up_nobody(workers: Workers) -> None:
    broken, poisoned = vm(3), vm(4)
    world = World(vm(1), vm(2), broken, poisoned, vm(5, "Unknown"), vm(6, power_state="stopped"))
    world.outcome = lambda script: (
        "paired-elsewhere" if script.parameters["MICROSEG_VM_ID"] == broken.vm_id else "paired"
    )
    async with Process(world, workers).running():
        await until(lambda: len(world.hosts.stored) == 6)
        names = {host.spec.vm_id: host.name for host in world.hosts.stored.values()}
        world.check_point.refused = {f"az-{names[poisoned.vm_id]}"}
        await until(
            lambda: world.stages()
            == {
                "vm1": COMMISSIONED, "vm2": COMMISSIONED, "vm3": "Blocked", "vm4": world.stages()["vm4"],
                "vm5": "Labelling", "vm6": "Pairing",
            }
        )  # fmt: skip
    reasons = {host.name.rsplit("-", 1)[0]: host.status.reason for host in world.hosts.stored.values()}
    assert (reasons["vm3"], reasons["vm5"], reasons["vm6"]) == (
        Reason.PAIRED_ELSEWHERE,
        Reason.MAPPING_MISS,
        Reason.VM_NOT_RUNNING,
    )


async def test_a_group_that_somebody_holds_is_joined_when_it_is_free(workers: Workers) -> None:
    world = World(vm(1), vm(2, "Shop"))
    world.check_point.locked = {"Web": "anna"}
    async with Process(world, workers).running():
        await until(lambda: world.stages().get("vm1") == COMMISSIONED)
        shop = next(host for host in world.hosts.stored.values() if host.name.startswith("vm2"))
        grouped = find(shop.status.conditions, ConditionType.GROUPED)
        assert grouped is not None
        assert (grouped.reason, "anna" in grouped.message) == (Reason.GROUP_LOCKED, True)
        world.check_point.locked = {}
        await until(lambda: world.all_are(COMMISSIONED))


async def test_a_restart_repeats_nothing(workers: Workers) -> None:
    world = await commissioned(5, workers)
    before, writes = effects(world), world.count("hosts.patch_status")
    async with Process(world, workers, term=4).running():
        await rounds(world)
    assert (effects(world), world.count("hosts.patch_status")) == (before, writes)


@pytest.mark.parametrize("unread", ["illumio", "azure", "check_point"])
async def test_a_start_leaves_those_who_wait_for_a_person_as_they_are_until_each_system_was_read(
    workers: Workers, unread: str
) -> None:
    elsewhere = vm(1)
    world = World(elsewhere, vm(2, "Unknown"), vm(3))
    world.outcome = lambda script: (
        "paired-elsewhere" if script.parameters["MICROSEG_VM_ID"] == elsewhere.vm_id else "paired"
    )
    stages = {"vm1": "Blocked", "vm2": "Labelling", "vm3": COMMISSIONED}
    async with Process(world, workers).running():
        await until(lambda: world.stages() == stages)
        await rounds(world)
    before, told = dict(world.hosts.stored), len(world.events.posted)
    system, read = {
        "illumio": (world.illumio, "workloads"), "azure": (world.azure, "list_vms"),
        "check_point": (world.check_point, "open"),
    }[unread]  # fmt: skip
    system.fail(read, *[Unreachable("away")] * 100_000)
    others = [name for name in ("azure.list_vms", "illumio.workloads") if read not in name]
    async with Process(world, workers, term=4).running():
        reads = {name: world.count(name) for name in others}
        await until(lambda: all(world.count(name) >= reads[name] + 3 for name in others))
        await until(lambda: world.condition(REACHABLE[unread]) is not None and unreachable(world, unread))
        assert world.hosts.stored == before
        system._fails.clear()
        await until(lambda: not unreachable(world, unread))
        await rounds(world)
        assert world.hosts.stored == before
    news = {reason for reason, _, _ in world.events.posted[told:]}
    assert news <= {"Unreachable", "Reachable"}, "the system that is away, and nothing of the hosts"


REACHABLE = {
    "illumio": ConditionType.ILLUMIO_REACHABLE,
    "azure": ConditionType.AZURE_REACHABLE,
    "check_point": ConditionType.CHECK_POINT_REACHABLE,
}


def unreachable(world: World, system: str) -> bool:
    found = world.condition(REACHABLE[system])
    return found is not None and found.status == ConditionStatus.FALSE


async def test_after_a_restart_nobody_says_that_there_is_no_mapping_before_it_was_read(workers: Workers) -> None:
    world = await commissioned(2, workers)
    writes, read = world.count("hosts.patch_status"), threading.Event()
    kept = world.revisions.list

    def slow(mapping: str) -> tuple[MappingRevision, ...]:
        read.wait(10)
        return kept(mapping)

    world.revisions.list = slow  # type: ignore[method-assign]
    async with Process(world, workers, term=4).running():
        await rounds(world)
        read.set()
        await rounds(world)
    assert world.count("hosts.patch_status") == writes


async def test_a_forgetful_start_adopts_what_it_sees(workers: Workers) -> None:
    """S12: every record was lost; nothing is installed, published or written outside again."""
    world = await commissioned(5, workers)
    before = effects(world)
    forgotten(world)
    async with Process(world, workers, term=4).running():
        await until(lambda: world.all_are(COMMISSIONED))
        await rounds(world)
    assert effects(world) == before


async def test_an_estate_that_observes_changes_nothing_outside(workers: Workers) -> None:
    world = World(vm(1), vm(2))
    world.spec(mode="Observe")
    async with Process(world, workers).running():
        await until(
            lambda: (
                len(world.hosts.stored) == 2
                and Reason.OBSERVING in {h.status.reason for h in world.hosts.stored.values()}
            )
        )
        await rounds(world)
    assert effects(world) == []


async def test_drift_is_mended_and_shown(workers: Workers) -> None:
    world = await commissioned(2, workers)
    name, item = next(iter(world.check_point.published.items()))
    world.check_point.published[name] = replace(item, groups=frozenset())
    world.check_point.revisions.append(replace(world.check_point.revisions[-1], uid="by-hand"))
    href, found = next(iter(world.illumio.stored.items()))
    world.illumio.stored[href] = replace(found, labels=())
    async with Process(world, workers, term=4).running():
        await until(
            lambda: world.check_point.published[name].groups == {"SO"} and bool(world.illumio.stored[href].labels)
        )
        await until(lambda: world.all_are(COMMISSIONED))
    drifted = [
        args[1] for args in world.journal.of("hosts.patch_status")
        if (made := find(args[1].conditions, ConditionType.DRIFTED)) and made.status == ConditionStatus.TRUE
    ]  # fmt: skip
    assert drifted
    assert len(world.azure.puts) == 2


async def test_a_changed_tag_moves_the_host_and_a_label_that_the_pce_lacks_is_created_once(workers: Workers) -> None:
    world = await commissioned(3, workers)
    world.add(*(vm(number, "Shop") for number in range(3)))
    async with Process(world, workers, term=4).running():
        await until(lambda: {item.groups for item in world.check_point.published.values()} == {frozenset({"Web"})})
        await until(lambda: world.all_are(COMMISSIONED))
    assert world.count("illumio.create_label") == 1
    assert {label.value for found in world.illumio.stored.values() for label in found.labels} == {"Shop", "Dev"}


async def test_nothing_is_in_doubt_while_the_answer_to_a_start_is_on_its_way(workers: Workers) -> None:
    world = World(vm(1))
    told: list[str] = []

    def look() -> None:
        time.sleep(0.2)
        told.append(world.host(vm(1)).status.reason)

    world.azure.meanwhile("start_run_command", look)
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
    assert told == [Reason.INSTALLING_AGENT]


async def test_label_keys_are_ours_in_the_record_before_they_are_in_the_pce(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(vm(1), vm(2))
    write, owned = world.hosts.patch_status, set[tuple[str, ...]]()

    def slowly(*args: Any) -> ManagedHost:
        time.sleep(0.2)
        return write(*args)

    def look() -> None:
        records = (host.status.illumio for host in world.hosts.stored.values())
        owned.update(record.owned_keys for record in records if record is not None)

    monkeypatch.setattr(world.hosts, "patch_status", slowly)
    for _ in range(9):
        world.illumio.meanwhile("set_labels", look)
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
    assert ("app", "env") in owned
    assert {host.status.illumio.owned_keys for host in world.hosts.stored.values() if host.status.illumio} == {
        ("app", "env")
    }


async def test_a_vm_whose_list_is_short_once_loses_nothing(workers: Workers) -> None:
    world = await commissioned(3, workers)
    gone, before = world.azure.vms.pop(), effects(world)
    async with Process(world, workers, term=4).running():
        await rounds(world)
        assert effects(world) == before
        host = next(host for host in world.hosts.stored.values() if host.spec.vm_id == gone.vm_id)
        assert [made.status for made in host.status.conditions[:5]].count(ConditionStatus.TRUE) == 4
        world.add(gone)
        await until(lambda: world.all_are(COMMISSIONED))
    assert effects(world) == before


async def test_transient_errors_of_every_kind_need_no_person(workers: Workers) -> None:
    world = World(vm(1), vm(2), vm(3))
    world.azure.fail("list_vms", Unreachable("x"))
    world.azure.fail("start_run_command", Busy("x"))
    world.illumio.fail("workloads", Throttled("x", 0.0), Refused("x"))
    world.illumio.fail("update_workloads", Unreachable("x"))
    world.illumio.lose("set_labels", OutcomeUnknown("x"))
    world.check_point.fail("put_host", Unreachable("x"))
    world.check_point.lose("publish", OutcomeUnknown("x"))
    world.check_point.fail("install", Busy("x"))
    world.check_point.lose("install", OutcomeUnknown("x"))
    process = Process(world, workers)
    async with process.running():
        for number in range(60):
            process.later(seconds=number)
            process.parts.lanes.check_point.installs._not_before.clear()
            process.parts.lanes.check_point._not_before = process.parts.lanes.illumio._not_before = 0.0
            for schedule in process.parts.lanes.schedules:
                schedule._due = schedule._paused_until = 0.0
                schedule.wake()
            await asyncio.sleep(0.05)
            if world.all_are(COMMISSIONED):
                break
        await until(lambda: world.all_are(COMMISSIONED))
    assert len(set(world.azure.puts)) == len(world.azure.puts) == 3
    assert not any(host.status.stage == "Blocked" for host in world.hosts.stored.values())


# Check Point's sessions -------------------------------------------------------------------------------------------


async def test_only_ones_own_sessions_of_earlier_terms_are_discarded(workers: Workers) -> None:
    world = World(vm(1))
    world.check_point.others = [
        Session("old", f"{PREFIX}2", changes=3),
        Session("crashed", f"{PREFIX}3"),
        Session("successor", f"{PREFIX}4"),
        Session("neighbour", "microseg/plant/respiro-2/1"),
        Session("person", "anna"),
        Session("odd", f"{PREFIX}x"),
        Session("odder", f"{PREFIX}\u00b2"),
        Session("unnamed", ""),
    ]
    async with Process(world, workers, term=3).running():
        await until(lambda: world.all_are(COMMISSIONED))
    assert sorted(uid for (uid,) in world.journal.of("checkpoint.discard_session")) == ["crashed", "old"]


async def test_a_session_that_was_lost_in_this_term_is_discarded_by_the_next_one(workers: Workers) -> None:
    """Its sid is gone, and at the server its locks live on."""
    world = World(vm(1))

    def lose() -> None:
        lost = world.check_point.session
        assert lost is not None
        world.check_point.others.append(lost)
        world.check_point.session = None

    world.check_point.meanwhile("validations", lose)
    world.check_point.fail("publish", Busy("the session was lost"))
    async with Process(world, workers, term=3).running():
        await until(lambda: world.all_are(COMMISSIONED))
    assert world.check_point.others == []
    assert len(world.journal.of("checkpoint.discard_session")) == 1


async def test_without_news_only_the_revision_and_the_gateways_are_read(workers: Workers) -> None:
    world = await commissioned(2, workers)
    async with Process(world, workers, term=4).running():
        await rounds(world, 2)
        full = world.count("checkpoint.hosts")
        await rounds(world, 3)
        assert world.count("checkpoint.hosts") == full
        world.check_point.revisions.append(replace(world.check_point.revisions[-1], uid="by-hand"))
        await until(lambda: world.count("checkpoint.hosts") == full + 1)


async def test_what_is_read_while_a_publish_lands_counts_as_of_that_publish(workers: Workers) -> None:
    """S8: an install of the revision before it must not count for what it brought."""
    world = await commissioned(2, workers)
    process = Process(world, workers, term=4)
    async with process.running():
        await rounds(world, 2)
        full, newest = world.count("checkpoint.hosts"), world.check_point.revisions[-1]
        world.check_point.meanwhile(
            "hosts", lambda: world.check_point.revisions.append(replace(newest, uid="in-the-midst"))
        )
        world.check_point.revisions.append(replace(newest, uid="by-hand"))
        await until(lambda: world.count("checkpoint.hosts") > full)
        seen = set()
        while world.count("checkpoint.hosts") == full + 1:
            seen.add(_revision(process))
            await asyncio.sleep(0.001)
        assert seen <= {newest.uid, "in-the-midst"}
        await until(lambda: _revision(process) == "in-the-midst")
        await rounds(world, 3)
        assert world.count("checkpoint.hosts") == full + 2, "read once more, and then no more"


def _revision(process: Process) -> str:
    check_point = process.table.latest.check_point
    return check_point.last.uid if check_point and check_point.last else ""


# promises ---------------------------------------------------------------------------------------------------------


async def test_what_each_systems_lists_left_out_stands_in_its_condition_and_is_counted(workers: Workers) -> None:
    world = World(vm(1))
    systems = {
        "azure": (world.azure, ConditionType.AZURE_REACHABLE),
        "illumio": (world.illumio, ConditionType.ILLUMIO_REACHABLE),
        "checkpoint": (world.check_point, ConditionType.CHECK_POINT_REACHABLE),
    }
    for name, (fake, _) in systems.items():
        fake.left_out = (f"one item of {name} cannot be read",)
    process = Process(world, workers)
    async with process.running():
        for name, (_, kind) in systems.items():
            sentence = f"one item of {name} cannot be read"
            await until(partial(_says, world, kind, sentence))
        assert process.reconciler.problems() == {"azure": 1, "illumio": 1, "checkpoint": 1}
        assert world.condition(ConditionType.AZURE_REACHABLE).status == ConditionStatus.TRUE  # type: ignore[union-attr]


def _says(world: World, kind: ConditionType, sentence: str) -> bool:
    condition = world.condition(kind)
    return condition is not None and sentence in condition.message


async def test_the_probe_sees_every_loop_of_an_engine(workers: Workers) -> None:
    world = World(vm(1))
    process = Process(world, workers)
    async with process.running():
        await until(lambda: world.all_are(COMMISSIONED))
        writers = {f"host-status-{number}" for number in range(8)}
        loops = {
            "decide",
            "azure",
            "illumio",
            "checkpoint",
            "mapping",
            "retirement",
            "reflector",
            "events",
            "approvals",
        }
        assert set(process.reconciler.beats()) == loops | writers
        assert all(time.monotonic() - at < 30 for at in process.reconciler.beats().values())


async def test_a_loop_that_stands_still_beats_no_more_while_the_others_do(workers: Workers) -> None:
    world, gate = World(vm(1)), threading.Event()
    world.revisions.meanwhile("list", gate.wait)
    process = Process(world, workers)
    try:
        async with process.running():
            await until(lambda: "mapping" in process.reconciler.beats())
            before = dict(process.reconciler.beats())
            await until(lambda: process.reconciler.beats()["azure"] > before["azure"])
            assert process.reconciler.beats()["mapping"] == before["mapping"]
            gate.set()
    finally:
        gate.set()
