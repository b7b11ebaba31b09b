"""Sign-in, errors and limits, with azure-identity and the SDK."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.rest import HttpResponse
from azure.identity import WorkloadIdentityCredential

from simulators.azure.errors import ArmError
from simulators.azure.throttle import Throttle
from simulators.faults import Fault

from .conftest import CLIENT, OTHER_SUBSCRIPTION, SUBJECT, SUBSCRIPTION, TENANT, Azure

SCOPE = "https://management.azure.com/.default"
VMS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"


def assertion(**changes: object) -> str:
    claims = {"sub": SUBJECT, "aud": ["api://AzureADTokenExchange"], "exp": time.time() + 600, **changes}
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims, "signature")
    )


def test_a_client_secret_gets_a_token_that_opens_arm(azure: Azure) -> None:
    token = azure.credential().get_token(SCOPE)
    assert 3000 < token.expires_on - time.time() <= 3600
    assert token.token in azure.environment.ledger.secrets
    with azure.session() as session:
        assert session.get(f"{azure.url}{VMS}?api-version=2024-07-01", timeout=5).json() == {"value": []}
    assert azure.environment.ledger.entries("azure", "vms.list")[0].who == CLIENT


def test_a_wrong_secret_is_refused_with_its_aadsts_number(azure: Azure) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        azure.credential("wrong").get_token(SCOPE)


def test_another_audience_is_refused(azure: Azure) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS70011"):
        azure.credential().get_token("https://graph.microsoft.com/.default")


def test_a_workload_identity_gets_a_token(azure: Azure, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(assertion())
    credential = WorkloadIdentityCredential(
        tenant_id=TENANT,
        client_id=CLIENT,
        token_file_path=str(tmp_path / "token"),
        authority=azure.url,
        disable_instance_discovery=True,
        connection_verify=azure.ca,
    )
    with credential:
        assert credential.get_token(SCOPE).token in azure.environment.ledger.secrets


@pytest.mark.parametrize(
    ("changes", "number"),
    [({"sub": "somebody"}, "70021"), ({"aud": "other"}, "700212"), ({"exp": 1}, "700024")],
)
def test_a_wrong_assertion_is_refused(azure: Azure, changes: dict[str, object], number: str) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "scope": SCOPE,
        "client_assertion": assertion(**changes),
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    answer = requests.post(f"{azure.url}/{TENANT}/oauth2/v2.0/token", data=form, verify=azure.ca, timeout=5)
    assert answer.status_code == 401
    assert f"AADSTS{number}" in answer.json()["error_description"]


def test_without_a_token_arm_challenges(azure: Azure) -> None:
    answer = requests.get(f"{azure.url}{VMS}?api-version=2024-07-01", verify=azure.ca, timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthenticationFailed")
    assert f'authorization_uri="{azure.url}/{TENANT}"' in answer.headers["WWW-Authenticate"]


def test_tokens_expire(azure: Azure) -> None:
    azure.world.directory.token_seconds = 0.2
    with azure.session() as session:
        listed = f"{azure.url}{VMS}?api-version=2024-07-01"
        assert session.get(listed, timeout=5).status_code == 200
        until = time.monotonic() + 5
        while (answer := session.get(listed, timeout=5)).status_code == 200:
            assert time.monotonic() < until
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "ExpiredAuthenticationToken")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_revoked_token_is_refused_by_arm_as_the_sdk_tells(azure: Azure) -> None:
    with azure.compute() as compute:
        list(compute.virtual_machines.list_all())
        assert requests.post(f"{azure.control}/azure/tokens/revoke", timeout=5).json() == {"revoked": 1}
        with pytest.raises(ClientAuthenticationError):
            list(compute.virtual_machines.list_all())


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (VMS, 400, "MissingApiVersionParameter"),
        (f"{VMS}?api-version=latest", 400, "InvalidApiVersionParameter"),
        (f"{VMS}?api-version=2014-01-01", 400, "NoRegisteredProviderFound"),
        (f"{VMS}?api-version=2024-07-01&$filter=name eq 'x'", 400, "InvalidParameter"),
        (f"{VMS}?api-version=2024-07-01&$skiptoken=junk", 400, "InvalidSkipToken"),
        (f"{VMS.replace('3', '9')}?api-version=2024-07-01", 404, "SubscriptionNotFound"),
        ("/subscriptions/x/providers/Microsoft.Web/sites?api-version=2024-07-01", 404, "InvalidResourceType"),
    ],
)
def test_wrong_requests_are_refused_in_arms_envelope(azure: Azure, path: str, status: int, code: str) -> None:
    with azure.session() as session:
        answer = session.get(f"{azure.url}{path}", timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["x-ms-request-id"]


def test_paths_are_matched_in_any_letter_case(azure: Azure) -> None:
    azure.add({"name": "Web", "resourceGroup": "Prod"})
    path = f"/SUBSCRIPTIONS/{SUBSCRIPTION}/resourcegroups/PROD/providers/microsoft.compute/virtualmachines/WEB"
    with azure.session() as session:
        assert session.get(f"{azure.url}{path}?api-version=2024-07-01", timeout=5).json()["name"] == "Web"
        assert session.get(f"{azure.url}{path}/RUNCOMMANDS?api-version=2024-07-01", timeout=5).json() == {"value": []}


def test_remaining_reads_are_told_and_enforced_only_when_limits_are_on(azure: Azure) -> None:
    listed = f"{azure.url}{VMS}?api-version=2024-07-01"
    throttle = azure.world.throttle
    throttle.now = lambda: 0.0
    with azure.session() as session:
        left = int(session.get(listed, timeout=5).headers["x-ms-ratelimit-remaining-subscription-reads"])
        assert left == 249
        for _ in range(300):
            azure.background.call(lambda: throttle.admit(SUBSCRIPTION, CLIENT, "reads", None))
        assert session.get(listed, timeout=5).status_code == 200
        azure.environment.limits = True
        refused = session.get(listed, timeout=5)
        throttle.now = lambda: 1.0
        assert [session.get(listed, timeout=5).status_code for _ in range(26)] == [200] * 25 + [429]
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json()["error"]["code"] == "SubscriptionRequestsThrottled"


def test_a_vm_takes_twelve_commands_at_once_and_four_a_minute() -> None:
    now = [0.0]
    throttle = Throttle(enforced=lambda: True, now=lambda: now[0])
    for _ in range(12):
        throttle.admit("s", "me", "writes", "UpdateVM", "vm")
    with pytest.raises(ArmError) as refusal:
        throttle.admit("s", "me", "writes", "UpdateVM", "vm")
    assert (refusal.value.status, refusal.value.headers["Retry-After"]) == (429, "15")
    throttle.admit("s", "me", "writes", "UpdateVM", "another")
    now[0] += 15
    throttle.admit("s", "me", "writes", "UpdateVM", "vm")


def test_a_subscription_whose_limits_others_use_up_refuses_while_another_one_answers(azure: Azure) -> None:
    azure.world.traits.change({"exhausted": [SUBSCRIPTION]})
    with azure.session() as session:
        refused = session.get(f"{azure.url}{VMS}?api-version=2024-07-01", timeout=5)
        other = VMS.replace(SUBSCRIPTION, OTHER_SUBSCRIPTION)
        assert session.get(f"{azure.url}{other}?api-version=2024-07-01", timeout=5).status_code == 200
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "10")
    assert refused.json()["error"]["code"] == "OperationNotAllowed"


def test_lists_are_high_cost_gets_of_their_subscription() -> None:
    now = [0.0]
    throttle = Throttle(enforced=lambda: True, now=lambda: now[0])
    admitted = 0

    def list_without_end() -> None:
        nonlocal admitted
        for _ in range(2000):
            throttle.admit("s", "me", "reads", "HighCostGet")
            admitted += 1
            now[0] += 0.05

    with pytest.raises(ArmError) as refusal:
        list_without_end()
    assert 1100 < admitted < 1300
    assert refusal.value.details[0]["target"] == "HighCostGet"


@pytest.mark.parametrize("action", ["html", "truncate", "cut"])
def test_the_sdk_meets_ordered_failures_of_a_list(azure: Azure, action: str) -> None:
    azure.environment.faults.add(Fault("azure", "vms.list", phase="after", action=action, status=502))  # type: ignore[arg-type]
    with azure.compute() as compute:
        with pytest.raises(Exception) as failure:  # noqa: PT011 - three different ones
            list(compute.virtual_machines.list_all())
        assert not isinstance(failure.value, AssertionError)
        assert list(compute.virtual_machines.list_all()) == []


def test_the_sdk_meets_a_429_that_says_when(azure: Azure) -> None:
    headers = {"Retry-After": "17"}
    azure.environment.faults.add(
        Fault("azure", "vms.list", status=429, headers=headers, body={"error": {"code": "TooManyRequests"}})
    )
    with azure.compute() as compute, pytest.raises(HttpResponseError) as refusal:
        list(compute.virtual_machines.list_all())
    response = refusal.value.response
    assert isinstance(response, HttpResponse)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "17")
