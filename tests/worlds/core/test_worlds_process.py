"""`python -m simulators`: the three systems in one process, with a fleet, a page that shows it, and a ledger file."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

OPERATOR = Path(__file__).parents[3] / "operator"


class Started:
    """The running process and what it wrote down."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process, self.folder = process, folder
        assert process.stdout is not None
        assert process.stdout.readline() == "simulators ready\n"
        self.hint = process.stdout.readline()
        self.described: dict[str, Any] = json.loads((folder / "worlds.json").read_text())
        self.control = self.described["control"]["url"]

    def get(self, path: str) -> Any:
        return requests.get(f"{self.control}{path}", timeout=5).json()


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Started]:
    argv = [sys.executable, "-m", "simulators", "--dir", str(tmp_path), "--scale", "50", "--vms", "20", "--limits"]
    process = subprocess.Popen(
        [*argv, "--guests", "fast", "--profile", "mine", "--ledger", str(tmp_path / "ledger.jsonl")],
        env={**os.environ, "PYTHONPATH": str(OPERATOR)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Started(process, tmp_path)
        finally:
            process.kill()


def test_the_three_worlds_start_together_show_what_is_in_them_and_stop_when_told(worlds: Started) -> None:
    described = worlds.described
    assert described.keys() == {"azure", "illumio", "checkpoint", "control", "caFile"}
    with requests.Session() as session:
        session.trust_env = False
        session.verify = described["caFile"]
        for system in ("azure", "illumio", "checkpoint"):
            assert session.get(f"{described[system]['url']}/nowhere", timeout=5).status_code >= 400
    order = [{"name": "web<1>", "os": "linux"}, {"name": "win1", "os": "windows"}]
    added = requests.post(f"{worlds.control}/azure/vms", json=order, timeout=5)
    assert [vm["name"] for vm in added.json()["vms"]] == ["web<1>", "win1"]
    assert worlds.get("/ledger/counts")["azure"]["world.vm-created"] == 22

    view = worlds.get("/overview")
    assert (view["azure"]["vms"], len(view["hosts"]), view["limits"]) == (22, 22, True)
    assert "mine" in view["illumio"]["pairing profiles"]
    page = requests.get(f"{worlds.control}/", timeout=5)
    assert page.headers["Content-Type"].startswith("text/html")
    assert worlds.control in worlds.hint
    assert "so-web-00000" in page.text
    assert "web&lt;1&gt;" in page.text
    assert "web<1>" not in page.text

    written = [json.loads(line) for line in (worlds.folder / "ledger.jsonl").read_text().splitlines()]
    assert [entry["seq"] for entry in written] == list(range(1, len(written) + 1))
    assert written == worlds.get("/ledger")["entries"]
    assert not [secret for secret in worlds.get("/secrets")["secrets"] if secret in json.dumps(written) + page.text]

    secret_file = Path(described["azure"]["clientSecretFile"])
    assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600
    worlds.process.send_signal(signal.SIGTERM)
    assert worlds.process.wait(timeout=10) == 0


def test_after_a_rotation_only_the_new_authority_is_believed(worlds: Started) -> None:
    url, ca = f"{worlds.described['azure']['url']}/nowhere", Path(worlds.described["caFile"])
    old = worlds.folder / "old.pem"
    old.write_bytes(ca.read_bytes())

    def ask(authority: Path) -> int:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(url, timeout=5, verify=str(authority)).status_code

    assert ask(old) >= 400
    requests.post(f"{worlds.control}/certificates/rotate", json={}, timeout=5).raise_for_status()
    with pytest.raises(requests.exceptions.SSLError):
        ask(old)
    assert ask(ca) >= 400
