"""One flush: few or many objects, one publish, and whoever is refused holds up only itself (L4, S9)."""

from __future__ import annotations

import pytest
from tests.unit.estate import fakes
from tests.unit.stages import makers as m

from microseg.estate.book import EstateBook
from microseg.estate.clock import SteadyClock
from microseg.estate.lanes.flush import Flush, Result
from microseg.estate.ports import LeaseLost
from microseg.estate.workers import Workers
from microseg.gateways.ports import Busy, OutcomeUnknown, Unreachable
from microseg.kube.errors import Unavailable
from microseg.model.facts import HostObject, Task, TaskState
from microseg.model.plan import DropObject, FirewallChange, PutObject

EFFECTS = ("cp.put_host", "cp.put_hosts", "cp.join_group", "cp.leave_group", "cp.delete_host", "cp.publish")


class Desk:
    """A flush and all that it touches."""

    def __init__(self, workers: Workers) -> None:
        self.journal = fakes.Journal()
        self.cp = fakes.FakeCheckPoint(self.journal)
        self.estates = fakes.FakeEstates(fakes.estate(), self.journal)
        self.term = fakes.FakeTerm()
        self.beats = 0
        self.book = EstateBook(self.estates.stored, self.estates, workers, self.term)
        self.flush = Flush(
            self.cp, self.book, workers, self.term,
            owner=m.OWNER, task_pause=0.0, alive=self._alive, clock=SteadyClock(),
        )  # fmt: skip

    def _alive(self) -> None:
        self.beats += 1

    def here(self, name: str, *groups: str, vm_id: str = "") -> None:
        """A published object of ours."""
        item = HostObject(f"uid-{name}", name, "10.0.0.1", frozenset(groups), m.OWNER, vm_id or f"vm-{name}")
        self.cp.published[name] = item

    async def run(self, *changes: FirewallChange) -> Result:
        return await self.flush.run(self.cp.open("microseg/plant/respiro/3"), changes)

    def count(self, operation: str) -> int:
        return len(self.journal.of(f"cp.{operation}"))


@pytest.fixture
def desk(workers: Workers) -> Desk:
    return Desk(workers)


def put(number: int, *join: str, uid: str = "", leave: tuple[str, ...] = (), vm_id: str = "") -> PutObject:
    return PutObject(
        vm_id or f"vm-{number:03}", f"az-{number:03}", uid, f"10.0.{number // 250}.{number % 250}", join, leave
    )


def puts(count: int, *join: str) -> list[PutObject]:
    return [put(number, *(join or ("SO",))) for number in range(count)]


async def test_few_new_hosts_are_created_with_their_groups_in_the_call_and_published_together(desk: Desk) -> None:
    result = await desk.run(*puts(20))
    assert (len(result.published), result.rejected, result.held_up) == (20, {}, {})
    assert desk.journal.names(*EFFECTS) == ["cp.put_host"] * 20 + ["cp.publish"]
    assert all(item.groups == {"SO"} and item.owner == m.OWNER for item in desk.cp.published.values())


async def test_the_tag_of_the_mark_is_made_sure_of_again_after_a_discard(
    desk: Desk,
) -> None:
    desk.cp.poison = {"az-001"}
    await desk.run(*puts(3))
    assert desk.journal.of("cp.ensure_tag")[0] == (m.MARK,)
    assert desk.journal.names("cp.ensure_tag", "cp.discard", "cp.publish") == [
        "cp.ensure_tag", "cp.discard", "cp.ensure_tag", "cp.publish",
    ]  # fmt: skip


async def test_nothing_is_tagged_where_nothing_is_made(desk: Desk) -> None:
    desk.here("az-001", "SO")
    await desk.run(DropObject("vm-az-001", "az-001", "uid-az-001", ("SO",)))
    assert desk.count("ensure_tag") == 0


