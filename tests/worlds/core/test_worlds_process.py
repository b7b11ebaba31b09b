"""`python -m simulators`: the three worlds as one process."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

OPERATOR = Path(__file__).parents[3] / "operator"


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators", "--dir", str(tmp_path), "--scale", "50"],
        env={**os.environ, "PYTHONPATH": str(OPERATOR)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process, tmp_path
        finally:
            process.kill()


def test_the_three_worlds_start_together_say_so_and_stop_when_told(
    worlds: tuple[subprocess.Popen[str], Path],
) -> None:
    process, folder = worlds
    assert process.stdout is not None
    assert process.stdout.readline() == "worlds ready\n"
    described = json.loads((folder / "worlds.json").read_text())
    assert described.keys() == {"azure", "illumio", "checkpoint", "control", "caFile"}
    with requests.Session() as session:
        session.trust_env = False
        session.verify = described["caFile"]
        for system in ("azure", "illumio", "checkpoint"):
            assert session.get(f"{described[system]['url']}/nowhere", timeout=5).status_code >= 400
        order = [{"name": "web1", "os": "linux"}, {"name": "win1", "os": "windows"}]
        added = session.post(f"{described['control']['url']}/azure/vms", json=order, timeout=5)
        assert [vm["name"] for vm in added.json()["vms"]] == ["web1", "win1"]
        counts = session.get(f"{described['control']['url']}/ledger/counts", timeout=5).json()
        assert counts["azure"]["world.vm-created"] == 2
    secret_file = Path(described["azure"]["clientSecretFile"])
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
