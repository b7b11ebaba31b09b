"""The one table: what is acted on is never older than what is known, and tags are believed at the second look."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from tests.unit.engine.conftest import Bench

from lab.memory import samples as m
from lab.memory.world import RULES
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import CheckPointSnapshot, IllumioSnapshot
from microseg.kube.tombstones import Tombstone
from microseg.mapping import parse
from microseg.model.azure_facts import Vm
from microseg.model.azure_record import Address, Nic, Tag
from microseg.model.facts import ABSENT, UNREADABLE, Presence, Seen
from microseg.model.host import HostStatus
from microseg.model.illumio_record import IllumioRecord
from microseg.model.plan import StartScript

OLD, NEW = "Orchestrate", "Shop"


def tagged(app: str) -> Vm:
    return m.vm(tags=(Tag(key="app", value=app),))


def groups(table: HostTable) -> tuple[str, ...]:
    found = table.latest.desired(m.VM_ID, m.NOW)
    assert found is not None
    return found.groups


@pytest.fixture
def table() -> HostTable:
    made = HostTable()
    made.upsert(m.host())
    made.keep_only(frozenset({m.NAME}), began=0.0)
    made.saw_mapping(parse(RULES, "mapping.yaml"))
    made.saw_illumio(IllumioSnapshot.of(m.MARK, (), (), ()))
    return made


# decisions that are out of date -----------------------------------------------------------------------------------


async def test_a_decision_is_carried_out_only_while_it_knows_all_that_is_known(bench: Bench) -> None:
    assert await bench.decide() == (StartScript(m.VM_ID, "install"),)
    bench.table.touch((m.VM_ID,))
    assert list(bench.table.actions.of(StartScript)) == [], "something newer is known"
    await bench.decide()
    assert len(list(bench.table.actions.of(StartScript))) == 1


@pytest.mark.parametrize("events", ["azure", "illumio", "check_point", "rules", "record"])
async def test_news_from_every_side_stop_what_was_decided_before_them(bench: Bench, events: str) -> None:
    await bench.decide()
    match events:
        case "azure":
            bench.table.saw_azure([])
        case "illumio":
            reading = IllumioSnapshot.of(m.MARK, (m.stamped(),), bench.illumio.known, (bench.illumio.profile,))
            bench.table.saw_illumio(reading)
        case "check_point":
            bench.table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), (), (), m.PUBLISHED))
        case "rules":
            bench.table.saw_mapping(parse(RULES, "mapping.yaml"))
        case _:
            bench.hosts.put(msgspec.structs.replace(bench.stored, annotations={"microseg.dev/retry": "agent"}))
            bench.sync()
    assert list(bench.table.actions.of(StartScript)) == []
    assert m.VM_ID in bench.table.dirty


def test_a_record_that_is_older_than_ours_is_passed_over(table: HostTable) -> None:
    ours = m.host(HostStatus(stage="Labelling"), resource_version="12")
    table.upsert(ours)
    table.upsert(m.host(HostStatus(stage="Pairing"), resource_version="9"))
    assert table.hosts[m.VM_ID].record == ours
    made_again = m.host(uid="u2", resource_version="5")
    table.upsert(made_again)
    assert table.hosts[m.VM_ID].record == made_again, "another object's versions do not compare"


def test_a_list_drops_what_was_deleted_and_not_what_was_made_since_it_began(table: HostTable) -> None:
    known = table.hosts[m.VM_ID].known_since
    table.keep_only(frozenset(), began=known - 1)
    assert m.VM_ID in table.hosts
    table.keep_only(frozenset(), began=known + 1)
    assert table.hosts == {}


# tags -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("annotations", [{}, {"microseg.dev/retry": "agent"}], ids=["alike", "told apart"])
def test_of_two_records_of_one_vm_each_may_go_first(table: HostTable, annotations: dict[str, str]) -> None:
    """A backup that is restored over records that were made again may bring them under other names."""
    first = m.host(name="first", uid="u-first")
    second = m.host(name="second", uid="u-second", annotations=annotations)
    for gone, left in ((first, second), (second, first)):
        table.upsert(first)
        table.upsert(second)
        table.drop(gone.name)
        assert set(table.hosts) <= {m.VM_ID}
        table.keep_only(frozenset(), float("inf"))
        assert (dict(table.hosts), table.record(m.VM_ID)) == ({}, None), left.name


def test_a_tag_that_flaps_for_one_poll_moves_nobody(table: HostTable) -> None:
    for app in (OLD, NEW, OLD, NEW, OLD):
        table.saw_azure([tagged(app)])
        assert groups(table) == ("SO",)


def test_a_tag_that_stays_counts_from_the_second_poll_and_the_host_is_decided_then(table: HostTable) -> None:
    table.saw_azure([tagged(OLD)])
    table.saw_azure([tagged(NEW)])
    assert table.latest.azure is not None
    assert table.latest.azure.vms[m.VM_ID].record.tags[0].value == NEW, "the record shows it at once"
    table.dirty.clear()
    table.saw_azure([tagged(NEW)])
    assert (groups(table), table.dirty) == (("Web",), {m.VM_ID})


def test_a_tag_that_goes_on_changing_leaves_the_rules_with_the_last_that_was_believed(table: HostTable) -> None:
    for app in (OLD, NEW, "Third", NEW):
        table.saw_azure([tagged(app)])
    assert groups(table) == ("SO",)


def test_after_a_restart_the_record_is_the_poll_before(table: HostTable) -> None:
    table.upsert(m.host(HostStatus(azure=tagged(OLD).record), resource_version="11"))
    table.saw_azure([tagged(NEW)])
    assert groups(table) == ("SO",)
    table.saw_azure([tagged(NEW)])
    assert groups(table) == ("Web",)


def test_polls_that_come_before_the_records_move_nobody_either() -> None:
    early = HostTable()
    early.saw_mapping(parse(RULES, "mapping.yaml"))
    early.saw_illumio(IllumioSnapshot.of(m.MARK, (), (), ()))
    early.saw_azure([tagged(NEW)])
    early.upsert(m.host(HostStatus(azure=tagged(OLD).record)))
    early.keep_only(frozenset({m.NAME}), began=0.0)
    assert groups(early) == ("SO",)
    early.saw_azure([tagged(OLD)])
    assert groups(early) == ("SO",)


def test_a_vm_that_is_seen_for_the_first_time_waits_for_nothing(table: HostTable) -> None:
    table.saw_azure([tagged(NEW)])
    assert groups(table) == ("Web",)


# addresses --------------------------------------------------------------------------------------------------------


def address(table: HostTable, vm_id: str = m.VM_ID) -> str:
    seen = table.latest.vm(vm_id)
    assert seen is not None
    return seen.record.addresses()[0].ip


def test_a_changed_address_counts_at_once_and_one_that_flaps_at_every_poll_does_not(table: HostTable) -> None:
    believed = []
    for ip in ("10.1.0.4", "10.1.0.5") * 6:
        table.saw_azure([m.vm(ip)])
        believed.append(address(table))
    assert believed == ["10.1.0.4", *["10.1.0.5"] * 11], "one change, and so one publish"
    table.saw_azure([m.vm("10.1.0.4")])
    table.saw_azure([m.vm("10.1.0.4")])
    assert address(table) == "10.1.0.4", "the second within the hour, in the second poll in a row"


def test_each_further_change_within_an_hour_waits_for_one_poll_more() -> None:
    now = [m.NOW]
    table = HostTable(lambda: now[0])
    waited = []
    for ip in ("10.1.0.4", "10.1.0.5", "10.1.0.4", "10.1.0.5", "10.1.0.4"):
        polls = 0
        while not polls or address(table) != ip:
            table.saw_azure([m.vm(ip)])
            polls += 1
        waited.append(polls)
    assert waited == [1, 1, 2, 3, 4]
    now[0] += timedelta(hours=1, seconds=1)
    table.saw_azure([m.vm("10.1.0.5")])
    assert address(table) == "10.1.0.5", "an hour later it is a first change again"


def test_a_held_address_that_azure_gave_to_another_vm_is_held_no_longer(table: HostTable) -> None:
    for ip in ("10.1.0.4", "10.1.0.5", "10.1.0.4"):
        table.saw_azure([m.vm(ip)])
    assert address(table) == "10.1.0.5"
    table.saw_azure([m.vm("10.1.0.4"), replace(m.vm("10.1.0.5"), vm_id=m.OTHER_VM_ID)])
    assert (address(table), address(table, m.OTHER_VM_ID)) == ("10.1.0.4", "10.1.0.5")


def test_two_vms_that_swap_an_address_at_every_poll_keep_what_they_had(table: HostTable) -> None:
    believed = set()
    for first, second_one in (("10.1.0.4", "10.1.0.5"), ("10.1.0.5", "10.1.0.4")) * 4:
        table.saw_azure([m.vm(first), replace(m.vm(second_one), vm_id=m.OTHER_VM_ID)])
        believed.add((address(table), address(table, m.OTHER_VM_ID)))
    assert len(believed) == 2, "one change of both"


# what is missing --------------------------------------------------------------------------------------------------


def test_names_and_ids_in_another_letter_case_are_no_news(table: HostTable) -> None:
    table.saw_azure([m.vm()])
    before = table.latest.vm(m.VM_ID)
    assert before is not None
    record = before.record
    other = msgspec.structs.replace(
        record,
        resource_id=record.resource_id.upper(),
        resource_group=record.resource_group.upper(),
        name=record.name.upper(),
        location=record.location.upper(),
        nics=tuple(msgspec.structs.replace(nic, id=nic.id.upper()) for nic in record.nics),
    )
    table.dirty.clear()
    table.saw_azure([replace(before, record=other)])
    assert (table.dirty, table.latest.vm(m.VM_ID)) == (set(), before)
    elsewhere = msgspec.structs.replace(other, resource_group="OTHER", name="HOST24")
    table.saw_azure([replace(before, record=elsewhere)])
    found = table.latest.vm(m.VM_ID)
    assert found is not None
    assert (found.record.resource_group, found.record.name) == ("OTHER", record.name)
    assert table.dirty == {m.VM_ID}


def test_polls_that_lack_a_vm_are_counted_in_a_row(table: HostTable) -> None:
    for vms, missed in (((), 1), ((), 2), ((tagged(OLD),), 0), ((), 1)):
        table.saw_azure(vms)
        assert table.hosts[m.VM_ID].observed.missed_polls == missed


def test_a_poll_with_a_row_that_cannot_be_read_counts_nobody_as_missing(table: HostTable) -> None:
    for unreadable, missed in ((0, 1), (1, 1), (7, 1), (0, 2)):
        table.saw_azure([], unreadable)
        assert table.hosts[m.VM_ID].observed.missed_polls == missed
        assert table.facts(m.VM_ID).azure == (UNREADABLE if unreadable else ABSENT)
    table.saw_azure([tagged(OLD)], 1)
    assert isinstance(table.facts(m.VM_ID).azure, Seen)
    assert table.hosts[m.VM_ID].observed.missed_polls == 0


@pytest.mark.parametrize("doubt", [(1, {}), (0, {"s2": "main"})])
def test_vms_that_were_read_by_themselves_end_no_doubt_about_the_others(
    table: HostTable, doubt: tuple[int, dict[str, str]]
) -> None:
    table.saw_azure([], *doubt)
    table.saw_azure([replace(m.vm(), vm_id=m.OTHER_VM_ID)], some=True)
    assert table.facts(m.VM_ID).azure == UNREADABLE
    table.saw_azure([])
    assert table.facts(m.VM_ID).azure == ABSENT


def test_hosts_are_decided_again_when_rows_become_unreadable_and_not_at_each_poll(table: HostTable) -> None:
    for unreadable, decided_again in ((1, True), (1, False), (2, False), (0, True), (3, True)):
        table.dirty.clear()
        table.saw_azure([], unreadable)
        assert bool(table.dirty) is decided_again, unreadable


def second(*addresses: str, unreadable: bool = False) -> Nic:
    return Nic(id="/nic/2", addresses=tuple(Address(ip=ip) for ip in addresses), unreadable=unreadable)


@pytest.mark.parametrize("source", ["poll", "record", "late record"])
def test_a_nic_that_cannot_be_read_keeps_the_addresses_that_were_seen_last(source: str) -> None:
    table = HostTable()
    known, hidden = m.vm(nics=(*m.nics(m.IP), second("10.2.0.4"))), m.vm(nics=(*m.nics(m.IP), second(unreadable=True)))
    record = m.host(HostStatus(azure=known.record) if "record" in source else None)
    if source == "late record":
        table.saw_azure([hidden])
    table.upsert(record)
    table.keep_only(frozenset({m.NAME}), began=0.0)
    if source == "poll":
        table.saw_azure([known])
        table.saw_azure([hidden])
        gap = table.latest.vm(m.VM_ID)
        assert gap is not None
        assert gap.record == known.record, "one gap says nothing"
    if source != "late record":
        table.saw_azure([hidden])
    azure = table.facts(m.VM_ID).azure
    assert isinstance(azure, Seen)
    assert [each.ip for each in azure.value.record.addresses()] == [m.IP, "10.2.0.4"]
    assert azure.value.record.unreadable_nics() == ("2",)
    table.saw_azure([m.vm(nics=(*m.nics(m.IP), second("10.2.0.9")))])
    seen = table.latest.vm(m.VM_ID)
    assert seen is not None
    assert [each.ip for each in seen.record.addresses()] == [m.IP, "10.2.0.9"]


def test_a_vm_that_does_not_say_which_nics_it_has_keeps_those_that_it_had(table: HostTable) -> None:
    table.saw_azure([m.vm()])
    table.saw_azure([m.vm(nics=(Nic(id="", unreadable=True),))])
    table.saw_azure([m.vm(nics=(Nic(id="", unreadable=True),))])
    seen = table.latest.vm(m.VM_ID)
    assert seen is not None
    assert [(each.id, each.primary, each.unreadable) for each in seen.record.nics] == [("/nic/1", True, True)]
    assert [each.ip for each in seen.record.addresses()] == [m.IP]


@pytest.mark.parametrize(
    ("vms", "unreadable", "presence"),
    [
        ((), 0, Presence.MISSING),
        ((), 1, Presence.MISSING),
        ((replace(m.vm("10.1.0.9"), vm_id=m.OTHER_VM_ID),), 1, Presence.WITHOUT_IT),
        ((replace(m.vm("10.1.0.9", nics=(second(unreadable=True),)), vm_id=m.OTHER_VM_ID),), 0, Presence.MISSING),
    ],
)
def test_only_a_vm_that_azure_shows_whole_is_seen_without_an_address(
    table: HostTable, vms: tuple[Vm, ...], unreadable: int, presence: Presence
) -> None:
    theirs = m.host_object("az-former", m.IP, "SO", vm_id=m.OTHER_VM_ID)
    table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (theirs,), (), (), m.PUBLISHED))
    table.saw_azure([m.vm(), *vms], unreadable)
    assert [each.presence for each in table.facts(m.VM_ID).rivals[m.IP]] == [presence]


@pytest.fixture
def forgotten(table: HostTable) -> HostTable:
    """No record, no VM, and an object and a workload with our mark."""
    table.drop(m.NAME)
    table.saw_azure([])
    table.saw_illumio(IllumioSnapshot.of(m.MARK, (m.stamped(),), (), ()))
    table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (m.host_object(m.OBJECT, m.IP, "SO"),), (), (), m.PUBLISHED))
    return table


def test_our_things_of_a_vm_that_nobody_knows_get_their_record_back(forgotten: HostTable) -> None:
    assert list(forgotten.latest.orphans(forgotten.hosts)) == [m.VM_ID]


def test_other_owners_things_and_those_of_a_listed_vm_or_of_a_record_are_no_orphans(forgotten: HostTable) -> None:
    theirs = replace(m.stamped(), external_set="microseg.dev/plant/other")
    other = m.host_object(m.OBJECT, m.IP, "SO", owner="plant/other")
    forgotten.saw_illumio(IllumioSnapshot.of(m.MARK, (theirs,), (), ()))
    forgotten.saw_check_point(CheckPointSnapshot.of(m.OWNER, (other,), (), (), m.PUBLISHED))
    assert forgotten.latest.orphans(forgotten.hosts) == {}


def test_nothing_is_an_orphan_while_its_vm_may_be_a_row_that_cannot_be_read(forgotten: HostTable) -> None:
    forgotten.saw_azure([], 1)
    assert forgotten.latest.orphans(forgotten.hosts) == {}


@pytest.mark.parametrize("back", ["record", "vm"])
def test_a_vm_with_a_record_or_in_the_list_has_no_orphans(forgotten: HostTable, back: str) -> None:
    if back == "vm":
        forgotten.saw_azure([m.vm()])
    else:
        forgotten.upsert(m.host())
    assert forgotten.latest.orphans(forgotten.hosts) == {}


def test_a_dead_agents_workload_brings_no_ended_retirement_back_but_an_object_does(forgotten: HostTable) -> None:
    stone = Tombstone(vm_id=m.VM_ID, host=m.NAME, vm="Host24", at=m.NOW, proof="ResourceNotFound", ended_at=m.NOW)
    forgotten.latest.tombstones = {m.VM_ID: stone}
    assert m.VM_ID in forgotten.latest.orphans(forgotten.hosts), (
        "an object is ours to remove, whatever a tombstone says"
    )
    forgotten.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), (), (), m.PUBLISHED))
    assert forgotten.latest.orphans(forgotten.hosts) == {}
    forgotten.latest.tombstones = {m.VM_ID: msgspec.structs.replace(stone, ended_at=None)}
    assert m.VM_ID in forgotten.latest.orphans(forgotten.hosts), "a retirement that was cut off goes on"


def test_a_poll_that_came_before_the_records_forgets_nothing_that_they_know() -> None:
    table, record = HostTable(), m.vm().record
    table.saw_azure([m.vm(agent_ready=None)])
    table.upsert(m.host(HostStatus(azure=msgspec.structs.replace(record, agent_ready=True))))
    table.keep_only(frozenset({m.NAME}), 0.0)
    azure = table.facts(m.VM_ID).azure
    assert isinstance(azure, Seen)
    assert azure.value.record.agent_ready is True


async def test_a_suspension_that_comes_with_the_answer_of_our_own_write_withdraws_the_actions(bench: Bench) -> None:
    await bench.decide()
    assert list(bench.table.actions.of(StartScript))
    spec = msgspec.structs.replace(bench.stored.spec, suspend=True)
    answer = msgspec.structs.replace(
        bench.stored, spec=spec, resource_version=str(int(bench.stored.resource_version) + 1)
    )
    bench.table.wrote(answer)
    bench.table.upsert(answer)  # what the watch brings of it later
    assert not list(bench.table.actions.of(StartScript))
    assert m.VM_ID in bench.table.dirty


def test_a_workload_is_not_missing_while_a_row_of_the_pce_cannot_be_read() -> None:
    table = HostTable()
    record = HostStatus(illumio=IllumioRecord(workload=m.HREF))
    table.upsert(m.host(record))
    for whole, counted in ((True, 1), (False, 1), (False, 1), (True, 2)):
        table.saw_illumio(IllumioSnapshot.of(m.MARK, (), (), (), whole=whole, lost=frozenset({m.VM_ID})))
        assert table.hosts[m.VM_ID].observed.unpaired_readings == counted
