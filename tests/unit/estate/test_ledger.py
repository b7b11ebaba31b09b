"""The one table: what is acted on is never older than what is known, and tags are believed at the second look."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from tests.unit.estate.conftest import Bench
from tests.unit.estate.world import RULES
from tests.unit.stages import makers as m

from microseg.estate.ledger import Ledger
from microseg.estate.readings import FirewallReading, PceReading
from microseg.kube.tombstones import Tombstone
from microseg.mapping import parse
from microseg.model.facts import Vm
from microseg.model.host import HostStatus, Tag
from microseg.model.plan import StartScript

OLD, NEW = "Orchestrate", "Shop"


def tagged(app: str) -> Vm:
    return m.vm(tags=(Tag(key="app", value=app),))


def groups(ledger: Ledger) -> tuple[str, ...]:
    found = ledger.wanted(m.VM_ID, m.NOW)
    assert found is not None
    return found.groups


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    made.upsert(m.host())
    made.keep_only(frozenset({m.NAME}), began=0.0)
    made.saw_rules(parse(RULES, "mapping.yaml"))
    made.saw_pce(PceReading.of(m.MARK, (), (), ()))
    return made


# decisions that are out of date -----------------------------------------------------------------------------------


async def test_a_decision_is_carried_out_only_while_it_knows_all_that_is_known(bench: Bench) -> None:
    assert await bench.decide() == (StartScript(m.VM_ID, "install"),)
    bench.ledger.touch((m.VM_ID,))
    assert list(bench.ledger.actions(StartScript)) == [], "something newer is known"
    await bench.decide()
    assert len(list(bench.ledger.actions(StartScript))) == 1


@pytest.mark.parametrize("news", ["azure", "pce", "firewall", "rules", "record"])
async def test_news_from_every_side_stop_what_was_decided_before_them(bench: Bench, news: str) -> None:
    await bench.decide()
    match news:
        case "azure":
            bench.ledger.saw_azure([])
        case "pce":
            reading = PceReading.of(m.MARK, (m.stamped(),), bench.pce.labels(), (bench.pce.profile,))
            bench.ledger.saw_pce(reading)
        case "firewall":
            bench.ledger.saw_firewall(FirewallReading.of(m.OWNER, (), (), (), m.PUBLISHED))
        case "rules":
            bench.ledger.saw_rules(parse(RULES, "mapping.yaml"))
        case _:
            bench.hosts.put(msgspec.structs.replace(bench.stored, annotations={"microseg.dev/retry": "agent"}))
            bench.mirror()
    assert list(bench.ledger.actions(StartScript)) == []
    assert m.VM_ID in bench.ledger.dirty


def test_a_record_that_is_older_than_ours_is_passed_over(ledger: Ledger) -> None:
    ours = m.host(HostStatus(stage="Labelling"), resource_version="12")
    ledger.upsert(ours)
    ledger.upsert(m.host(HostStatus(stage="Pairing"), resource_version="9"))
    assert ledger.entries[m.VM_ID].host == ours
    made_again = m.host(uid="u2", resource_version="5")
    ledger.upsert(made_again)
    assert ledger.entries[m.VM_ID].host == made_again, "another object's versions do not compare"


def test_a_list_drops_what_was_deleted_and_not_what_was_made_since_it_began(ledger: Ledger) -> None:
    known = ledger.entries[m.VM_ID].known_since
    ledger.keep_only(frozenset(), began=known - 1)
    assert m.VM_ID in ledger.entries
    ledger.keep_only(frozenset(), began=known + 1)
    assert ledger.entries == {}


# tags -------------------------------------------------------------------------------------------------------------


def test_a_tag_that_flaps_for_one_poll_moves_nobody(ledger: Ledger) -> None:
    for app in (OLD, NEW, OLD, NEW, OLD):
        ledger.saw_azure([tagged(app)])
        assert groups(ledger) == ("SO",)


def test_a_tag_that_stays_counts_from_the_second_poll_and_the_host_is_decided_then(ledger: Ledger) -> None:
    ledger.saw_azure([tagged(OLD)])
    ledger.saw_azure([tagged(NEW)])
    assert ledger.azure is not None
    assert ledger.azure.vms[m.VM_ID].record.tags[0].value == NEW, "the record shows it at once"
    ledger.dirty.clear()
    ledger.saw_azure([tagged(NEW)])
    assert (groups(ledger), ledger.dirty) == (("Web",), {m.VM_ID})


def test_a_tag_that_goes_on_changing_leaves_the_rules_with_the_last_that_was_believed(ledger: Ledger) -> None:
    for app in (OLD, NEW, "Third", NEW):
        ledger.saw_azure([tagged(app)])
    assert groups(ledger) == ("SO",)


def test_after_a_restart_the_record_is_the_poll_before(ledger: Ledger) -> None:
    ledger.upsert(m.host(HostStatus(azure=tagged(OLD).record), resource_version="11"))
    ledger.saw_azure([tagged(NEW)])
    assert groups(ledger) == ("SO",)
    ledger.saw_azure([tagged(NEW)])
    assert groups(ledger) == ("Web",)


def test_polls_that_come_before_the_records_move_nobody_either() -> None:
    early = Ledger()
    early.saw_rules(parse(RULES, "mapping.yaml"))
    early.saw_pce(PceReading.of(m.MARK, (), (), ()))
    early.saw_azure([tagged(NEW)])
    early.upsert(m.host(HostStatus(azure=tagged(OLD).record)))
    early.keep_only(frozenset({m.NAME}), began=0.0)
    assert groups(early) == ("SO",)
    early.saw_azure([tagged(OLD)])
    assert groups(early) == ("SO",)


def test_a_vm_that_is_seen_for_the_first_time_waits_for_nothing(ledger: Ledger) -> None:
    ledger.saw_azure([tagged(NEW)])
    assert groups(ledger) == ("Web",)


# what is missing --------------------------------------------------------------------------------------------------


def test_polls_that_lack_a_vm_are_counted_in_a_row(ledger: Ledger) -> None:
    for vms, missed in (((), 1), ((), 2), ((tagged(OLD),), 0), ((), 1)):
        ledger.saw_azure(vms)
        assert ledger.entries[m.VM_ID].missed_polls == missed


@pytest.fixture
def forgotten(ledger: Ledger) -> Ledger:
    """No record, no VM, and an object and a workload with our mark."""
    ledger.drop(m.NAME)
    ledger.saw_azure([])
    ledger.saw_pce(PceReading.of(m.MARK, (m.stamped(),), (), ()))
    ledger.saw_firewall(FirewallReading.of(m.OWNER, (m.host_object(m.OBJECT, m.IP, "SO"),), (), (), m.PUBLISHED))
    return ledger


def test_our_things_of_a_vm_that_nobody_knows_get_their_record_back(forgotten: Ledger) -> None:
    assert list(forgotten.orphans()) == [m.VM_ID]


def test_other_owners_things_and_those_of_a_listed_vm_or_of_a_record_are_no_orphans(forgotten: Ledger) -> None:
    theirs = replace(m.stamped(), external_set="microseg.dev/plant/other")
    other = m.host_object(m.OBJECT, m.IP, "SO", owner="plant/other")
    forgotten.saw_pce(PceReading.of(m.MARK, (theirs,), (), ()))
    forgotten.saw_firewall(FirewallReading.of(m.OWNER, (other,), (), (), m.PUBLISHED))
    assert forgotten.orphans() == {}


@pytest.mark.parametrize("back", ["record", "vm"])
def test_a_vm_with_a_record_or_in_the_list_has_no_orphans(forgotten: Ledger, back: str) -> None:
    if back == "vm":
        forgotten.saw_azure([m.vm()])
    else:
        forgotten.upsert(m.host())
    assert forgotten.orphans() == {}


def test_a_dead_agents_workload_brings_no_ended_retirement_back_but_an_object_does(forgotten: Ledger) -> None:
    stone = Tombstone(vm_id=m.VM_ID, host=m.NAME, vm="x", at=m.NOW, proof="ResourceNotFound", ended_at=m.NOW)
    forgotten.tombstones = {m.VM_ID: stone}
    assert m.VM_ID in forgotten.orphans(), "an object is ours to remove, whatever a tombstone says"
    forgotten.saw_firewall(FirewallReading.of(m.OWNER, (), (), (), m.PUBLISHED))
    assert forgotten.orphans() == {}
    forgotten.tombstones = {m.VM_ID: msgspec.structs.replace(stone, ended_at=None)}
    assert m.VM_ID in forgotten.orphans(), "a retirement that was cut off goes on"
