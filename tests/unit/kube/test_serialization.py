"""Patches have exactly what changed, errors follow the status, and decoding names the wrong field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.kube import errors
from microseg.kube.errors import KubeError, SpecInvalid, error_from
from microseg.kube.estates import decode_estate
from microseg.kube.hosts import decode_host
from microseg.kube.leases import micro_time
from microseg.kube.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, MANAGED_HOSTS, SECRETS
from microseg.kube.serialization import merge_difference, serialize_status
from microseg.model.agent_record import AgentRecord
from microseg.model.azure_record import AzureRecord, Tag
from microseg.model.condition import Condition, ConditionStatus, ConditionType
from microseg.model.estate_status import EstateStatus, PollRecord
from microseg.model.host import HostStatus

scalars = st.integers() | st.text(max_size=3) | st.booleans()
documents = st.recursive(
    st.dictionaries(st.sampled_from("abcd"), scalars | st.lists(scalars, max_size=2), max_size=4),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), scalars | inner, max_size=4),
    max_leaves=12,
)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(documents, documents)
def test_the_difference_of_two_documents_merges_the_old_into_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, merge_difference(old, new)) == new


@given(documents)
def test_equal_documents_have_no_difference(document: dict[str, Any]) -> None:
    assert merge_difference(document, document) == {}


def test_a_field_that_a_status_no_longer_has_becomes_an_explicit_null() -> None:
    azure = AzureRecord(resource_id="r", name="a")
    old = HostStatus(stage="Pairing", agent=AgentRecord(attempt=2, exit_code=1), azure=azure)
    new = HostStatus(stage="Pairing", agent=AgentRecord(attempt=2))

    assert merge_difference(serialize_status(old), serialize_status(new)) == {
        "azure": None,
        "agent": {"exitCode": None},
    }


def test_no_null_is_ever_stored() -> None:
    poll = {"complete": True, "vms": 0, "unreadableRows": 0, "unread": [], "pages": 0}
    assert serialize_status(EstateStatus(poll=PollRecord(complete=True))) == {"poll": poll}


def test_a_whole_list_is_sent_when_one_item_changes() -> None:
    tags = (Tag(key="a", value="1"), Tag(key="b", value="2"))
    old = HostStatus(azure=AzureRecord(resource_id="r", name="n", tags=tags))
    new = HostStatus(azure=AzureRecord(resource_id="r", name="n", tags=tags[:1]))

    assert merge_difference(serialize_status(old), serialize_status(new)) == {
        "azure": {"tags": [{"key": "a", "value": "1"}]}
    }


def test_times_survive_encoding_and_decoding() -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 250000, tzinfo=UTC)
    ready = Condition(type=ConditionType.READY, status=ConditionStatus.TRUE, reason="X", last_transition_time=at)
    stored = {
        "metadata": {"name": "a", "managedFields": [{"manager": "x"}], "annotations": {"other/x": "y"}},
        "spec": {"estate": "e", "vmId": "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"},
        "status": serialize_status(HostStatus(conditions=(ready,))) | {"unknownField": 1},
    }

    host = decode_host(msgspec.json.encode(stored))

    assert host.status.conditions == (ready,)
    assert host.annotations == {}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", errors.Forbidden),
        (403, b'{"message": "no"}', errors.Forbidden),
        (404, b"{}", errors.NotFound),
        (409, b'{"reason": "AlreadyExists"}', errors.AlreadyExists),
        (409, b'{"reason": "Conflict"}', errors.Conflict),
        (410, b"{}", errors.Expired),
        (422, b'{"message": "spec.vmId: wrong"}', errors.Invalid),
        (400, b"", errors.Invalid),
        (429, b'{"details": {"retryAfterSeconds": 7}}', errors.Unavailable),
        (500, b"<html>", errors.Unavailable),
        (302, b"", errors.Unavailable),
    ],
)
def test_every_answer_becomes_one_of_the_family(status: int, body: bytes, kind: type[KubeError]) -> None:
    assert type(error_from(status, body, "GET /x")) is kind


def test_the_servers_message_and_pause_are_kept() -> None:
    assert str(error_from(422, b'{"message": "spec.vmId: wrong"}', "x")) == "spec.vmId: wrong"
    busy = error_from(429, b'{"details": {"retryAfterSeconds": 7}}', "x")
    assert isinstance(busy, errors.Unavailable)
    assert busy.retry_after == 7


def test_an_error_line_of_a_watch_is_judged_by_its_code() -> None:
    assert type(error_from(0, b'{"code": 410, "reason": "Expired"}', "the watch")) is errors.Expired


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_no_name_leads_to_another_path(name: str) -> None:
    with pytest.raises(errors.Invalid):
        SECRETS.one("ns", name)


def test_paths_are_quoted_and_know_their_scope() -> None:
    assert SECRETS.one("ns", "a/../b?x") == "/api/v1/namespaces/ns/secrets/a%2F..%2Fb%3Fx"
    assert CONFIG_MAPS.all("ns") == "/api/v1/namespaces/ns/configmaps"
    assert MANAGED_HOSTS.one("ns", "h", "status") == "/apis/microseg.dev/v1alpha1/namespaces/ns/managedhosts/h/status"
    assert CUSTOM_RESOURCE_DEFINITIONS.one(None, "x") == "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/x"


def estate(**spec: Any) -> dict[str, Any]:
    source = {"name": "main", "subscriptions": ["s"], "identity": {"managedIdentity": {}}}
    written = {
        "azure": {"sources": [source]},
        "illumio": {"url": "https://pce:8443", "orgId": 1, "secretRef": {"name": "i"}, "pairingProfiles": {}},
        "checkPoint": {"url": "https://cp", "secretRef": {"name": "c"}},
        "mapping": {"name": "platform"},
    }
    return {"metadata": {"name": "e", "namespace": "n", "uid": "u", "generation": 3}, "spec": written | spec}


def test_an_estate_is_decoded_with_its_defaults() -> None:
    found = decode_estate(
        estate() | {"metadata": {"name": "e", "namespace": "n", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    )

    assert (found.key, found.owner_id, found.enforcing, found.deleting) == (("n", "e"), "n/e", False, True)
    assert found.spec.retirement.max_per_hour.count == 5


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"mapping": {}}, "spec.mapping: object missing required field `name`"),
        ({"suspend": "yes"}, "spec.suspend: expected `bool`, got `str`"),
        ({"azure": {"sources": []}}, "spec.azure.sources: expected `array` of length >= 1"),
        ({"illumio": {"url": "http://x", "orgId": 1, "secretRef": {"name": "i"}}}, "spec.illumio.url: "),
    ],
)
def test_a_wrong_spec_is_named_by_its_field(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecInvalid) as caught:
        decode_estate(estate(**spec))
    assert str(caught.value).startswith(sentence)


def test_an_object_without_a_spec_is_named_too() -> None:
    with pytest.raises(SpecInvalid, match=r"^spec: object missing required field"):
        decode_estate({"metadata": {"name": "e"}})


def test_micro_times_have_six_digits_in_utc() -> None:
    assert micro_time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000000Z"
    assert micro_time(None) is None
