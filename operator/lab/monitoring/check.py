"""`make dashboards-check`: a real Prometheus scrapes a real operator at work; every query of every panel must answer.

The pictures of `docs/pictures/` are drawn from the same series, so what they show was measured and not invented.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from lab import estate
from lab.demo import fleet
from lab.monitoring.panels import BOARDS, Query
from lab.monitoring.pictures import picture
from lab.processes import Process, free_port
from lab.rig import Rig

_ROOT = Path(__file__).resolve().parents[3]
PICTURES = _ROOT / "docs" / "pictures"
_MAY_BE_EMPTY = {"Script runs", "Publishes and installs"}
"""Panels of which one query may be empty: no policy is installed where nothing was published."""
_MAY_BE_QUIET = {"Throttles"}
"""Panels that may show nothing: no system asks for a pause."""
_WINDOW = 30.0
"""Seconds of settled time that are watched at the end."""


class Prometheus:
    """A running Prometheus that scrapes one target every second."""

    def __init__(self, url: str) -> None:
        """`url`: its own."""
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    @classmethod
    @contextmanager
    def scraping(cls, folder: Path, port: int) -> Iterator[Prometheus]:
        """Start one that scrapes this port of this machine, and stop it at the end."""
        tools = subprocess.run([_ROOT / "hack" / "prometheus" / "build"], capture_output=True, text=True, check=True)
        own = free_port()
        job = {"job_name": "microseg", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        settings = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        argv: list[str | Path] = [
            Path(tools.stdout.split()[-1]) / "prometheus", f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{own}",
        ]  # fmt: skip
        url = f"http://127.0.0.1:{own}"
        with Process("prometheus", argv, log=folder / "prometheus.log") as process:
            process.wait_for(lambda: _answers(f"{url}/-/ready"), seconds=30, what="Prometheus is ready")
            yield cls(url)

    def series(self, query: Query, began: float, ended: float) -> list[dict[str, Any]]:
        """The lines of a panel's query between two times. Raises where Prometheus refuses it."""
        expr = query.expr.replace("$__rate_interval", "10s").replace("$namespace", ".*").replace("$estate", ".*")
        asked = {"query": expr, "start": f"{began:.0f}", "end": f"{ended:.0f}", "step": "1"}
        answer = self._session.get(f"{self._url}/api/v1/query_range", params=asked, timeout=30).json()
        if answer["status"] != "success":
            raise RuntimeError(f"{expr}: {answer.get('error')}")
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def work(rig: Rig) -> None:
    """Have the operator bring the demo's first VMs under protection."""
    rig.apply_estate(_retire_soon)
    for order in fleet.first_wave(rig.worlds.described["azure"]["subscriptions"]):
        rig.worlds.post("/azure/vms", order)
    rig.operator.start()
    rig.wait_until(
        lambda: sum(1 for host in rig.hosts() if host.stage == "Commissioned") >= _ENOUGH,
        seconds=240, what=f"{_ENOUGH} hosts are commissioned",
    )  # fmt: skip
    _disturb(rig)
    time.sleep(_WINDOW)


def _disturb(rig: Rig) -> None:
    """What the counters of drift, of retirements and of the guard are for."""
    drifting, leaving = [host for host in rig.hosts() if host.stage == "Commissioned" and host.os == "Linux"][:2]
    rig.worlds.post(f"/illumio/workloads/{drifting.vm}/relabel", {"env": "Test"})
    rig.wait_until(lambda: _repairs(rig, drifting.vm), seconds=60, what=f"the label of {drifting.vm} is put right")
    rig.worlds.post(f"/azure/vms/{leaving.vm}/delete", {"at_once": True})
    rig.wait_until(lambda: rig.host(leaving.vm) is None, seconds=240, what=f"{leaving.vm} is retired")
    documents = estate.documents(rig.worlds, rig.namespace)
    mapping = next(each for each in documents if each["metadata"].get("labels", {}).get("microseg.dev/mapping"))
    moved = str(mapping["data"]["mapping.yaml"]).replace("Elsewhere", "Europe")
    rig.apply_estate(_retire_soon, mapping=moved)
    rig.wait_until(lambda: rig.estate()["status"].get("held"), seconds=60, what="the guard holds the mapping")


def _retire_soon(document: dict[str, Any]) -> None:
    document["spec"]["retirement"] = {"missedPolls": 2, "after": "1s"}


def _repairs(rig: Rig, vm: str) -> bool:
    host = rig.host(vm)
    return host is not None and any(int(each.get("repairs", 0)) for each in host.raw["status"].get("drift", ()))


_ENOUGH = 15


def main() -> int:
    """Run everything; 1 where a query answers nothing."""
    empty: list[str] = []
    with tempfile.TemporaryDirectory(prefix="microseg-dashboards-") as name:
        folder = Path(name)
        with Rig.build(folder / "rig", say=print) as rig, Prometheus.scraping(folder, rig.operator.port) as prometheus:
            began = time.time()
            work(rig)
            PICTURES.mkdir(parents=True, exist_ok=True)
            for board in BOARDS:
                drawn = {}
                for panel in board.panels:
                    lines = [(query, prometheus.series(query, began, time.time())) for query in panel.queries]
                    lacking = [query.expr for query, found in lines if not found]
                    some = panel.title in _MAY_BE_EMPTY and len(lacking) < len(lines)
                    if not (some or panel.title in _MAY_BE_QUIET):
                        empty += [f"{board.name}: {panel.title}: {expr}" for expr in lacking]
                    drawn[panel.title] = [(query.legend, each) for query, found in lines for each in found]
                (PICTURES / f"{board.name}.svg").write_text(picture(board, drawn), encoding="utf-8")
                print(f"{board.name}: {len(board.panels)} panels")
    for each in empty:
        print(f"EMPTY {each}", file=sys.stderr)
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
