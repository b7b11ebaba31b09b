"""The PCE simulator over TLS in its own thread, because the vendor's client blocks."""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from simulators.background import Background
from simulators.certificates import issue, ssl_context
from simulators.clock import Clock
from simulators.control import build_control
from simulators.environment import Environment
from simulators.illumio import World, add_control, create
from simulators.ledger import Entry

with warnings.catch_warnings():
    # Its first compilation warns of escapes in its patterns, which pytest would make an error.
    warnings.simplefilter("ignore")
    sdk: Any = importlib.import_module("illumio")

ORG = 50
SCALE = 1000.0


@dataclass
class Pce:
    """A running PCE: its state, its addresses and clients that trust it."""

    world: World
    environment: Environment
    url: str
    control: str
    authority: Path
    background: Background
    sessions: list[requests.Session] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.removeprefix("https://")

    def sdk(self) -> Any:
        """The vendor's client; it retries nothing here, so that a refusal is seen as it is."""
        client = sdk.PolicyComputeEngine(
            "https://127.0.0.1", port=self.host.rpartition(":")[2], org_id=str(ORG), retry_count=0
        )
        client.set_credentials(self.world.api_user, self.world.api_secret)
        client.set_tls_settings(verify=str(self.authority))
        client._session.trust_env = False  # the environment's CA bundle would win over ours
        self.sessions.append(client._session)
        return client

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """One bare call; a path without /api is below /api/v2/orgs/50, an HREF too long for that is below /api/v2."""
        more.setdefault("auth", (self.world.api_user, self.world.api_secret))
        base = "" if path.startswith("/api") else "/api/v2" if path.startswith("/orgs") else f"/api/v2/orgs/{ORG}"
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + base + path, verify=str(self.authority), timeout=20, **more)

    def order(self, path: str, body: object = None, status: int | None = None) -> Any:
        """One call of the control port."""
        with requests.Session() as session:
            answer = session.post(f"{self.control}/illumio/{path}", json=body, timeout=20)
        assert status in (None, answer.status_code), answer.text
        return answer.json()

    def entries(self, operation: str) -> list[Entry]:
        return self.environment.ledger.entries("illumio", operation)

    def preload(self, hostname: str, address: str = "10.0.0.4", **more: object) -> str:
        """A machine that is paired already; returns its workload's HREF."""
        interfaces = [{"name": "eth0", "address": address, "cidr_block": 24}]
        made = self.order("preloaded", {"hostname": hostname, "interfaces": interfaces, **more}, 201)
        return str(made["href"])

    def label(self, key: str, value: str) -> str:
        """A label; returns its HREF."""
        made = self.call("POST", "/labels", json={"key": key, "value": value})
        assert made.status_code == 201, made.text
        return str(made.json()["href"])

    def until(self, holds: Callable[[], bool], what: str, seconds: float = 15.0) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def certificate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    issue(folder, "pce")
    return folder


@pytest.fixture
def pce(certificate_folder: Path) -> Iterator[Pce]:
    """A PCE whose vendor latencies are a thousandth."""
    environment = Environment(clock=Clock(SCALE))
    authority = certificate_folder / "ca.pem"
    tls = ssl_context(certificate_folder / "pce.pem", certificate_folder / "pce.key")
    world, app = create(environment, ORG)
    control = build_control(environment)
    add_control(control, world)
    with Background() as background:
        served = background.serve(app, tls)
        world.reached_at(served.url)
        running = Pce(world, environment, served.url, background.serve(control, None).url, authority, background)
        yield running
        for session in running.sessions:
            session.close()


def refusal(answer: requests.Response) -> tuple[int, str]:
    """Status and token of a refusal, which is an array of exactly `application/json`."""
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-Id"]
    (item,) = answer.json()
    assert item["message"]
    return answer.status_code, item["token"]
