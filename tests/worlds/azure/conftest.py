"""The Azure simulator over TLS, with the vendor's own clients; scripts run in a fake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient

from simulators import certificates
from simulators.azure import add_control, create
from simulators.azure.execution import Execution
from simulators.azure.machine import Vm
from simulators.azure.timing import Timing
from simulators.azure.world import World
from simulators.background import Background
from simulators.clock import Clock
from simulators.control import build_control
from simulators.environment import Environment

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
SUBSCRIPTION = "33333333-3333-3333-3333-333333333333"
OTHER_SUBSCRIPTION = "44444444-4444-4444-4444-444444444444"
SECRET = "correct horse"
SUBJECT = "system:serviceaccount:microseg:microseg"
SCALE = 100.0


@dataclass(frozen=True)
class Result:
    exit_code: int = 0
    stdout: str = "done\n"
    stderr: str = ""
    failure: str = ""
    timed_out: bool = False


@dataclass
class FakeRunner:
    """Runs nothing. A script with `wait` continues until it is killed, or until `release` is set; it prints first."""

    result: Result = field(default_factory=Result)
    ran: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, vm: Vm, execution: Execution) -> Result:
        self.ran.append((vm.vm_id, execution.script, execution.environment))
        if "wait" in execution.script:
            execution.show("so far\n", "")
            waits = [asyncio.ensure_future(event.wait()) for event in (execution.killed, self.release)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                self.killed.append(vm.vm_id)
                raise
            finally:
                for each in waits:
                    each.cancel()
            if execution.killed.is_set():
                return Result(-1, "so far\n")
        return self.result

    def power_off(self, vm: Vm) -> None:
        """Everything of it is killed by its cancellation."""

    def close(self) -> None:
        """As `power_off`."""


@dataclass
class Azure:
    """The running simulator and its clients."""

    url: str
    control: str
    ca: str
    environment: Environment
    world: World
    runner: FakeRunner
    background: Background

    def credential(self, secret: str = SECRET) -> ClientSecretCredential:
        return ClientSecretCredential(
            TENANT, CLIENT, secret, authority=self.url, disable_instance_discovery=True, connection_verify=self.ca
        )

    def compute(self, subscription: str = SUBSCRIPTION) -> ComputeManagementClient:
        return ComputeManagementClient(
            self.credential(),
            subscription,
            base_url=self.url,
            credential_scopes=["https://management.azure.com/.default"],
            connection_verify=self.ca,
            polling_interval=0.05,
            retry_total=0,
        )

    def session(self) -> requests.Session:
        """A plain session with a token."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.ca
        token = self.credential().get_token("https://management.azure.com/.default").token
        session.headers["Authorization"] = f"Bearer {token}"
        return session

    def add(self, *orders: Mapping[str, object]) -> list[Vm]:
        return self.background.call(lambda: [self.world.add(order) for order in orders])

    def wait(self, met: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for a condition."""

        async def until() -> None:
            async with asyncio.timeout(seconds):
                while not met():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

        self.background.run(until())


@pytest.fixture(scope="session")
def certificate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    certificates.issue(folder, "azure")
    return folder


@pytest.fixture
def azure(certificate_folder: Path) -> Iterator[Azure]:
    environment = Environment(clock=Clock(SCALE))
    runner = FakeRunner()
    world, app = create(
        environment,
        tenant=TENANT,
        client_id=CLIENT,
        client_secret=SECRET,
        subscriptions=[SUBSCRIPTION, OTHER_SUBSCRIPTION],
        runner=runner,
        timing=Timing(agent=0.0),
        subjects=[SUBJECT],
    )
    control = build_control(environment)
    add_control(control.router, world)
    tls = certificates.ssl_context(certificate_folder / "azure.pem", certificate_folder / "azure.key")
    with Background() as background:
        url = background.serve(app, tls).url
        control_url = background.serve(control, None).url
        yield Azure(url, control_url, str(certificate_folder / "ca.pem"), environment, world, runner, background)
