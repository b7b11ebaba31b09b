"""Code first, status second: what each system's refusals mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways import azure_errors, checkpoint_errors, illumio_errors
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Throttled, Unreachable
from microseg.gateways.transport import Answer
from microseg.model.secret import Secret


def answer(status: int, data: object = None, *, is_json: bool = True, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, data, is_json)


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


def test_azures_code_and_sentence_travel_with_a_rejection_and_secrets_do_not() -> None:
    data = {"error": {"code": "Bad", "message": "the value c0de is bad"}}
    error = azure_errors.error_of(answer(400, data), effect=True, secrets=(Secret("c0de"),))
    assert isinstance(error, Rejected)
    assert (error.code, error.detail) == ("Bad", "the value **** is bad")


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


def said(code: str, message: str = "", **more: object) -> object:
    return {"code": code, "message": message, **more}


CHECKPOINT: list[tuple[int, object, type[GatewayError], type[GatewayError]]] = [
    (429, said("err_too_many_requests"), Throttled, Throttled),
    (400, said("err_login_failed", "Too many requests in a given amount of time"), Throttled, Throttled),
    (400, said("err_login_failed", "Authentication to server failed."), Refused, Refused),
    (400, said("err_login_failed", "Administrator account is locked."), Refused, Refused),
    (400, said("generic_error", "reached the maximum number of active sessions."), Busy, Busy),
    (400, said("err_login_failed", "Database revision is in progress"), Busy, Busy),
    (401, said("generic_err_wrong_session_id", "Wrong session id [x]"), Unreachable, Busy),
    (400, said("generic_error", "Work session was not found"), Unreachable, Busy),
    (403, said("generic_err_session_expired"), Unreachable, Busy),
    (409, said("generic_err_object_locked"), Busy, Busy),
    (400, said("generic_error", "Object X is locked by another session."), Busy, Busy),
    (409, said("err_policy_installation_failed", "is already in progress"), Busy, Busy),
    (409, said("err_policy_installation_failed", "verification failed"), Rejected, Rejected),
    (409, said("generic_err_object_deletion"), Rejected, Rejected),
    (400, said("err_validation_failed"), Rejected, Rejected),
    (404, said("generic_err_object_not_found"), Rejected, Rejected),
    (501, said("not_implemented"), Rejected, Rejected),
    (500, said("generic_err_invalid_parameter"), Rejected, Rejected),
    (500, said("generic_server_initializing"), Unreachable, Unreachable),
    (400, said("generic_error", "This domain is in standby mode on this machine"), Unreachable, Unreachable),
    (400, said("generic_error", "JPA transaction rollback"), Busy, Busy),
    (400, said("generic_error", "Management server failed to execute command"), Unreachable, OutcomeUnknown),
    (400, said("generic_error", "Operation is not allowed in read only mode"), Refused, Refused),
    (403, None, Refused, Refused),
    (500, said("generic_internal_error"), Unreachable, OutcomeUnknown),
    (500, said("generic_error", "?"), Unreachable, OutcomeUnknown),
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
def test_a_refused_validation_has_a_code_that_says_what_to_do(incidents: dict[str, object], code: str) -> None:
    body = {"code": "err_validation_failed", "message": "Validation failed", **incidents}
    error = checkpoint_errors.error_of(answer(400, body), effect=True, secrets=())
    assert isinstance(error, Rejected)
    assert error.code == code


def test_a_sid_that_the_server_echoes_is_masked() -> None:
    sid = Secret("97BVpRfN4j81ogN")
    body = said("generic_error", f"Object is locked by another session. [{sid.reveal()}]")
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
def test_whatever_a_system_says_it_becomes_one_of_the_family(
    status: int, data: object, *, is_json: bool, effect: bool
) -> None:
    said_so = answer(status, data, is_json=is_json)
    assert isinstance(azure_errors.error_of(said_so, effect=effect), GatewayError)
    assert isinstance(illumio_errors.error_of(said_so, effect=effect), GatewayError)
    assert isinstance(checkpoint_errors.error_of(said_so, effect=effect, secrets=()), GatewayError)
