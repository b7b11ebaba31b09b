"""The flow that the operator is compared with does the job, for three VMs, by what the simulated systems have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.bench import fleet
from lab.peers.costs import measured
from lab.peers.flow import Flow
from lab.peers.wanted import shortcomings, table
from lab.worlds import Worlds

SCALE = 200.0

pytestmark = [
    # The vendor's client makes its TLS context the old way, and leaves sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Worlds]:
    worlds = Worlds.start(tmp_path, scale=SCALE, options=("--guests", "fast"))
    worlds.make_pairing_profiles()
    yield worlds
    worlds.stop()


def test_the_flow_brings_each_vm_to_the_table_and_installs_once_for_each(worlds: Worlds) -> None:
    worlds.post("/azure/vms", fleet.orders(3, worlds.described["azure"]["subscriptions"]))
    rows = table(worlds)
    assert len(shortcomings(worlds, rows)) >= len(rows)

    with Flow(worlds, SCALE, rows) as flow:
        first = measured(worlds, 3, lambda: flow.run(3))
        assert shortcomings(worlds, rows) == []
        done = {name: worlds.counts()[name] for name in ("azure", "checkpoint")}
        assert (done["azure"]["commands.put"], done["azure"]["nics.get"]) == (3, 3)
        assert [done["checkpoint"][each] for each in ("login", "publish", "install-policy", "logout")] == [3] * 4
        assert {script.mode for script in worlds.scripts()} == {"install"}

        again = measured(worlds, 3, lambda: flow.run(3))
    assert again.calls == {"azure": 2, "illumio": 0, "checkpoint": 0}
    assert len(flow.book) == 3 < first.calls["azure"]


def test_a_flow_that_is_told_to_stop_after_one_vm_leaves_the_others_to_the_next_round(worlds: Worlds) -> None:
    worlds.post("/azure/vms", fleet.orders(2, worlds.described["azure"]["subscriptions"]))
    rows = table(worlds)
    with Flow(worlds, SCALE, rows) as flow:
        assert flow.run(1) == 1
        assert {sentence.split()[0] for sentence in shortcomings(worlds, rows)} == {rows[1].name}
        assert flow.run(1) == 1
    assert shortcomings(worlds, rows) == []
