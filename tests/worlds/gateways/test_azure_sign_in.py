"""The operator's identity in Azure: tokens that expire, are refused or cannot be had."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from microseg.gateways.azure.credentials import Endpoints, credential_factory
from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.azure.sign_in import judgement_in
from microseg.gateways.ports import (
    GatewayError,
    Refused,
    Throttled,
    Unreachable,
)
from microseg.model.azure_spec import ClientSecret, Identity, ManagedIdentity, Source, WorkloadIdentity
from microseg.model.fields import SecretRef
from microseg.model.secret import Secret

from .azure_vms import Azure, add, arm_id, script
from .conftest import AUDIENCE, CLIENT, CLIENT_SECRET, SHORT, SUBSCRIPTION, TENANT, azure_gateway, list_vms


def test_a_revoked_token_is_replaced_once_and_the_call_succeeds(azure: Azure, gateway: AzureArmGateway) -> None:
    vm = add(azure, name="web1")
    gateway.vm(arm_id(vm))
    azure.act(azure.world.directory.revoke)
    gateway.start_run_command(arm_id(vm), script())
    assert len(gateway.run_commands(arm_id(vm))) == 1
    assert azure.count("token") == 2


def test_a_token_that_is_never_accepted_is_refused_after_one_more_try(azure: Azure, gateway: AzureArmGateway) -> None:
    body = {"error": {"code": "InvalidAuthenticationToken", "message": "no"}}
    azure.fault("vms.list", count=9, status=401, body=body)
    with pytest.raises(Refused):
        list_vms(gateway)
    assert azure.count("vms.list") == 2


def test_a_wrong_client_secret_is_refused_and_stays_out_of_the_error(azure: Azure) -> None:
    gateway = azure_gateway(azure, secret="wrong-secret-123")
    with pytest.raises(Refused) as caught:
        list_vms(gateway)
    assert "wrong-secret-123" not in repr(caught.value)
    gateway.close()


def test_a_sign_in_service_that_is_down_is_unreachable_even_for_an_effect(
    azure: Azure, gateway: AzureArmGateway
) -> None:
    vm = add(azure, name="web1")
    azure.fault("openid-configuration", count=99, action="html", status=503)
    azure.fault("token", count=99, action="html", status=503)
    with pytest.raises(Unreachable):
        gateway.start_run_command(arm_id(vm), script())
    assert azure.count("commands.put") == 0


def test_an_answer_that_the_sign_in_library_cannot_parse_harms_no_later_attempt(
    azure: Azure, gateway: AzureArmGateway
) -> None:
    azure.fault("token", count=2, action="status", status=429, body={"error": {"code": "Busy"}})
    for _ in range(2):
        with pytest.raises(Throttled):
            list_vms(gateway)
    assert list_vms(gateway).vms == ()


@pytest.mark.parametrize("place", ["openid-configuration", "token"])
@pytest.mark.parametrize(
    ("status", "body", "asked", "error", "pause"),
    [
        (429, {"error": "temporarily_unavailable"}, "3600", Throttled, 900),
        (429, {"error": {"code": "429"}}, "", Throttled, 30),
        (503, {"error": "temporarily_unavailable"}, "40", Throttled, 40),
        (503, {"error": "temporarily_unavailable"}, "", Unreachable, None),
        (500, None, "", Unreachable, None),
        (200, "<html>Log in to the proxy</html>", "", Unreachable, None),
        (403, "<html>Access denied by the proxy</html>", "", Unreachable, None),
        (407, "<html>Proxy authentication required</html>", "", Unreachable, None),
        (407, {"error": "proxy authentication required"}, "", Unreachable, None),
        (403, {"message": "Blocked by the proxy"}, "", Unreachable, None),
        (302, {}, "", Unreachable, None),
        (200, {}, "", Unreachable, None),
        (200, [], "", Unreachable, None),
        (400, {"error": "temporarily_unavailable", "error_codes": [90033]}, "", Unreachable, None),
        (400, {"error": "invalid_grant", "error_codes": [50196]}, "", Unreachable, None),
    ],
)
def test_what_says_nothing_of_the_identity_is_no_refusal_is_asked_once_and_is_not_remembered(
    azure: Azure, gateway: AzureArmGateway, place: str, status: int, body: object, asked: str,
    error: type[GatewayError], pause: float | None,
) -> None:  # fmt: skip
    vm = add(azure, name="web1")
    azure.fault(place, action="status", status=status, body=body, headers={"Retry-After": asked} if asked else {})
    with pytest.raises(error) as caught:
        gateway.vm(arm_id(vm))
    assert azure.count(place) == 1, "nobody waits within the call"
    assert getattr(caught.value, "retry_after", None) == pause
    assert len(list_vms(gateway).vms) == 1, "the next call asks anew"


def test_an_effect_whose_token_comes_late_is_not_sent(azure: Azure) -> None:
    gateway, vm = azure_gateway(azure, limits=replace(SHORT, token=0.5)), add(azure, name="web1")
    azure.fault("token", action="delay", seconds=0.8)
    with pytest.raises(Unreachable, match="so late that the change was not sent"):
        gateway.start_run_command(arm_id(vm), script())
    assert azure.count("commands.put") == 0
    gateway.start_run_command(arm_id(vm), script())
    assert azure.count("token") == 1
    gateway.close()


def test_a_managed_identity_asks_the_machine_although_the_workload_identity_webhook_set_its_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"):
        monkeypatch.setenv(name, str(tmp_path / "token"))
    with metadata_service() as (address, asked):
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", address)
        identity = Identity(managed_identity=ManagedIdentity(client_id=CLIENT))
        credential = credential_factory(identity, Endpoints("https://arm.example", "https://login.example", AUDIENCE))()
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever the libraries make of it
            credential.get_token(f"{AUDIENCE}/.default")
        assert isinstance(judgement_in(caught.value), Unreachable)
        assert credential.get_token(f"{AUDIENCE}/.default").token == "of-the-machine"
        assert [CLIENT in path for path in asked] == [True, True], "one request per call"


@contextlib.contextmanager
def metadata_service() -> Iterator[tuple[str, list[str]]]:
    """The metadata service of an Azure VM: it is being updated at first, then it gives a token."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer = {"access_token": "of-the-machine", "expires_in": "3600", "resource": "r", "token_type": "Bearer"}
            body = json.dumps(answer if len(asked) > 1 else {"error": "gone"}).encode()
            self.send_response(200 if len(asked) > 1 else 410)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def test_a_server_that_the_ca_does_not_vouch_for_gets_nothing(azure: Azure, folder: Path) -> None:
    gateway = azure_gateway(azure, ca=folder / "stranger" / "ca.pem")
    with pytest.raises(Unreachable):
        list_vms(gateway)
    assert azure.stage.ledger.entries("azure") == []
    gateway.close()


