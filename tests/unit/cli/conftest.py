"""Fixtures of the commands' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.cli.world import NOW, RULES, FakeCluster, estate, host, revision

from microseg.cli.cluster import Live


@pytest.fixture
def live() -> Live:
    """Eleven commissioned hosts, one of them in production, and one that is being onboarded."""
    hosts = [host(f"dev{number:02}", env="dev") for number in range(10)]
    return Live(estate(), (*hosts, host("prod"), host("new", commissioned=False)), (revision(1, RULES),), NOW)


@pytest.fixture
def document(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a document to a file."""

    def write(text: str) -> Path:
        path = tmp_path / "mapping.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def cluster(live: Live, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """What every command connects to."""
    fake = FakeCluster(live)
    for module in ("plan", "explain", "rollback", "status", "history", "report", "approve"):
        monkeypatch.setattr(f"microseg.cli.{module}.Cluster", fake)
    return fake