async def test_many_new_hosts_are_created_by_batch_and_join_group_by_group(desk: Desk) -> None:
    result = await desk.run(*puts(1200), put(9999, "Web", uid="uid-az-9999"))
    assert len(result.published) == 1201
    assert desk.journal.names(*EFFECTS) == [
        "cp.put_host", "cp.put_hosts", "cp.put_hosts", "cp.put_hosts",
        "cp.join_group", "cp.join_group", "cp.join_group", "cp.publish",
    ]  # fmt: skip
    assert {len(args[0]) for args in desk.journal.of("cp.put_hosts")} == {500, 200}
    assert desk.cp.published["az-1199"].groups == {"SO"}


async def test_the_intent_of_a_publish_is_written_before_it_its_task_and_its_end_after(desk: Desk) -> None:
    await desk.run(put(1, "SO"))
    names = desk.journal.names("estates.patch_status", "cp.validations", "cp.publish")
    assert names == ["cp.validations", "estates.patch_status", "cp.publish", *["estates.patch_status"] * 2]
    first, second, third = (args[0].check_point.publish for args in desk.journal.of("estates.patch_status"))
    assert (first.task, second.task, third.task) == ("", "task-1", "task-1")
    assert (first.done, second.done, third.done) == (False, False, True)
    assert first.digest == second.digest == third.digest
    state = desk.book.status.check_point
    assert state is not None
    assert state.session is not None
    assert state.revision
    assert desk.cp.session is not None
    assert (state.session.uid, state.session.name) == (desk.cp.session.uid, "microseg/plant/respiro/3")
    assert desk.beats > 0, "the probe hears of it while tasks run"


async def test_an_intent_that_cannot_be_written_is_followed_by_no_publish(desk: Desk) -> None:
    desk.estates.fail("patch_status", Unavailable("away"))
    with pytest.raises(Unavailable):
        await desk.run(put(1, "SO"))
    assert desk.count("publish") == 0


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), Unreachable("away")])
async def test_a_publish_in_doubt_is_not_called_again(desk: Desk, error: Exception) -> None:
    desk.cp.lose("publish", error)
    with pytest.raises(type(error)):
        await desk.run(put(1, "SO"))
    assert desk.count("publish") == 1


async def test_a_changed_object_is_set_and_a_dropped_one_leaves_its_groups_first(desk: Desk) -> None:
    desk.here("az-001", "SO")
    desk.here("az-002", "SO", "Web")
    result = await desk.run(
        put(1, "Web", uid="uid-az-001", leave=("SO",)), DropObject("vm-002", "az-002", "uid-az-002", ("SO", "Web"))
    )
    assert result.published == {"vm-001", "vm-002"}
    assert desk.cp.published["az-001"].groups == {"Web"}
    assert set(desk.cp.published) == {"az-001"}
    assert desk.journal.names(*EFFECTS)[:3] == ["cp.leave_group", "cp.leave_group", "cp.delete_host"]


async def test_a_refused_object_is_named_and_the_others_are_published_at_once(desk: Desk) -> None:
    desk.cp.refused = {"az-003"}
    result = await desk.run(*puts(6))
    assert result.rejected == {"vm-003": "az-003 is refused."}
    assert (len(result.published), desk.count("publish"), desk.count("discard")) == (5, 1, 0)


async def test_a_lock_holds_only_the_hosts_that_need_it(desk: Desk) -> None:
    desk.cp.locked = {"Web": "anna"}
    desk.here("az-009", "Web")
    result = await desk.run(put(1, "SO"), put(2, "Web"), DropObject("vm-009", "az-009", "uid-az-009", ("Web",)))
    assert (result.published, result.rejected, set(result.held_up)) == ({"vm-001"}, {}, {"vm-002", "vm-009"})
    assert set(desk.cp.published) == {"az-001", "az-009"}


async def test_of_a_large_batch_members_of_a_locked_group_are_published_without_it(desk: Desk) -> None:
    desk.cp.locked = {"Web": "anna"}
    result = await desk.run(*puts(25, "SO", "Web"))
    assert (len(result.published), len(result.held_up), desk.count("publish")) == (25, 25, 1)
    assert {item.groups for item in desk.cp.published.values()} == {frozenset({"SO"})}


