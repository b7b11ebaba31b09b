"""The three worlds over TLS, in a thread of their own, and the gateways that are connected to them."""

from __future__ import annotations

import hashlib
import ssl
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
import requests

import simulators.azure
import simulators.checkpoint
import simulators.illumio
from microseg.gateways.azure.credentials import CredentialFactory, Endpoints, credential_factory
from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.checkpoint.session import ApiKey, Credential
from microseg.gateways.http.proxy import Proxy
from microseg.gateways.http.tls import Limits
from microseg.gateways.illumio.gateway import IllumioPceGateway
from microseg.gateways.ports import GatewayError, Reading, Unreachable
from microseg.gateways.readings import whole
from microseg.model.azure_facts import VmListing
from microseg.model.azure_spec import ClientSecret, Identity, Select, Source
from microseg.model.fields import SecretRef
from microseg.model.secret import Secret
from simulators import certificates
from simulators.azure.execution import Execution
from simulators.azure.machine import Vm
from simulators.azure.timing import Timing
from simulators.background import Background
from simulators.clock import Clock
from simulators.environment import Environment
from simulators.faults import Fault

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
SUBSCRIPTION = "33333333-3333-3333-3333-333333333333"
OTHER_SUBSCRIPTION = "44444444-4444-4444-4444-444444444444"
AUDIENCE = "https://management.azure.com"
CLIENT_SECRET = "client-secret-9f3b"
API_KEY = "api-key-7c2e"
PASSWORD = "password-5d1a"
ORG = 50
OWNER = "plant/estate"
SHORT = Limits(connect=2.0, read=4.0, total=5.0)

W = TypeVar("W")
R = TypeVar("R")


@dataclass
class ObservedCalls:
    """The calls that the gateways reported."""

    calls: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append((system, operation, outcome))


@dataclass
class Running(Generic[W]):
    """A world that is served, and how to disturb it."""

    system: str
    world: W
    stage: Environment
    url: str
    ca: Path
    background: Background
    observed: ObservedCalls = field(default_factory=ObservedCalls)

    def fault(self, operation: str, **more: object) -> None:
        """Order a failure of the next call of this operation."""
        self.stage.faults.add(Fault(self.system, operation, **more))  # type: ignore[arg-type]

    def count(self, operation: str) -> int:
        """How often the operation was requested."""
        return len(self.stage.ledger.entries(self.system, operation))

    def act(self, change: Callable[[], object]) -> None:
        """Change the world in its own thread."""
        self.background.call(change)


@dataclass(frozen=True)
class Result:
    exit_code: int = 0
    stdout: str = "microseg-result v1 nonce=ab outcome=paired code=0 workload=- org=-\n"
    stderr: str = ""
    failure: str = ""
    timed_out: bool = False


class ScriptRunner:
    """Runs nothing; a script that says `wait` goes on until it is killed."""

    async def run(self, vm: Vm, execution: Execution) -> Result:  # noqa: ARG002
        if "wait" in execution.script:
            await execution.killed.wait()
        return Result()

    def power_off(self, vm: Vm) -> None:
        """There is nothing to kill."""

    def close(self) -> None:
        """There is nothing to kill."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates: the worlds', and an authority that signed none of them."""
    made = tmp_path_factory.mktemp("gateways")
    certificates.issue(made, "world")
    stranger = made / "stranger"
    stranger.mkdir()
    certificates.issue(stranger, "other")
    return made


@pytest.fixture
def background() -> Iterator[Background]:
    with Background() as running:
        yield running


@pytest.fixture
def azure(folder: Path, background: Background) -> Running[simulators.azure.world.World]:
    stage = Environment(clock=Clock(1000.0))
    world, app = simulators.azure.create(
        stage,
        tenant=TENANT,
        client_id=CLIENT,
        client_secret=CLIENT_SECRET,
        subscriptions=[SUBSCRIPTION, OTHER_SUBSCRIPTION],
        runner=ScriptRunner(),
        timing=Timing(agent=0.0),
    )
    url = background.serve(app, _tls(folder)).url
    return Running("azure", world, stage, url, folder / "ca.pem", background)


@pytest.fixture
def pce_world(folder: Path, background: Background) -> Running[simulators.illumio.World]:
    stage = Environment(clock=Clock(1000.0))
    world, app = simulators.illumio.create(stage, org_id=ORG)
    url = background.serve(app, _tls(folder)).url
    return Running("illumio", world, stage, url, folder / "ca.pem", background)