def test_a_missing_federated_token_names_the_label_that_brings_it(azure: Azure, tmp_path: Path) -> None:
    identity = Identity(workload_identity=WorkloadIdentity(client_id=CLIENT, tenant_id=TENANT))
    endpoints = Endpoints(azure.url, azure.url, AUDIENCE)
    factory = credential_factory(identity, endpoints, ca_file=str(azure.ca), token_file=tmp_path / "token")
    source = Source(name="main", subscriptions=(SUBSCRIPTION,), identity=identity)
    gateway = AzureArmGateway(source, factory, endpoints, ca_file=str(azure.ca), limits=SHORT)
    with pytest.raises(Refused, match=r"no federated token: is the label azure\.workload\.identity/use set\?"):
        list_vms(gateway)
    gateway.close()


def test_a_federated_token_that_is_no_file_is_told_as_such(azure: Azure, tmp_path: Path) -> None:
    identity = Identity(workload_identity=WorkloadIdentity(client_id=CLIENT, tenant_id=TENANT))
    endpoints = Endpoints(azure.url, azure.url, AUDIENCE)
    factory = credential_factory(identity, endpoints, ca_file=str(azure.ca), token_file=tmp_path)
    source = Source(name="main", subscriptions=(SUBSCRIPTION,), identity=identity)
    gateway = AzureArmGateway(source, factory, endpoints, ca_file=str(azure.ca), limits=SHORT)
    with pytest.raises(Refused, match="federated token cannot be read"):
        list_vms(gateway)
    gateway.close()


def test_a_name_that_does_not_resolve_is_told_for_azure_and_for_its_sign_in_service(azure: Azure) -> None:
    identity = Identity(client_secret=ClientSecret(tenant_id=TENANT, client_id=CLIENT, secret_ref=SecretRef(name="a")))
    source = Source(name="main", subscriptions=(SUBSCRIPTION,), identity=identity)
    nowhere = "https://nowhere.invalid"
    for endpoints in (Endpoints(azure.url, nowhere, AUDIENCE), Endpoints(nowhere, azure.url, AUDIENCE)):
        factory = credential_factory(identity, endpoints, ca_file=str(azure.ca), client_secret=Secret(CLIENT_SECRET))
        gateway = AzureArmGateway(source, factory, endpoints, ca_file=str(azure.ca), limits=SHORT)
        with pytest.raises(Unreachable, match=r"the name nowhere\.invalid does not resolve"):
            list_vms(gateway)
        gateway.close()
