"""A version of a Secret that Check Point refused is not tried again, not by another process either."""

from __future__ import annotations

import pytest

from microseg.gateways.checkpoint.refused_logins import LoginMemory, RefusedLogins
from microseg.gateways.ports import Refused


def said(memory: LoginMemory) -> str:
    """What is said in place of a log-in."""
    with pytest.raises(Refused) as caught:
        memory.check()
    assert caught.value.login == "a1@7"
    return str(caught.value)


def test_after_a_refusal_nothing_is_tried_and_the_message_says_what_to_do() -> None:
    memory = LoginMemory("a1@7")
    memory.check()
    error = memory.refused(Refused("Check Point refused this administrator"))
    assert str(error).startswith("Check Point refused this administrator. Failed log-ins can lock an administrator out")
    assert "then annotate the Secret to have it tried" in str(error)
    assert said(memory) == said(memory) == str(error)


def test_one_that_was_accepted_before_is_tried_three_times_more_and_then_left_alone() -> None:
    now = 0.0
    memory = LoginMemory("a1@7", lambda: now)
    memory.accepted()
    for minutes in (15, 60, 240):
        assert f"tried again only after {minutes} minutes" in str(memory.refused(Refused("no")))
        now += minutes * 60 - 1
        with pytest.raises(Refused) as caught:
            memory.check()
        assert (caught.value.login, caught.value.again_in) == ("a1@7", 1.0)
        now += 1
        memory.check()
    memory.refused(Refused("no"))
    now += 1e9
    assert "is not tried again" in said(memory)


def test_a_log_in_that_is_accepted_again_forgets_the_refusals() -> None:
    now = 0.0
    memory = LoginMemory("a1@7", lambda: now)
    memory.accepted()
    for _ in range(5):
        memory.refused(Refused("no"))
        now += 900
        memory.check()
        memory.accepted()


def test_what_an_earlier_process_remembered_counts_for_this_very_log_in_only() -> None:
    memory = LoginMemory("a1@7")
    memory.recall("a1@6", "It was refused.", None)
    memory.recall("", "It was refused.", None)
    memory.check()
    memory.recall("a1@7", "It was refused.", None)
    assert said(memory) == "It was refused."


def test_what_an_earlier_process_was_to_try_again_is_tried_at_its_time() -> None:
    now = 100.0
    memory = LoginMemory("a1@7", lambda: now)
    memory.recall("a1@7", "It was refused.", 60.0)
    assert said(memory) == "It was refused."
    now += 60
    memory.check()
    assert "only after 60 minutes" in str(memory.refused(Refused("no")))


def test_one_process_remembers_it_by_the_version_of_the_secret() -> None:
    logins = RefusedLogins()
    logins.of("a1@7").refused(Refused("no"))
    assert said(logins.of("a1@7"))
    logins.of("a1@8").check()
