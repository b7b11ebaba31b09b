"""Whoever may write workloads in the PCE may write our stamp: what they gain by it (S3), in the whole engine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.engine.test_reconciler import COMMISSIONED, commissioned, effects, rounds
from tests.unit.engine.test_retirement import LONG_ENOUGH, reason

from lab.memory import samples as m
from lab.memory.world import RULES, Process, World, forgotten, until, vm
from microseg.engine.ground.workers import Workers
from microseg.model.approval import ApprovalAction
from microseg.model.azure_facts import Vm
from microseg.model.condition import ConditionType, Reason, find
from microseg.model.illumio_facts import Label, Workload

PAYROLL = "/orgs/50/workloads/0f1e2d3c-0000-4000-8000-0000000000ff"
"""Somebody else's workload."""


def theirs(made: Vm | None = None, **changes: object) -> Workload:
    """It, as the PCE shows it; with the stamp of a VM of ours where one is given."""
    stamp = {"external_set": m.MARK, "external_reference": made.vm_id} if made else {}
    plain = m.workload(
        href=PAYROLL, ven="/orgs/50/vens/ff", hostname="payroll", addresses=frozenset({"192.0.2.9"}),
        labels=(Label("app", "Payroll", "/orgs/50/labels/9"),), enforcement_mode="idle",
    )  # fmt: skip
    return replace(plain, **(stamp | changes))  # type: ignore[arg-type]  # fields of Workload


def own(world: World, made: Vm) -> Workload:
    """The workload of this VM."""
    uuid = f"{made.vm_id[:-12]}{int(made.vm_id[-12:]) + 500:012}"
    return world.illumio.stored[f"/orgs/50/workloads/{uuid}"]


def told(world: World, made: Vm) -> str:
    found = find(world.host(made).status.conditions, ConditionType.AGENT_PAIRED)
    return found.message if found is not None else ""


def untouched(world: World, before: Workload) -> bool:
    """Whether the operator wrote nothing on it, and asked for nothing."""
    asked = [arguments for name, arguments in world.journal.lines if name.startswith("illumio.") and arguments]
    return world.illumio.stored[PAYROLL] == before and not any(
        PAYROLL in repr(arguments) or before.ven in repr(arguments) for arguments in asked
    )


async def test_a_stamp_on_a_workload_without_the_vms_address_pairs_nothing_and_labels_nothing(
    workers: Workers,
) -> None:
    world = World(vm(1), vm(2))
    forged = world.illumio.stored[PAYROLL] = theirs(vm(1))
    async with Process(world, workers).running():
        await until(lambda: world.standings() == {"commissioned": 1, "blocked": 1})
        await rounds(world, 3)
        assert reason(world, 1) == Reason.IDENTITY_MISMATCH
        assert "carries this VM's stamp, and has none of its addresses" in told(world, vm(1))
        assert len(world.azure.puts) == 1, "nothing is started on it: the workload may be its own all the same"
        assert untouched(world, forged)
        world.illumio.stored[PAYROLL] = theirs()
        await until(lambda: world.all_are(COMMISSIONED))
    assert untouched(world, theirs())


@pytest.mark.parametrize("reference", [str.lower, str.upper], ids=["as ours", "in another letter case"])
async def test_a_second_workload_with_one_stamp_is_left_alone_and_told(workers: Workers, reference: object) -> None:
    assert callable(reference)
    world = await commissioned(2, workers)
    forged = world.illumio.stored[PAYROLL] = theirs(vm(1), external_reference=reference(vm(1).vm_id))
    world.illumio.stored = dict(sorted(world.illumio.stored.items(), key=lambda each: each[0] != PAYROLL))
    before = effects(world)
    async with Process(world, workers, term=4).running():
        await until(lambda: world.all_are(COMMISSIONED) and forged.uuid in told(world, vm(1)))
        await rounds(world, 2)
        assert effects(world) == before
        world.delete(vm(1))
        world.illumio.stored[PAYROLL] = forged
        await until(lambda: reason(world, 1) == Reason.NOT_SEEN)
        world.ahead = LONG_ENOUGH
        await until(lambda: reason(world, 1) == Reason.GONE_UNPROVEN)  # it may be the VM's, and lives
        world.illumio.stored[PAYROLL] = replace(forged, online=False)
        await until(lambda: len(world.hosts.stored) == 1)
    assert untouched(world, replace(forged, online=False))


