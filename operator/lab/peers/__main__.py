"""`python -m lab.peers` (`make bench-peers`): one fleet, brought to the same table by three, one after the other.

    flow       a script of the vendors' SDKs, one VM after the other (`flow.py`); only `--flow-hosts` of the fleet, and
               the time of the fleet is that of one host times its number: the script does nothing at the same time
    playbook   real Ansible with the vendor's collection, tuned (`ansible.py`, `playbook/site.yml`)
    operator   the product as a process on a real API server (`operate.py`)

Each has new simulated systems with the vendors' limits. All latencies, and all pauses of all three, are divided by
`--scale`; at 1 the clock on the wall is the world's. What the systems have at the end is judged. Then each
makes a pass that finds nothing to do. Exit code 1 if one did not do the job; the ratios are shown, and judge nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.bench import fleet
from lab.cluster import ROOT
from lab.peers import report
from lab.peers.ansible import Ansible, make_profile
from lab.peers.costs import Result, measured
from lab.peers.flow import Flow, FlowFailed
from lab.peers.operate import operate
from lab.peers.wanted import Wanted, shortcomings, table
from lab.processes import NotInTime, ProcessFailed
from lab.worlds import Worlds

_RESULTS = ROOT / ".bench"
_OPTIONS = ("--limits", "--guests", "fast")


class NotDone(RuntimeError):
    """A peer ended and left something undone; the text has the first sentences of the judge."""


def main() -> int:
    """Run the three, print and write the comparison; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.peers", description=__doc__)
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--flow-hosts", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    folder = _RESULTS / "peers"
    shutil.rmtree(folder, ignore_errors=True)
    _say(f"{given.hosts} hosts, clock x {given.scale:g}, load average {os.getloadavg()[0]:.1f}")
    try:
        results = list(_results(folder, given.hosts, given.flow_hosts, given.scale))
    except (NotDone, FlowFailed, NotInTime, ProcessFailed) as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    comparison = report.compare(results, given.hosts, given.scale)
    print(report.text(results, comparison, given.hosts))
    print(f"written: {_write(results, comparison, given)}")
    return 0


def _results(folder: Path, hosts: int, flow_hosts: int, scale: float) -> Iterator[Result]:
    with _fleet(folder / "flow", hosts, scale) as (worlds, rows):
        yield _told(_flow(worlds, rows, scale, flow_hosts))
    ansible = Ansible.install(_RESULTS / "ansible")
    with _fleet(folder / "playbook", hosts, scale) as (worlds, rows):
        yield _told(_playbook(ansible, worlds, rows, scale, folder / "playbook"))
    orders = fleet.orders(hosts, ["", ""])
    yield _told(operate(folder / "operator", orders, scale, _OPTIONS, _say))


def _flow(worlds: Worlds, rows: list[Wanted], scale: float, most: int) -> Result:
    """The first `most` VMs; a round that takes none of the others does what one does that finds nothing new."""
    with Flow(worlds, scale, rows) as flow:
        first = measured(worlds, most, lambda: flow.run(most))
        _judge("flow", worlds, [row for row in rows if row.vm_id in flow.book])
        return Result("flow", first, measured(worlds, len(rows), lambda: flow.run(0)))


def _playbook(ansible: Ansible, worlds: Worlds, rows: list[Wanted], scale: float, folder: Path) -> Result:
    profile = make_profile(worlds)
    first = measured(worlds, len(rows), lambda: ansible.run(worlds, scale, profile, rows, folder))
    _judge("playbook", worlds, rows)
    _say("the playbook runs again, with nothing to do")
    return Result(
        "playbook", first, measured(worlds, len(rows), lambda: ansible.run(worlds, scale, profile, rows, folder))
    )


@contextmanager
def _fleet(folder: Path, hosts: int, scale: float) -> Iterator[tuple[Worlds, list[Wanted]]]:
    """New simulated systems with so many new VMs."""
    _say(f"{folder.name}: {hosts} new VMs")
    worlds = Worlds.start(folder / "worlds", scale=scale, options=_OPTIONS)
    try:
        worlds.make_pairing_profiles()
        worlds.post("/azure/vms", fleet.orders(hosts, worlds.described["azure"]["subscriptions"]))
        yield worlds, table(worlds)
    finally:
        worlds.stop()


def _judge(name: str, worlds: Worlds, rows: list[Wanted]) -> None:
    found = shortcomings(worlds, rows)
    if found:
        raise NotDone(f"{name}: {len(found)} things are not as wanted: {'; '.join(found[:3])}")


def _told(result: Result) -> Result:
    _say(report.line(result.name, result.first))
    _say(report.line("  again", result.again))
    return result


def _write(results: list[Result], comparison: dict[str, Any], given: argparse.Namespace) -> Path:
    now = datetime.now(UTC)
    path = _RESULTS / "peers.json"
    document = {
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "hosts": given.hosts,
        "flowHosts": given.flow_hosts,
        "scale": given.scale,
        "load": os.getloadavg()[0],
        "results": [asdict(result) for result in results],
        "comparison": comparison,
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} -- {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
