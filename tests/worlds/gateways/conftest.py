"""The three worlds over TLS in a thread of their own, and the product's gateways that talk to them."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
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
from microseg.gateways.azure import AzureArm
from microseg.gateways.azure_credentials import Endpoints, credential_maker
from microseg.gateways.checkpoint import Management
from microseg.gateways.checkpoint_session import ApiKey, Credential
from microseg.gateways.illumio import Pce
from microseg.gateways.wire import Limits
from microseg.model.estate import ClientSecret, Identity, SecretRef, Select, Source
from microseg.model.secret import Secret
from simulators import certificates
from simulators.azure.machine import Vm
from simulators.azure.timing import Timing
from simulators.background import Background
from simulators.clock import Clock
from simulators.faults import Fault
from simulators.server import Stage

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
SHORT = Limits(connect=2.0, read=1.0, total=5.0)

W = TypeVar("W")


@dataclass
class Seen:
    """What the gateways told the observer."""

    calls: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append((system, operation, outcome))


@dataclass
class Running(Generic[W]):
    """A world that is served, and how to upset it."""

    system: str
    world: W
    stage: Stage
    url: str
    ca: Path
    background: Background
    seen: Seen = field(default_factory=Seen)

    def fault(self, operation: str, **more: object) -> None:
        """Order a failure of the next call of this operation."""
        self.stage.faults.add(Fault(self.system, operation, **more))  # type: ignore[arg-type]

    def count(self, operation: str) -> int:
        """How often the operation was asked for."""
        return len(self.stage.ledger.entries(self.system, operation))

    def act(self, change: Callable[[], object]) -> None:
        """Change the world in its own thread."""
        self.background.call(change)


@dataclass(frozen=True)
class Result:
    exit_code: int = 0
    stdout: str = "microseg-result v1 nonce=ab outcome=paired code=0 workload=- org=-\n"
    stderr: str = ""
    timed_out: bool = False


class Runner:
    """Runs nothing; a script that says `wait` goes on until it is killed."""

    async def run(self, vm: Vm, script: str, parameters: dict[str, str], timeout: float) -> Result:  # noqa: ARG002, ASYNC109
        if "wait" in script:
            await asyncio.Event().wait()
        return Result()


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
    stage = Stage(clock=Clock(1000.0))
    world, app = simulators.azure.create(
        stage,
        tenant=TENANT,
        client_id=CLIENT,
        client_secret=CLIENT_SECRET,
        subscriptions=[SUBSCRIPTION, OTHER_SUBSCRIPTION],
        runner=Runner(),
        timing=Timing(agent=0.0),
    )
    url = background.serve(app, _tls(folder)).url
    return Running("azure", world, stage, url, folder / "ca.pem", background)


@pytest.fixture
def pce_world(folder: Path, background: Background) -> Running[simulators.illumio.World]:
    stage = Stage(clock=Clock(1000.0))
    world, app = simulators.illumio.create(stage, org_id=ORG)
    url = background.serve(app, _tls(folder)).url
    return Running("illumio", world, stage, url, folder / "ca.pem", background)


@pytest.fixture
def firewall(folder: Path, background: Background) -> Running[simulators.checkpoint.World]:
    stage = Stage(clock=Clock(1000.0))
    world, app = simulators.checkpoint.create(stage, api_key=API_KEY, user="microseg", password=PASSWORD)
    url = background.serve(app, _tls(folder)).url
    return Running("checkpoint", world, stage, url, folder / "ca.pem", background)


def arm(
    azure: Running[simulators.azure.world.World],
    *,
    ca: Path | None = None,
    secret: str = CLIENT_SECRET,
    subscriptions: tuple[str, ...] = (SUBSCRIPTION,),
    select: Select | None = None,
    limits: Limits = SHORT,
) -> AzureArm:
    """The Azure gateway for one source."""
    identity = Identity(
        client_secret=ClientSecret(tenant_id=TENANT, client_id=CLIENT, secret_ref=SecretRef(name="azure"))
    )
    source = Source(name="main", subscriptions=subscriptions, identity=identity, select=select or Select())
    places = Endpoints(azure.url, azure.url, AUDIENCE)
    trusted = str(ca or azure.ca)
    maker = credential_maker(identity, places, ca_file=trusted, client_secret=Secret(secret))
    return AzureArm(source, maker, places, ca_file=trusted, limits=limits, observe=azure.seen)


@pytest.fixture
def gateway(azure: Running[simulators.azure.world.World]) -> Iterator[AzureArm]:
    made = arm(azure)
    yield made
    made.close()


@pytest.fixture
def pce(pce_world: Running[simulators.illumio.World]) -> Iterator[Pce]:
    world = pce_world.world
    made = Pce(
        pce_world.url,
        ORG,
        world.api_user,
        Secret(world.api_secret),
        ca_file=str(pce_world.ca),
        limits=SHORT,
        observe=pce_world.seen,
    )
    yield made
    made.close()


def manager(
    firewall: Running[simulators.checkpoint.World],
    credential: Credential | None = None,
    *,
    fingerprint: str = "",
    limits: Limits = SHORT,
) -> Management:
    """The Check Point gateway, not logged in."""
    return Management(
        firewall.url,
        "",
        credential or ApiKey(Secret(API_KEY)),
        ca_file=None if fingerprint else str(firewall.ca),
        fingerprint=fingerprint,
        limits=limits,
        observe=firewall.seen,
    )


@pytest.fixture
def management(firewall: Running[simulators.checkpoint.World]) -> Iterator[Management]:
    made = manager(firewall)
    made.open(f"microseg/{OWNER}/1")
    yield made
    made._transport.close()


def impatient(session: requests.Session, fault: Mapping[str, object]) -> None:
    """Where the failure is silence, let the client give up at once."""
    if fault.get("action") == "hang":
        adapter: Any = session.get_adapter("https://")
        adapter._limits = replace(adapter._limits, read=0.2)


def sha256(certificate: Path) -> str:
    """The fingerprint of a certificate file."""
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    return hashlib.sha256(der).hexdigest()


def assert_silent(error: BaseException, stage: Stage) -> None:
    """Neither the error's text nor its formatted traceback holds a secret of the world."""
    text = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))
    leaked = [secret for secret in {*stage.ledger.secrets, CLIENT_SECRET, API_KEY, PASSWORD} if secret in text]
    assert not leaked


def _tls(folder: Path) -> ssl.SSLContext:
    return certificates.ssl_context(folder / "world.pem", folder / "world.key")
