"""The Check Point simulator over TLS, with the vendor's own client, which trusts a certificate by its fingerprint."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from cpapi import APIClient, APIClientArgs

from simulators import certificates
from simulators.background import Background
from simulators.checkpoint import Admin, World, create
from simulators.checkpoint.control import add_control
from simulators.clock import Clock
from simulators.control import build_control
from simulators.environment import Environment

API_KEY = "key-of-the-operator"
PASSWORD = "password-of-the-operator"
OTHER_KEY = "key-of-bob"
SCALE = 500.0

Json = dict[str, Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The vendor's client makes its TLS context the old way, and leaves sockets to the garbage collector."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:.*:ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@dataclass
class Management:
    """The running simulator and its clients."""

    url: str
    port: int
    control: str
    ca: Path
    fingerprint: str
    environment: Environment
    world: World
    background: Background
    key: str = API_KEY
    other_key: str = OTHER_KEY
    password: str = PASSWORD
    clients: list[APIClient] = field(default_factory=list)

    def client(self) -> APIClient:
        """The vendor's client, not logged in."""
        arguments = APIClientArgs(server="127.0.0.1", port=self.port, fingerprint=self.fingerprint, sync_frequency=0.02)
        client = APIClient(arguments)
        self.clients.append(client)
        return client

    def login(
        self, key: str = API_KEY, *, name: str = "", read_only: bool = False, more: Json | None = None
    ) -> APIClient:
        """The vendor's client in a session of its own."""
        client = self.client()
        payload = (more or {}) | ({"session-name": name} if name else {})
        answer = client.login_with_api_key(key, read_only=read_only, payload=payload)
        assert answer.success, answer.error_message
        return client

    @staticmethod
    def ok(client: APIClient, command: str, **parameters: object) -> Json:
        """Call a command that must succeed; tasks are waited for. Parameters are written with underscores."""
        answer = client.api_call(command, {name.replace("_", "-"): value for name, value in parameters.items()})
        assert answer.success, answer.error_message
        return dict(answer.data)

    @staticmethod
    def start(client: APIClient, command: str, **parameters: object) -> str:
        """Call a command that begins a task, and do not wait for it: the task's id."""
        payload = {name.replace("_", "-"): value for name, value in parameters.items()}
        answer = client.api_call(command, payload, wait_for_task=False)
        assert answer.success, answer.error_message
        return str(answer.data["task-id"])

    @staticmethod
    def failed(client: APIClient, command: str, **parameters: object) -> Json:
        """Call a command whose task must fail: the task."""
        answer = client.api_call(command, {name.replace("_", "-"): value for name, value in parameters.items()})
        assert not answer.success
        return dict(answer.data["tasks"][0])

    @staticmethod
    def refused(client: APIClient, command: str, **parameters: object) -> tuple[int, str, str]:
        """Call a command that must be refused: (status, code, message)."""
        answer = client.api_call(command, {name.replace("_", "-"): value for name, value in parameters.items()})
        assert not answer.success
        return answer.status_code, answer.data["code"], answer.data["message"]

    def post(self, command: str, body: object, sid: str | None = None, version: str = "") -> requests.Response:
        """A plain request, for what the vendor's client cannot say; the chain is verified."""
        with requests.Session() as session:
            session.trust_env = False
            headers = {"X-chkp-sid": sid} if sid else {}
            url = f"{self.url}/web_api/{version}{command}"
            return session.post(url, json=body, headers=headers, verify=str(self.ca), timeout=10)

    def order(self, what: str, body: Json, status: int = 200) -> Json:
        """Act as another administrator, by the control port."""
        answer = requests.post(f"{self.control}/checkpoint/{what}", json=body, timeout=10)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def look(self, what: str) -> Json:
        """Read the simulator, by the control port."""
        return dict(requests.get(f"{self.control}/checkpoint/{what}", timeout=10).json())

    def slow_down(self) -> None:
        """Make tasks take the vendor's time, so that a test can read a running one; `finish` ends it."""
        self.environment.clock.scale = 1.0
        self.order("durations", {"read": 0.0, "write": 0.0})

    def finish(self, task_id: str) -> None:
        """End a running task now."""
        task = self.world.tasks.find(task_id)
        self.background.call(lambda: setattr(task, "ends", 0.0))
        self.wait(lambda: not task.is_running)

    def wait(self, met: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for a condition."""
        until = time.monotonic() + seconds
        while not self.background.call(met):
            assert time.monotonic() < until, "waited in vain"
            time.sleep(0.01)


@pytest.fixture(scope="session")
def certificate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    certificates.issue(folder, "checkpoint")
    return folder


@pytest.fixture
def management(certificate_folder: Path) -> Iterator[Management]:
    environment = Environment(clock=Clock(SCALE))
    world, app = create(environment, api_key=API_KEY, user="microseg", password=PASSWORD)
    world.add_admin(Admin("bob", OTHER_KEY))
    control = build_control(environment)
    add_control(control.router, world)
    certificate = certificate_folder / "checkpoint.pem"
    tls = certificates.ssl_context(certificate, certificate_folder / "checkpoint.key")
    with Background() as background:
        served = background.serve(app, tls)
        control_url = background.serve(control, None).url
        management = Management(
            served.url,
            served.port,
            control_url,
            certificate_folder / "ca.pem",
            _sha1(certificate),
            environment,
            world,
            background,
        )
        yield management
        for client in management.clients:
            client.close_connection()


def _sha1(certificate: Path) -> str:
    """The fingerprint that the vendor's client compares."""
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
