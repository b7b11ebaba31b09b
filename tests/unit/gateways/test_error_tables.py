"""Code first, status second: what the errors of each system mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways.azure import errors as azure_errors
from microseg.gateways.checkpoint import errors as checkpoint_errors
from microseg.gateways.http.client import HttpResponse
from microseg.gateways.illumio import errors as illumio_errors
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Throttled, Unreachable
from microseg.model.secret import Secret


def answer(status: int, data: object = None, *, is_json: bool = True, **headers: str) -> HttpResponse:
    return HttpResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, is_json)


def arm(code: str) -> object:
    return {"error": {"code": code, "message": "words"}}


AZURE: list[tuple[int, object, type[GatewayError], type[GatewayError]]] = [
    (409, arm("Conflict"), Busy, Busy),
    (409, arm("AnotherOperationInProgress"), Busy, Busy),
    (409, arm("OperationNotAllowed"), Rejected, Rejected),
    (429, arm("OperationNotAllowed"), Throttled, Throttled),
    (429, None, Throttled, Throttled),
    (429, arm("RetryableErrorDueToAnotherOperation"), Throttled, Throttled),
    (403, arm("AuthorizationFailed"), Refused, Refused),
    (403, arm("RequestDisallowedByPolicy"), Rejected, Rejected),
    (403, arm("RequestDisallowedByAzure"), Rejected, Rejected),
    (403, None, Refused, Refused),
    (401, arm("ExpiredAuthenticationToken"), Refused, Refused),
    (404, arm("SubscriptionNotFound"), Refused, Refused),
    (404, arm("ResourceNotFound"), Rejected, Rejected),
    (404, arm("ParentResourceNotFound"), Rejected, Rejected),
    (400, {"code": "BadRequest", "message": "flat"}, Rejected, Rejected),
    (409, arm("MissingSubscriptionRegistration"), Rejected, Rejected),
    (408, None, Unreachable, OutcomeUnknown),
    (500, arm("InternalServerError"), Unreachable, OutcomeUnknown),
    (502, arm("ProviderError"), Unreachable, OutcomeUnknown),
    (503, arm("TooManyRequests"), Unreachable, OutcomeUnknown),
    (504, arm("GatewayTimeout"), Unreachable, OutcomeUnknown),
    (600, None, Unreachable, OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "data", "read", "effect"), AZURE)
def test_azure(status: int, data: object, read: type[GatewayError], effect: type[GatewayError]) -> None:
    assert type(azure_errors.error_of(answer(status, data), effect=False)) is read
    assert type(azure_errors.error_of(answer(status, data), effect=True)) is effect


@pytest.mark.parametrize("status", [400, 404, 405, 409, 423, 451, 511])
@pytest.mark.parametrize("effect", [True, False])
def test_a_page_of_something_in_between_says_nothing_of_our_rights(status: int, *, effect: bool) -> None:
    """A proxy or a web application firewall that blocks a request writes HTML; it was not passed on."""
    page = answer(status, is_json=False)
    found = [
        azure_errors.error_of(page, effect=effect),
        illumio_errors.error_of(page, effect=effect),
        checkpoint_errors.error_of(page, effect=effect, secrets=()),
    ]
    if status == 511:
        assert {type(each) for each in found} == {OutcomeUnknown if effect else Unreachable}
    else:
        assert [(type(each), str(each)) for each in found] == [
            (Unreachable, f"Something else answers in place of {name} ({status}): is a proxy in between?")
            for name in ("Azure", "the PCE", "Check Point")
        ]


@pytest.mark.parametrize("effect", [True, False])
def test_a_page_with_403_is_no_refusal_of_azure_or_the_pce_and_is_the_web_servers_of_check_point(
    *, effect: bool
) -> None:
    page = answer(403, is_json=False)
    assert type(azure_errors.error_of(page, effect=effect)) is Unreachable
    assert type(illumio_errors.error_of(page, effect=effect)) is Unreachable
    assert type(checkpoint_errors.error_of(page, effect=effect, secrets=())) is Refused


def test_a_401_that_is_no_json_is_a_refusal_of_the_pce_alone_whose_own_form_is_not_known() -> None:
    assert type(azure_errors.error_of(answer(401, is_json=False), effect=False)) is Unreachable
    assert type(illumio_errors.error_of(answer(401, is_json=False), effect=False)) is Refused


def test_a_rejection_has_azures_code_and_sentence_and_no_secrets() -> None:
    data = {"error": {"code": "Bad", "message": "the value c0de is bad"}}
    error = azure_errors.error_of(answer(400, data), effect=True, secrets=(Secret("c0de"),))
    assert isinstance(error, Rejected)
    assert (error.code, error.detail) == ("Bad", "the value **** is bad")


def policy(name: str, *, info: object = None, more: object = ()) -> object:
    identifiers = json.dumps([{"policyAssignment": {"name": name, "id": "/x"}, "policyDefinition": {"name": name}}])
    message = f"Resource 'microseg-1' was disallowed by policy. Policy identifiers: '{identifiers}'."
    error: dict[str, object] = {"code": "RequestDisallowedByPolicy", "message": message}
    if info is not None:
        error["additionalInfo"] = [{"type": "PolicyViolation", "info": info}, *more]  # type: ignore[misc]
    return {"error": error}


TAG = {"result": "True", "path": "tags[CostCentre]", "operator": "Exists"}
TYPE = {"result": "True", "path": "type"}
NAMED = {"policyAssignmentDisplayName": "Require a tag", "policyAssignmentName": "0aed"}


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (policy("by message"), "Azure Policy 'by message'"),
        (
            policy("x", info=NAMED | {"evaluationDetails": {"evaluatedExpressions": [TYPE, TAG]}}),
            "Azure Policy 'Require a tag' (looked at tags[CostCentre])",
        ),
        (policy("x", info={"policyAssignmentName": "short"}), "Azure Policy 'short'"),
        (policy("by message", info={"policyAssignmentName": 7}), "Azure Policy 'by message'"),
        (policy("by message", info=[]), "Azure Policy 'by message'"),
        (
            policy("x", info=NAMED, more=[{"type": "policyViolation", "info": {"policyDefinitionName": "other"}}]),
            "Azure Policies 'Require a tag', 'other'",
        ),
        (policy("a\u202eb\nc"), "Azure Policy 'ab c'"),
        (policy("c0de"), "Azure Policy '****'"),
    ],
)
def test_a_policy_that_refuses_is_named(data: object, detail: str) -> None:
    error = azure_errors.error_of(answer(403, data), effect=True, secrets=(Secret("c0de"),))
    assert isinstance(error, Rejected)
    assert (error.code, error.detail) == ("RequestDisallowedByPolicy", detail)


def test_a_policy_without_a_readable_form_leaves_azures_sentence() -> None:
    said = "Resource 'x' was disallowed by policy. Policy identifiers: 'Require tag CostCentre on resources'."
    data = {"error": {"code": "RequestDisallowedByPolicy", "message": said}}
    error = azure_errors.error_of(answer(403, data), effect=True)
    assert isinstance(error, Rejected)
    assert error.detail == said


def test_many_and_long_names_stay_short() -> None:
    more = [{"type": "PolicyViolation", "info": {"policyAssignmentName": f"{number}" * 9000}} for number in range(99)]
    error = azure_errors.error_of(answer(403, policy("x", info=NAMED, more=more)), effect=True)
    assert isinstance(error, Rejected)
    assert len(error.detail) <= 500


def test_a_missing_right_is_named() -> None:
    said = "The client 'x' does not have authorization to perform action 'Microsoft.Compute/virtualMachines/write' over"
    data = {"error": {"code": "AuthorizationFailed", "message": said}}
    error = azure_errors.error_of(answer(403, data), effect=True)
    assert str(error).endswith(
        "(403 AuthorizationFailed; the permission Microsoft.Compute/virtualMachines/write is missing)"
    )
    forged = {"error": {"code": "AuthorizationFailed", "message": "perform action 'see https://evil'"}}
    assert "evil" not in str(azure_errors.error_of(answer(403, forged), effect=True))


DENIED = (
    "The client 'x' has permission to perform action 'Microsoft.Compute/virtualMachines/runCommands/write'; however, "
    "the access is denied because of the deny assignment with name 'System' c0de."
)
LINKED = (
    "The client 'x' has permission to perform action 'Microsoft.Compute/virtualMachines/write'; however, it does not "
    "have permission to perform action 'Microsoft.Network/networkInterfaces/join/action' on the linked scope"
)


def test_a_refusal_for_another_reason_than_a_missing_right_is_told_in_azures_words() -> None:
    data = {"error": {"code": "DenyAssignmentAuthorizationFailed", "message": DENIED}}
    told = str(azure_errors.error_of(answer(403, data), effect=True, secrets=(Secret("c0de"),)))
    assert "deny assignment with name 'System' ****)" in told
    assert "is missing" not in told
    assert str(azure_errors.error_of(answer(403, data), effect=False)).endswith(
        "(403 DenyAssignmentAuthorizationFailed)"
    )
    linked = {"error": {"code": "LinkedAuthorizationFailed", "message": LINKED}}
    assert "the permission Microsoft.Network/networkInterfaces/join/action is missing" in str(
        azure_errors.error_of(answer(403, linked), effect=True)
    )


def test_a_pause_with_a_503_is_a_throttle_for_reads_only() -> None:
    assert type(azure_errors.error_of(answer(503, Retry_After="9"), effect=False)) is Throttled
    assert type(azure_errors.error_of(answer(503, Retry_After="9"), effect=True)) is OutcomeUnknown


def pce(token: str) -> object:
    return [{"token": token, "message": "words"}]


PCE: list[tuple[int, object, type[GatewayError], type[GatewayError]]] = [
    (429, pce("too_many_requests_error"), Throttled, Throttled),
    (429, None, Throttled, Throttled),
    (401, None, Refused, Refused),
    (403, pce("authorization_error"), Refused, Refused),
    (404, pce("not_found_error"), Rejected, Rejected),
    (405, None, Rejected, Rejected),
    (406, pce("input_validation_error"), Rejected, Rejected),
    (406, {"token": "label_already_deleted", "message": "one object"}, Rejected, Rejected),
    (406, "text", Rejected, Rejected),
    (409, None, Busy, Busy),
    (410, None, Rejected, Rejected),
    (500, pce("x"), Unreachable, OutcomeUnknown),
    (502, None, Unreachable, OutcomeUnknown),
    (503, pce("too_many_requests_error"), Unreachable, OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "data", "read", "effect"), PCE)
def test_the_pce(status: int, data: object, read: type[GatewayError], effect: type[GatewayError]) -> None:
    assert type(illumio_errors.error_of(answer(status, data), effect=False)) is read
    assert type(illumio_errors.error_of(answer(status, data), effect=True)) is effect


def test_the_pces_token_is_read_from_an_array_and_from_an_object() -> None:
    for data in (pce("hard_limit"), {"token": "hard_limit", "message": "words"}):
        error = illumio_errors.error_of(answer(406, data), effect=True)
        assert isinstance(error, Rejected)
        assert (error.code, error.detail) == ("hard_limit", "words")


def vendor_error(code: str, message: str = "", **more: object) -> object:
    return {"code": code, "message": message, **more}


CHECKPOINT: list[tuple[int, object, type[GatewayError], type[GatewayError]]] = [
    (429, vendor_error("err_too_many_requests"), Throttled, Throttled),
    (400, vendor_error("err_login_failed", "Too many requests in a given amount of time"), Throttled, Throttled),
    (400, vendor_error("err_login_failed", "Authentication to server failed."), Refused, Refused),
    (400, vendor_error("err_login_failed", "Administrator account is locked."), Refused, Refused),
    (400, vendor_error("generic_error", "reached the maximum number of active sessions."), Busy, Busy),
    (400, vendor_error("err_login_failed", "Database revision is in progress"), Busy, Busy),
    (401, vendor_error("generic_err_wrong_session_id", "Wrong session id [x]"), Unreachable, Busy),
    (400, vendor_error("generic_error", "Work session was not found"), Unreachable, Busy),
    (403, vendor_error("generic_err_session_expired"), Unreachable, Busy),
    (409, vendor_error("generic_err_object_locked"), Busy, Busy),
    (400, vendor_error("generic_error", "Object X is locked by another session."), Busy, Busy),
    (409, vendor_error("err_policy_installation_failed", "is already in progress"), Busy, Busy),
    (409, vendor_error("err_policy_installation_failed", "verification failed"), Rejected, Rejected),
    (409, vendor_error("generic_err_object_deletion"), Rejected, Rejected),
    (400, vendor_error("err_validation_failed"), Rejected, Rejected),
    (404, vendor_error("generic_err_object_not_found"), Rejected, Rejected),
    (501, vendor_error("not_implemented"), Rejected, Rejected),
    (500, vendor_error("generic_err_invalid_parameter"), Rejected, Rejected),
    (500, vendor_error("generic_server_initializing"), Unreachable, Unreachable),
    (400, vendor_error("generic_error", "This domain is in standby mode on this machine"), Unreachable, Unreachable),
    (400, vendor_error("generic_error", "JPA transaction rollback"), Busy, Busy),
    (400, vendor_error("generic_error", "Management server failed to execute command"), Unreachable, OutcomeUnknown),
    (400, vendor_error("generic_error", "Operation is not allowed in read only mode"), Refused, Refused),
    (403, None, Refused, Refused),
    (500, vendor_error("generic_internal_error"), Unreachable, OutcomeUnknown),
    (500, vendor_error("generic_error", "?"), Unreachable, OutcomeUnknown),
    (502, None, Unreachable, OutcomeUnknown),
    (503, None, Unreachable, OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "data", "read", "effect"), CHECKPOINT)
def test_check_point(status: int, data: object, read: type[GatewayError], effect: type[GatewayError]) -> None:
    assert type(checkpoint_errors.error_of(answer(status, data), effect=False, secrets=())) is read
    assert type(checkpoint_errors.error_of(answer(status, data), effect=True, secrets=())) is effect


IP = {"message": "Multiple objects have the same IP address 10.0.0.1"}
TWIN = {"message": "More than one object named 'az-1' exists."}
OTHER = {"message": "Something else"}


@pytest.mark.parametrize(
    ("incidents", "code"),
    [
        ({"warnings": [IP]}, "duplicate-address"),
        ({"warnings": [IP, OTHER]}, "err_validation_failed"),
        ({"warnings": [IP], "errors": [TWIN]}, "duplicate-name"),
        ({"warnings": [IP], "blocking-errors": [OTHER]}, "err_validation_failed"),
        ({}, "err_validation_failed"),
    ],
)
def test_a_failed_validation_has_the_code_that_the_lane_acts_on(incidents: dict[str, object], code: str) -> None:
    body = {"code": "err_validation_failed", "message": "Validation failed", **incidents}
    error = checkpoint_errors.error_of(answer(400, body), effect=True, secrets=())
    assert isinstance(error, Rejected)
    assert error.code == code


def test_a_sid_that_the_server_echoes_is_masked() -> None:
    sid = Secret("97BVpRfN4j81ogN")
    body = vendor_error("generic_error", f"Object is locked by another session. [{sid.reveal()}]")
    error = checkpoint_errors.error_of(answer(400, body), effect=True, secrets=(sid,))
    assert sid.reveal() not in f"{error!r} {error} {vars(error)}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "token", "warnings", "errors", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(100, 699), data=JSON, is_json=st.booleans(), effect=st.booleans())
def test_every_answer_becomes_one_of_the_family(status: int, data: object, *, is_json: bool, effect: bool) -> None:
    received = answer(status, data, is_json=is_json)
    assert isinstance(azure_errors.error_of(received, effect=effect), GatewayError)
    assert isinstance(illumio_errors.error_of(received, effect=effect), GatewayError)
    assert isinstance(checkpoint_errors.error_of(received, effect=effect, secrets=()), GatewayError)
