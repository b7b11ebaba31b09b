"""Equal parts of different records are one object, and no record changes by that."""

from __future__ import annotations

import msgspec

from lab.memory import samples as m
from microseg.model.azure_record import Image, Tag
from microseg.model.condition import Condition, ConditionStatus, ConditionType
from microseg.model.host import HostStatus
from microseg.model.sharing import Sharing

SPOKEN = msgspec.json.encode(
    HostStatus(
        stage="Commissioned",
        conditions=(m.condition(ConditionType.READY, ConditionStatus.TRUE),),
        azure=msgspec.structs.replace(
            m.vm().record, tags=(Tag(key="app", value="Shop"),), image=Image(publisher="Canonical", offer="ubuntu")
        ),
        agent=m.attempt(),
    )
)


def decoded() -> HostStatus:
    return msgspec.json.decode(SPOKEN, type=HostStatus)


def word() -> str:
    """An object of its own each time."""
    return str(b"a word", "ascii")


def parts(status: HostStatus) -> list[object]:
    assert status.azure is not None
    assert status.agent is not None
    (condition,) = status.conditions
    return [
        condition, condition.message, condition.last_transition_time, status.stage, status.azure.resource_id,
        status.azure.tags[0], status.azure.image, status.azure.nics[0].addresses[0].ip, status.agent.nonce,
    ]  # fmt: skip


def test_equal_parts_of_two_records_are_one_object() -> None:
    sharing = Sharing()
    one, other = sharing.once(decoded()), sharing.once(decoded())
    assert [id(part) for part in parts(one)] == [id(part) for part in parts(other)]


def test_a_value_is_what_it_was() -> None:
    sharing = Sharing()
    sharing.once(decoded())
    assert sharing.once(decoded()) == decoded()
    assert msgspec.json.encode(sharing.once(decoded())) == SPOKEN


def test_conditions_that_differ_stay_apart() -> None:
    sharing = Sharing()
    yes, no = (m.condition(ConditionType.READY, value) for value in (ConditionStatus.TRUE, ConditionStatus.FALSE))
    kept: list[Condition] = [sharing.once(each) for each in (yes, no)]
    assert kept == [yes, no]
    assert kept[0].message is kept[1].message


def test_what_is_not_seen_again_is_forgotten() -> None:
    sharing = Sharing(lambda: 10)
    first = sharing.once(word())
    for number in range(1100):
        sharing.once(f"value {number}")
    assert sharing.once(word()) is not first


def test_what_is_seen_again_and_again_is_kept() -> None:
    sharing = Sharing(lambda: 10)
    first = sharing.once(word())
    for number in range(1200):
        sharing.once(f"value {number}")
        assert sharing.once(word()) is first
