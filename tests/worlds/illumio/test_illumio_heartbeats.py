"""Heartbeats of the PCE simulator: while the machine runs, to the goodbye, to the silence of a wiped disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Pce


def shown(pce: Pce, href: str) -> tuple[bool, str]:
    """Whether its VEN is online, and its latest heartbeat."""
    row: dict[str, Any] = pce.call("GET", href).json()
    return row["online"], row["agent"]["status"]["last_heartbeat_on"]


def machine(pce: Pce, href: str, *, runs: bool, goodbye: bool = True) -> None:
    """The VM starts or stops."""

    async def change() -> None:
        pce.world.vens.machine(href.rsplit("/", 1)[1], runs=runs, goodbye=goodbye)

    pce.background.run(change())


def test_a_running_ven_is_heard_again_and_again_and_that_is_no_change_of_the_world(pce: Pce) -> None:
    href = pce.preload("web1")
    before, changes = shown(pce, href), len(pce.entries("world.changed"))
    pce.until(lambda: shown(pce, href)[1] > before[1], "a heartbeat")
    assert shown(pce, href)[0] is True
    assert len(pce.entries("world.changed")) == changes


@pytest.mark.parametrize("goodbye", [True, False], ids=["stopped", "wiped"])
def test_a_machine_that_ends_is_heard_no_more_and_is_offline_after_the_pces_time(pce: Pce, *, goodbye: bool) -> None:
    href = pce.preload("web1")
    machine(pce, href, runs=False, goodbye=goodbye)
    online, last = shown(pce, href)
    assert online, "the PCE waits"
    pce.until(lambda: not shown(pce, href)[0], "offline")
    assert shown(pce, href)[1] == last
    machine(pce, href, runs=True)
    online, now = shown(pce, href)
    assert online
    assert now > last


def test_a_pce_whose_timer_is_never_calls_nobody_offline(pce: Pce) -> None:
    pce.order("traits", {"offline_seconds": -1.0}, 200)
    silent, wiped = pce.preload("web1", "10.0.0.4"), pce.preload("web2", "10.0.0.5")
    machine(pce, silent, runs=False, goodbye=False)
    pce.order("traits", {"offline_seconds": 300.0}, 200)
    machine(pce, wiped, runs=False, goodbye=False)
    pce.until(lambda: not shown(pce, wiped)[0], "the other one is offline")
    assert shown(pce, silent)[0]
