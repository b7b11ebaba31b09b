"""The three systems through an egress proxy: every request goes there, and the proxy is never taken for the system."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import simulators.checkpoint
import simulators.illumio
from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.checkpoint.session import ApiKey
from microseg.gateways.http.proxy import Proxy, proxy_of
from microseg.gateways.illumio.gateway import IllumioPceGateway
from microseg.gateways.ports import GatewayError, OutcomeUnknown, ProxyFailed, ProxyRefused, Unreachable
from microseg.model.secret import Secret
from simulators import certificates
from simulators.background import Background
from simulators.proxy import EgressProxy, Mood

from .azure_vms import Azure, add, arm_id, script
from .conftest import API_KEY, ORG, SHORT, Running, assert_no_secrets, azure_gateway, list_vms, read, sha256

USER, PASSWORD = "egress-user", "egress-password-8e2f"
Pce = Running[simulators.illumio.World]
Firewall = Running[simulators.checkpoint.World]


@dataclass
class Way:
    """A proxy that is served, and how it is called in the spec."""

    proxy: EgressProxy
    port: int
    scheme: str = "http"

    def spec(self, password: str = PASSWORD, field: str = "spec.illumio.proxy") -> Proxy:
        return proxy_of(f"{self.scheme}://127.0.0.1:{self.port}", field, USER, Secret(password))

    @property
    def targets(self) -> set[str]:
        return {request.target for request in self.proxy.requests}


@pytest.fixture
def way(background: Background, monkeypatch: pytest.MonkeyPatch) -> Iterator[Way]:
    """A proxy that wants a password. Nothing listens where the environment says that a proxy is."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    proxy = EgressProxy(user=USER, password=PASSWORD)
    yield Way(proxy, background.run(proxy.open()))
    background.run(proxy.close())


def pce_through(pce: Pce, proxy: Proxy, ca: Path | None = None) -> IllumioPceGateway:
    secret = Secret(pce.world.api_secret)
    return IllumioPceGateway(
        pce.url, ORG, pce.world.api_user, secret, ca_file=str(ca or pce.ca), limits=SHORT, proxy=proxy
    )


def management_through(firewall: Firewall, proxy: Proxy, fingerprint: str = "") -> CheckPointManagementGateway:
    ca = None if fingerprint else str(firewall.ca)
    key = ApiKey(Secret(API_KEY))
    return CheckPointManagementGateway(
        firewall.url, "", key, ca_file=ca, fingerprint=fingerprint, limits=SHORT, proxy=proxy
    )


def target_of(running: Running[Any]) -> str:
    return urlsplit(running.url).netloc


def test_every_request_to_azure_and_its_sign_in_goes_through_the_proxy(azure: Azure, way: Way) -> None:
    vm = add(azure, name="web1")
    gateway = azure_gateway(azure, proxy=way.spec())
    assert len(list_vms(gateway).vms) == 1
    gateway.start_run_command(arm_id(vm), script())
    gateway.close()
    assert azure.count("token") == 1
    assert len(way.proxy.requests) == 2, "one tunnel for the sign-in service, one for Resource Manager"
    assert way.targets == {target_of(azure)}


def test_the_pce_and_check_point_are_reached_through_the_proxy(
    pce_world: Pce, firewall: Firewall, way: Way, folder: Path
) -> None:
    pce = pce_through(pce_world, way.spec())
    assert read(pce.labels()) == ()
    by_pin = management_through(firewall, way.spec(), sha256(folder / "world.pem"))
    by_authority = management_through(firewall, way.spec())
    for management in (by_pin, by_authority):
        management.open("microseg/x")
        management.close()
    pce.close()
    assert way.targets == {target_of(pce_world), target_of(firewall)}