async def test_a_stamp_that_is_moved_to_another_workload_moves_no_label_no_group_and_no_unpairing(
    workers: Workers,
) -> None:
    world = await commissioned(2, workers)
    world.map(RULES.replace("tags: {app: [Orchestrate]}", "labels: {loc: [EU]}"))
    real = own(world, vm(1))
    real = world.illumio.stored[real.href] = replace(
        real, labels=(*real.labels, Label("loc", "EU", "/orgs/50/labels/eu"))
    )
    other = own(world, vm(0))
    world.illumio.stored[other.href] = replace(other, labels=(*other.labels, Label("loc", "EU", "/orgs/50/labels/eu")))
    async with Process(world, workers, term=4).running():
        await until(lambda: world.all_are(COMMISSIONED))
        published = dict(world.check_point.published)
        assert world.groups() == {"0": {"SO"}, "1": {"SO"}}
        # with the VM's own address and hostname, which a PCE's user may give to a workload of theirs
        forged = theirs(vm(1), addresses=real.addresses, hostname=real.hostname)
        world.illumio.stored |= {PAYROLL: forged, real.href: replace(real, external_set="", external_reference="")}
        await until(lambda: reason(world, 1) == Reason.IDENTITY_MISMATCH)
        await rounds(world, 3)
        assert f"the record names {real.uuid}" in told(world, vm(1))
        assert untouched(world, forged)
        assert world.check_point.published == published
        world.illumio.stored[PAYROLL] = theirs()
        await until(lambda: world.all_are(COMMISSIONED))
        assert own(world, vm(1)).external_reference == vm(1).vm_id, "its own is stamped again"


async def test_a_host_whose_workload_lost_its_stamp_leaves_no_group_that_depends_on_labels(workers: Workers) -> None:
    world = await commissioned(1, workers)
    world.map(RULES.replace("tags: {app: [Orchestrate]}", "labels: {loc: [EU]}"))
    real = own(world, vm(0))
    world.illumio.stored[real.href] = replace(real, labels=(*real.labels, Label("loc", "EU", "/orgs/50/labels/eu")))
    async with Process(world, workers, term=4).running():
        await until(lambda: world.all_are(COMMISSIONED))
        before = world.count("checkpoint.publish")
        bare = replace(world.illumio.stored[real.href], external_set="", external_reference="")
        world.illumio.stored[real.href] = bare
        await until(lambda: own(world, vm(0)).external_reference == vm(0).vm_id)
        await until(lambda: world.all_are(COMMISSIONED))
        await rounds(world, 2)
        assert (world.count("checkpoint.publish"), world.groups()) == (before, {"0": {"SO"}})


async def test_a_forgetful_start_believes_a_stamp_where_the_address_is_the_vms_and_no_other(workers: Workers) -> None:
    world = await commissioned(3, workers)
    real = own(world, vm(1))
    world.illumio.stored[real.href] = replace(real, addresses=frozenset({"192.0.2.9"}))
    before = effects(world)
    forgotten(world)
    async with Process(world, workers, term=4).running():
        await until(lambda: world.standings() == {"commissioned": 2, "blocked": 1})
        await rounds(world, 2)
        assert effects(world) == before
        assert reason(world, 1) == Reason.IDENTITY_MISMATCH
        world.illumio.stored[real.href] = real
        await until(lambda: world.all_are(COMMISSIONED))
    assert effects(world) == before


async def test_a_person_vouches_for_a_stamp_that_the_facts_do_not_bear_out(workers: Workers) -> None:
    world = await commissioned(1, workers)
    real = own(world, vm(0))
    world.illumio.stored[real.href] = replace(real, addresses=frozenset({"192.0.2.9"}))
    forgotten(world)
    async with Process(world, workers, term=4).running():
        await until(lambda: reason(world, 0) == Reason.IDENTITY_MISMATCH)
        what = f"{vm(0).vm_id}@{real.uuid}"
        assert f"`microseg approve adoption {what}`" in told(world, vm(0))
        world.approvals.approve(ApprovalAction.ADOPT, what, world.now())
        await until(lambda: world.all_are(COMMISSIONED))


async def test_the_stamp_of_a_vm_that_never_was_ends_in_a_record_that_goes_and_touches_nothing(
    workers: Workers,
) -> None:
    world = await commissioned(1, workers)
    forged = world.illumio.stored[PAYROLL] = theirs(vm(77), online=False)
    before = effects(world)
    async with Process(world, workers, term=4).running():
        await until(lambda: len(world.hosts.stored) == 2)
        await until(lambda: world.host(vm(77)).status.reason != "")
        await rounds(world, 2)
        world.ahead = LONG_ENOUGH
        await rounds(world, 3)
        assert effects(world) == before
        assert untouched(world, forged)