@pytest.fixture
def firewall(folder: Path, background: Background) -> Running[simulators.checkpoint.World]:
    stage = Environment(clock=Clock(1000.0))
    world, app = simulators.checkpoint.create(stage, api_key=API_KEY, user="microseg", password=PASSWORD)
    url = background.serve(app, _tls(folder)).url
    return Running("checkpoint", world, stage, url, folder / "ca.pem", background)


def azure_gateway(
    azure: Running[simulators.azure.world.World],
    *,
    ca: Path | None = None,
    secret: str = CLIENT_SECRET,
    subscriptions: tuple[str, ...] = (SUBSCRIPTION,),
    select: Select | None = None,
    limits: Limits = SHORT,
    proxy: Proxy | None = None,
    reader: str = "",
    split: bool = True,
) -> AzureArmGateway:
    """The Azure gateway for one source. `reader`: another identity, same secret, for all or (`split`) to read."""

    def signing_in_as(client: str) -> Identity:
        return Identity(
            client_secret=ClientSecret(tenant_id=TENANT, client_id=client, secret_ref=SecretRef(name="azure"))
        )

    def factory(client: str) -> CredentialFactory:
        return credential_factory(
            signing_in_as(client), endpoints, ca_file=trusted, client_secret=Secret(secret), observe=azure.observed,
            proxy=proxy,
        )  # fmt: skip

    identity = signing_in_as(reader or CLIENT)
    source = Source(name="main", subscriptions=subscriptions, identity=identity, select=select or Select())
    endpoints = Endpoints(azure.url, azure.url, AUDIENCE)
    trusted = str(ca or azure.ca)
    return AzureArmGateway(
        source, factory(reader or CLIENT), endpoints, ca_file=trusted, limits=limits, observe=azure.observed,
        proxy=proxy, run_commands=factory(CLIENT) if reader and split else None,
    )  # fmt: skip


def read(reading: Reading[R]) -> R:
    """The whole list, almost without waiting. Throttled: the system asks for a pause."""
    return whole(reading, lambda seconds: time.sleep(min(seconds, 0.02)))


def tries(expected: type[GatewayError]) -> int:
    """How often a request of a list is sent before the list fails with this error."""
    return 3 if expected is Unreachable else 1


def list_vms(gateway: AzureArmGateway, subscription: str = SUBSCRIPTION) -> VmListing:
    """All of one subscription."""
    return read(gateway.list_vms(subscription))


@pytest.fixture
def gateway(azure: Running[simulators.azure.world.World]) -> Iterator[AzureArmGateway]:
    made = azure_gateway(azure)
    yield made
    made.close()


@pytest.fixture
def pce(pce_world: Running[simulators.illumio.World]) -> Iterator[IllumioPceGateway]:
    world = pce_world.world
    made = IllumioPceGateway(
        pce_world.url,
        ORG,
        world.api_user,
        Secret(world.api_secret),
        ca_file=str(pce_world.ca),
        limits=SHORT,
        observe=pce_world.observed,
    )
    yield made
    made.close()


def check_point_gateway(
    firewall: Running[simulators.checkpoint.World],
    credential: Credential | None = None,
    *,
    fingerprint: str = "",
    limits: Limits = SHORT,
) -> CheckPointManagementGateway:
    """The Check Point gateway, not logged in."""
    return CheckPointManagementGateway(
        firewall.url,
        "",
        credential or ApiKey(Secret(API_KEY)),
        ca_file=None if fingerprint else str(firewall.ca),
        fingerprint=fingerprint,
        limits=limits,
        observe=firewall.observed,
    )


@pytest.fixture
def management(firewall: Running[simulators.checkpoint.World]) -> Iterator[CheckPointManagementGateway]:
    made = check_point_gateway(firewall)
    made.open(f"microseg/{OWNER}/1")
    yield made
    made._http_client.close()


def shorten_timeout(session: requests.Session, fault: Mapping[str, object]) -> None:
    """If the failure is silence, let the client time out at once."""
    if fault.get("action") == "hang":
        adapter: Any = session.get_adapter("https://")
        adapter._limits = replace(adapter._limits, read=0.2)


def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"


def sha256(certificate: Path) -> str:
    """The fingerprint of a certificate file."""
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    return hashlib.sha256(der).hexdigest()


def assert_no_secrets(error: BaseException, stage: Environment) -> None:
    """Neither the error's text nor its formatted traceback holds a secret of the world."""
    text = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))
    leaked = [secret for secret in {*stage.ledger.secrets, CLIENT_SECRET, API_KEY, PASSWORD} if secret in text]
    assert not leaked


def _tls(folder: Path) -> ssl.SSLContext:
    return certificates.ssl_context(folder / "world.pem", folder / "world.key")
