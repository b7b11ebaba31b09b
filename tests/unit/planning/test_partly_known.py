"""A NIC that Azure's list does not show: what is known holds, what is not known stays, and the host is in doubt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.memory import samples as m
from microseg.model.azure_record import Address, Nic
from microseg.model.checkpoint_facts import HostObject
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import ConditionStatus, ConditionType, Reason, find
from microseg.model.facts import ABSENT, UNREADABLE, HostFacts, Seen
from microseg.model.host import GoneProof, HostStatus, ManagedHost, RetirementRecord
from microseg.model.illumio_record import IllumioRecord
from microseg.model.plan import PutObject
from microseg.planning.decide import Decision, Standing, decide
from microseg.stages.object_names import object_name

SECOND = "10.2.0.4"
OBJECTS = (m.host_object(m.OBJECT, m.IP, "SO"), m.host_object(object_name("az-", m.NAME, SECOND), SECOND, "SO"))


def nic(number: int, *addresses: str, unreadable: bool = False) -> Nic:
    known = tuple(Address(ip=ip, primary=True) for ip in addresses)
    return Nic(id=f"/nic/{number}", primary=number == 1, addresses=known, unreadable=unreadable)


def facts(*nics: Nic, own: tuple[HostObject, ...] = OBJECTS, **changes: Any) -> HostFacts:
    stamped = m.stamped(("app", "Orchestrate"), ("env", "Dev"))
    known: dict[str, Any] = {"illumio": m.illumio(stamped=stamped), "check_point": m.check_point(*own)}
    return m.facts(azure=Seen(m.vm(nics=nics)), **(known | changes))


def step(host: ManagedHost, found: HostFacts, **how: Any) -> tuple[ManagedHost, Decision]:
    decision = decide(host, found, m.estate(), how.pop("desired", m.desired()), m.NOW, **how)
    return m.with_status(host, decision.status), decision


@pytest.fixture
def host() -> ManagedHost:
    """Commissioned, with two NICs."""
    made, decision = step(m.host(), facts(nic(1, m.IP), nic(2, SECOND)))
    assert decision.standing == Standing.COMMISSIONED
    return made


@pytest.mark.parametrize(
    "nics",
    [
        (nic(1, m.IP), nic(2, SECOND, unreadable=True)),
        (nic(1, m.IP), nic(2, unreadable=True)),
        (nic(1, m.IP, unreadable=True), nic(2, SECOND)),
        (msgspec.structs.replace(nic(1, unreadable=True), primary=False), nic(2, SECOND)),
    ],
    ids=["the other, as last seen", "the other", "the primary, as last seen", "the primary"],
)
def test_a_commissioned_host_is_in_doubt_and_loses_nothing(host: ManagedHost, nics: tuple[Nic, ...]) -> None:
    after, decision = step(host, facts(*nics))
    told = {each.type: (each.status, each.reason) for each in after.status.conditions}
    assert told[ConditionType.GROUPED] == (ConditionStatus.UNKNOWN, Reason.NIC_UNREADABLE)
    assert told[ConditionType.READY] == (ConditionStatus.UNKNOWN, Reason.NIC_UNREADABLE)
    assert told[ConditionType.POLICY_INSTALLED] == (ConditionStatus.TRUE, Reason.INSTALLED)
    assert told[ConditionType.DRIFTED] == (ConditionStatus.FALSE, Reason.NO_DRIFT)
    assert (decision.actions, decision.standing) == ((), Standing.WAITING)
    assert after.status.check_point == host.status.check_point
    assert after.status.ip == m.IP
    again, _ = step(after, facts(*nics))
    assert again.status == after.status, "nothing is written that changes nothing"
    back, decision = step(again, facts(nic(1, m.IP), nic(2, SECOND)))
    assert (back.status.conditions, decision.standing) == (host.status.conditions, Standing.COMMISSIONED)


def test_what_is_known_of_a_new_vm_is_recorded_and_installed() -> None:
    after, decision = step(m.host(), facts(nic(1, m.IP), nic(2, unreadable=True), own=OBJECTS[:1]))
    record = after.status.check_point
    assert record is not None
    assert (record.groups, [each.ipv4 for each in record.hosts]) == (("SO",), [m.IP])
    assert decision.verdicts[ConditionType.POLICY_INSTALLED].reason == Reason.INSTALLED
    condition = find(after.status.conditions, ConditionType.GROUPED)
    assert condition is not None
    assert condition.status == ConditionStatus.UNKNOWN


def test_without_any_object_nothing_counts_as_published() -> None:
    after, decision = step(m.host(), facts(nic(1, unreadable=True), own=()))
    assert after.status.check_point is None
    assert decision.verdicts[ConditionType.POLICY_INSTALLED].reason == Reason.AWAITING_PUBLISH


def test_groups_that_a_kept_object_is_still_in_stay_recorded_as_ours(host: ManagedHost) -> None:
    web, nics = m.desired(groups=("Web",)), (nic(1, m.IP), nic(2, SECOND, unreadable=True))
    _, decision = step(host, facts(*nics), desired=web)
    assert decision.actions == (PutObject(m.VM_ID, m.OBJECT, f"uid-{m.OBJECT}", m.IP, ("Web",), ("SO",)),)
    moved = (m.host_object(m.OBJECT, m.IP, "Web"), OBJECTS[1])
    after, _ = step(host, facts(*nics, own=moved), desired=web)
    assert after.status.check_point is not None
    assert after.status.check_point.groups == ("SO", "Web")
    _, decision = step(after, facts(nic(1, m.IP), nic(2, SECOND), own=moved), desired=web)
    (put,) = decision.actions
    assert isinstance(put, PutObject)
    assert (put.address, put.join, put.leave) == (SECOND, ("Web",), ("SO",))


@pytest.mark.parametrize("repair", [True, False])
def test_drift_of_a_known_address_is_drift_and_that_of_an_unknown_one_is_none(
    host: ManagedHost, *, repair: bool
) -> None:
    nics = (nic(1, m.IP), nic(2, SECOND, unreadable=True))
    after, decision = step(host, facts(*nics, own=(m.host_object(m.OBJECT, m.IP), OBJECTS[1])), repair=repair)
    assert [record.stage for record in after.status.drift] == ["Grouped"]
    assert len(decision.actions) == (1 if repair else 0)
    after, decision = step(host, facts(*nics, own=OBJECTS[:1]), repair=repair)
    assert (after.status.drift, decision.actions) == ((), ())


NICS = st.lists(st.sets(st.integers(1, 12), min_size=1, max_size=3), min_size=1, max_size=4).filter(
    lambda sets: len(set().union(*sets)) == sum(map(len, sets))
)


def numbered(number: int, octets: set[int], *, hidden: bool = False, seen: bool = True, ranked: bool = True) -> Nic:
    addresses = [f"10.4.0.{octet}" for octet in sorted(octets)] if seen else []
    made = nic(number + 1, *addresses, unreadable=hidden)
    return msgspec.structs.replace(made, primary=number == 0 and ranked)


@given(NICS, st.data())
def test_whatever_is_hidden_no_object_of_it_is_dropped_changed_or_released(sets: list[set[int]], data: Any) -> None:
    before = tuple(numbered(number, octets) for number, octets in enumerate(sets))
    host, decision = step(m.host(), facts(*before, own=()))
    own = tuple(m.host_object(put.name, put.address, "SO") for put in decision.actions if isinstance(put, PutObject))
    assert len(own) == sum(map(len, sets))
    host, decision = step(host, facts(*before, own=own))
    assert decision.standing == Standing.COMMISSIONED
    hidden = data.draw(st.sets(st.integers(0, len(sets) - 1), min_size=1), "hidden")
    seen, ranked = data.draw(st.booleans(), "as last seen"), data.draw(st.booleans(), "rank is known")
    readdressed = data.draw(st.sets(st.integers(0, len(sets) - 1)), "readdressed") - hidden
    after = tuple(
        numbered(number, octets, hidden=True, seen=seen, ranked=ranked)
        if number in hidden
        else numbered(number, {octet + 100 for octet in octets} if number in readdressed else octets)
        for number, octets in enumerate(sets)
    )
    for repair in (True, False):
        _, decision = step(host, facts(*after, own=own), repair=repair)
        kept = {f"uid-{each.name}" for each in own if any(_has(sets[number], each.address) for number in hidden)}
        changed = {change.uid for change in decision.actions if isinstance(change, PutObject) and change.uid}
        assert all(isinstance(change, PutObject) and not change.leave for change in decision.actions)
        assert not changed & kept
        assert bool(decision.actions) is bool(readdressed)


def _has(octets: set[int], address: str) -> bool:
    return int(address.rpartition(".")[2]) in octets


@pytest.mark.parametrize("azure", [ABSENT, UNREADABLE])
def test_a_retirement_stands_still_while_the_vm_may_be_a_row_that_cannot_be_read(azure: Any) -> None:
    status = HostStatus(
        azure=m.vm().record,
        check_point=CheckPointRecord(groups=("SO",)),
        retirement=RetirementRecord(proof=GoneProof.NOT_FOUND, began_at=m.NOW),
        missing_since=m.ago(hours=1),
        illumio=IllumioRecord(workload=m.HREF, paired_by_us=True),
    )
    found = facts(nic(1, m.IP), illumio=m.illumio(stamped=m.stamped(online=False)))
    found = replace(found, azure=azure, missed_polls=9, gone=GoneProof.NOT_FOUND, tombstone=Seen(m.NOW))
    decision = decide(
        m.host(status), found, m.estate(unreadable_rows=azure is UNREADABLE, illumio_read_at=m.NOW), None, m.NOW
    )
    assert bool(decision.actions) is (azure is ABSENT)
    assert decision.standing == Standing.RETIRING
    assert decision.status.retirement is not None
    assert decision.status.drift == ()