async def test_where_nothing_can_be_brought_in_nothing_is_published(desk: Desk) -> None:
    desk.cp.refused = {"az-001"}
    result = await desk.run(put(1, "SO"))
    assert (result.published, desk.count("publish"), desk.count("validations")) == (set(), 0, 0)
    assert desk.journal.of("estates.patch_status") == []


@pytest.mark.parametrize("count", [1, 8, 40])
@pytest.mark.parametrize("telling", [True, False])
async def test_poison_is_isolated_by_its_name_or_by_halves_and_the_rest_is_published(
    desk: Desk, count: int, *, telling: bool
) -> None:
    desk.cp.poison, desk.cp.telling = {"az-000"}, telling
    result = await desk.run(*puts(count))
    assert set(result.rejected) == {"vm-000"}
    assert len(result.published) == count - 1
    assert set(desk.cp.published) == {f"az-{number:03}" for number in range(1, count)}
    if telling:
        assert (desk.count("publish"), desk.count("discard")) == (min(count - 1, 1), 1)


async def test_two_poisoned_hosts_among_many_are_both_found(desk: Desk) -> None:
    desk.cp.poison, desk.cp.telling = {"az-007", "az-031"}, False
    result = await desk.run(*puts(40))
    assert set(result.rejected) == {"vm-007", "vm-031"}
    assert len(desk.cp.published) == 38


@pytest.mark.parametrize("telling", [True, False])
async def test_a_batch_task_that_fails_is_taken_apart_too(desk: Desk, *, telling: bool) -> None:
    desk.cp.poison_batch, desk.cp.telling = {"az-010"}, telling
    desk.cp.poison = {
        "az-010"
    }  # where the halves are small enough, the single call lets it in and the validation finds it
    result = await desk.run(*puts(30))
    assert set(result.rejected) == {"vm-010"}
    assert len(result.published) == 29


async def test_a_name_that_begins_with_another_is_not_taken_for_it(desk: Desk) -> None:
    changes = [PutObject(f"vm-{name}", name, "", "10.0.0.9", ("SO",)) for name in ("az-web", "az-web-2", "az-web.3")]
    desk.cp.poison = {"az-web-2"}
    result = await desk.run(*changes)
    assert set(result.rejected) == {"vm-az-web-2"}
    assert set(desk.cp.published) == {"az-web", "az-web.3"}


async def test_both_objects_of_a_poisoned_host_are_left_out(desk: Desk) -> None:
    desk.cp.poison = {"az-001"}
    result = await desk.run(put(1, "SO", vm_id="vm"), put(2, "SO", vm_id="vm"), put(3, "SO"))
    assert (set(result.rejected), result.published, set(desk.cp.published)) == ({"vm"}, {"vm-003"}, {"az-003"})


@pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.PARTIAL])
@pytest.mark.parametrize("messages", [("Object az-001 is not valid.",), ()])
async def test_a_publish_that_does_not_succeed_is_not_success(
    desk: Desk, state: TaskState, messages: tuple[str, ...]
) -> None:
    def spoil() -> None:
        desk.cp.tasks["task-1"] = [Task("task-1", state, messages=messages)]

    desk.cp.meanwhile("task", spoil)
    result = await desk.run(put(1, "SO"))
    assert result.published == set()
    assert set(result.rejected) == {"vm-001"}
    assert desk.count("discard") == 1


async def test_without_the_lease_no_effect_is_tried(desk: Desk) -> None:
    desk.term.lose_after(0)
    with pytest.raises(LeaseLost):
        await desk.run(put(1, "SO"))
    assert desk.journal.names(*EFFECTS) == []


async def test_an_unreachable_server_ends_the_flush_without_a_publish(desk: Desk) -> None:
    desk.cp.fail("put_host", Unreachable("away"))
    with pytest.raises(Unreachable):
        await desk.run(*puts(3))
    assert desk.count("publish") == 0


async def test_a_busy_publish_is_the_callers_to_try_again(desk: Desk) -> None:
    desk.cp.fail("publish", Busy("another publish runs"))
    with pytest.raises(Busy):
        await desk.run(put(1, "SO"))