def test_the_proxy_alone_gets_its_password_and_sees_no_request(
    azure: Azure, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = azure_gateway(azure, proxy=way.spec())
    list_vms(gateway)
    gateway.close()
    for request in way.proxy.requests:
        assert request.authorization
        assert "Bearer" not in request.head
        assert "/subscriptions" not in request.head
    header = way.proxy.requests[0].authorization
    assert PASSWORD not in caplog.text
    assert header.split()[1] not in caplog.text
    assert PASSWORD not in repr(way.spec())


def test_the_certificate_at_the_far_end_is_verified_through_the_proxy(pce_world: Pce, way: Way, folder: Path) -> None:
    pce = pce_through(pce_world, way.spec(), ca=folder / "stranger" / "ca.pem")
    with pytest.raises(Unreachable, match="not trusted") as caught:
        read(pce.labels())
    assert f"127.0.0.1:{way.port} (spec.illumio.proxy)" in str(caught.value)
    assert pce_world.count("labels.list") == 0
    pce.close()


def test_an_https_proxy_must_prove_itself_before_it_gets_the_password(
    firewall: Firewall, background: Background, folder: Path
) -> None:
    proxy = EgressProxy(user=USER, password=PASSWORD)
    port = background.run(proxy.open(certificates.ssl_context(folder / "world.pem", folder / "world.key")))
    spec = Way(proxy, port, "https").spec(field="spec.checkPoint.proxy")
    management = management_through(firewall, spec)
    management.open("microseg/x")
    management.close()
    asked = len(proxy.requests)
    with pytest.raises(ProxyFailed, match="not trusted"):
        management_through(firewall, spec, sha256(folder / "world.pem")).open("microseg/x")
    assert len(proxy.requests) == asked, "a pinned system says nothing of the proxy: the public authorities count"
    background.run(proxy.close())


@pytest.mark.parametrize(
    ("mood", "error", "words"),
    [
        (Mood.FORBID, ProxyRefused, r"refuses to connect to 127.0.0.1:\d+ \(403\)"),
        (Mood.BAD_GATEWAY, ProxyFailed, r"cannot connect to 127.0.0.1:\d+ \(502\)"),
        (Mood.UNAVAILABLE, ProxyFailed, r"cannot connect to 127.0.0.1:\d+ \(503\)"),
        (Mood.DROP, ProxyFailed, "the connection broke"),
        (Mood.GARBAGE, ProxyFailed, "the connection failed"),
        (Mood.PAGE, ProxyFailed, "TLS failed"),
    ],
)
def test_a_proxy_that_gives_no_way_is_named_and_no_effect_has_happened(
    azure: Azure, way: Way, mood: Mood, error: type[GatewayError], words: str
) -> None:
    vm = add(azure, name="web1")
    gateway = azure_gateway(azure, proxy=way.spec(field="spec.azure.proxy"))
    way.proxy.mood = mood
    with pytest.raises(error, match=words) as at_the_sign_in:
        gateway.start_run_command(arm_id(vm), script())
    way.proxy.mood = Mood.OPEN
    gateway.vm(arm_id(vm))
    gateway._pipeline._session.close()
    way.proxy.mood = mood
    with pytest.raises(error, match=words) as at_the_effect:
        gateway.start_run_command(arm_id(vm), script())
    for caught in (at_the_sign_in, at_the_effect):
        assert type(caught.value) is error
        assert f"127.0.0.1:{way.port} (spec.azure.proxy)" in str(caught.value)
        assert_no_secrets(caught.value, azure.stage)
        assert PASSWORD not in str(caught.value)
    assert azure.count("commands.put") == 0
    gateway.close()


def test_a_wrong_password_for_the_proxy_is_told_as_such_and_asked_for_once(pce_world: Pce, way: Way) -> None:
    pce = pce_through(pce_world, way.spec(password="wrong-one-4711"))
    for _ in range(2):
        with pytest.raises(ProxyRefused, match=r"refuses the user name or the password \(407\): correct the Secret of"):
            read(pce.labels())
    assert len(way.proxy.requests) == 1, "more of them would lock the account"
    assert pce_world.count("labels.list") == 0
    pce.close()


def test_a_proxy_that_wants_a_password_which_the_spec_lacks_says_where_to_write_it(
    firewall: Firewall, way: Way
) -> None:
    management = management_through(firewall, proxy_of(f"http://127.0.0.1:{way.port}", "spec.checkPoint.proxy"))
    with pytest.raises(ProxyRefused, match=r"name their Secret in spec.checkPoint.proxy.secretRef"):
        management.open("microseg/x")


def test_a_proxy_that_is_away_is_named_and_an_effect_has_not_happened(pce_world: Pce) -> None:
    pce = pce_through(pce_world, proxy_of("http://127.0.0.1:9", "spec.illumio.proxy"))
    with pytest.raises(ProxyFailed, match=r"127.0.0.1:9 \(spec.illumio.proxy\) gave no way .* was refused"):
        pce.create_label("app", "shop")
    pce.close()


@pytest.mark.parametrize(("status", "error"), [(403, Unreachable), (407, ProxyRefused), (502, OutcomeUnknown)])
def test_a_page_that_comes_through_the_proxy_is_no_refusal_by_the_system(
    pce_world: Pce, way: Way, status: int, error: type[GatewayError]
) -> None:
    """A proxy that opens up TLS, by an authority that the bundle has, answers in the system's place."""
    pce = pce_through(pce_world, way.spec())
    pce_world.fault("labels.create", action="html", status=status)
    with pytest.raises(GatewayError, match=r"[Tt]he proxy 127.0.0.1") as caught:
        pce.create_label("app", "shop")
    assert type(caught.value) is error
    pce.close()


def test_a_page_in_place_of_check_point_is_no_refused_log_in(firewall: Firewall, way: Way) -> None:
    management = management_through(firewall, way.spec(field="spec.checkPoint.proxy"))
    firewall.fault("login", action="html", status=403)
    with pytest.raises(Unreachable, match=r"refuses the proxy's address \(accepted-api-calls-from\)") as caught:
        management.open("microseg/x")
    assert not isinstance(caught.value, ProxyFailed), "which of the two it was is not known"
    management.open("microseg/x")
    management.close()


@pytest.mark.parametrize(
    "url",
    [
        "socks5://proxy:1080", "http://user:word@proxy:3128", "http://proxy:3128/path", "http://proxy:3128?x=1",
        "http://proxy:99999", "http://", "proxy:3128", "http://@proxy:3128",
    ],
)  # fmt: skip
def test_a_url_that_is_no_proxy_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"spec.azure.proxy.url is not http://host:port") as caught:
        proxy_of(url, "spec.azure.proxy")
    assert "word" not in str(caught.value)
