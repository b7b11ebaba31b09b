"""What may wait for another write is told by what differs between the record and what was decided."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from lab.memory import samples as m
from microseg.engine.cluster.lesser_news import is_lesser_news
from microseg.model.agent_record import AgentOutcome
from microseg.model.host import HostStatus

AZURE = m.vm().record
KNOWN = HostStatus(azure=AZURE, agent=m.ended(AgentOutcome.PAIRED), stage="Pairing")
ANSWERS = replace(AZURE, agent_ready=not AZURE.agent_ready)
DELETED = replace(m.ended(AgentOutcome.PAIRED), run_command="")
OTHER = replace(m.ended(AgentOutcome.PAIRED), run_command="another")


@pytest.mark.parametrize(
    ("changes", "lesser"),
    [
        ({}, False),
        ({"azure": ANSWERS}, True),
        ({"agent": DELETED}, True),
        ({"azure": ANSWERS, "agent": DELETED}, True),
        ({"agent": OTHER}, False),
        ({"azure": ANSWERS, "agent": OTHER}, False),
        ({"azure": replace(ANSWERS, power_state="stopped")}, False),
        ({"agent": replace(DELETED, failures=1)}, False),
        ({"azure": ANSWERS, "stage": "Commissioned"}, False),
        ({"azure": None}, False),
        ({"agent": None}, False),
    ],
)
def test_only_an_agent_that_answers_and_a_deleted_run_command_wait(changes: Mapping[str, object], lesser: bool) -> None:
    assert is_lesser_news(m.with_status(m.host(), KNOWN), replace(KNOWN, **changes)) is lesser


def test_nothing_waits_where_a_record_was_never_written() -> None:
    assert not is_lesser_news(m.host(), replace(KNOWN))


def test_nothing_waits_where_a_person_may_have_said_a_word() -> None:
    assert not is_lesser_news(m.with_status(m.host(annotations={"any": "word"}), KNOWN), replace(KNOWN, azure=ANSWERS))
