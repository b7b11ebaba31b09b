from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways import checkpoint_reading as reading
from microseg.gateways.checkpoint_session import ApiKey, Password
from microseg.gateways.ports import Unreachable
from microseg.model.facts import TaskState
from microseg.model.secret import Secret

VM = "5b8bd71c-1d2b-4b5c-9b8e-0123456789ab"
OWNER = "plant/estate"


def host(**more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "uid": "u1",
        "name": "az-web1",
        "type": "host",
        "ipv4-address": "10.0.0.4",
        "comments": f"microseg.dev/{OWNER} {VM}",
        "tags": [{"uid": "t", "name": "microseg.dev-plant.estate", "type": "tag"}],
        "groups": [{"uid": "g", "name": "SO", "type": "group"}, "by-text"],
    }
    return body | more


def test_a_marked_host_is_ours_and_knows_its_groups() -> None:
    (found,) = reading.hosts(host())
    assert (found.owner, found.vm_id, found.groups) == (OWNER, VM, frozenset({"SO", "by-text"}))


@pytest.mark.parametrize(
    "change",
    [
        {"comments": ""},
        {"comments": "microseg.dev/plant/estate"},
        {"comments": f"microseg.dev/plant.estate2 {VM}"},
        {"comments": f"somebody else's microseg.dev/{OWNER} {VM}"},
        {"tags": []},
        {"tags": [{"name": "microseg.dev-other"}]},
        {"tags": None, "comments": None},
    ],
)
def test_an_object_is_ours_only_where_comment_and_tag_agree(change: dict[str, Any]) -> None:
    (found,) = reading.hosts(host(**change))
    assert (found.owner, found.vm_id) == ("", "")


def test_two_owners_with_one_spelling_are_told_apart_by_the_comment() -> None:
    assert reading.tag_name("a/b") == reading.tag_name("a.b")
    (found,) = reading.hosts(host(comments=f"microseg.dev/plant.estate {VM}"))
    assert found.owner == "plant.estate"


@given(st.from_regex(r"[a-z0-9]([a-z0-9./-]*[a-z0-9])?", fullmatch=True))
def test_every_owners_mark_is_read_as_it_was_written(owner: str) -> None:
    marked = host(comments=reading.comment(owner, VM), tags=[{"name": reading.tag_name(owner)}])
    assert reading.mark(marked) == (owner, VM)
    assert reading.tag_name(f"microseg.dev/{owner}") == reading.tag_name(owner)
    assert "/" not in reading.tag_name(owner)


def test_an_object_with_two_addresses_stands_here_twice_and_one_without_not_at_all() -> None:
    both = reading.hosts(host(**{"ipv6-address": "FD00::1"}))
    assert [one.address for one in both] == ["10.0.0.4", "fd00::1"]
    assert reading.hosts(host(**{"ipv4-address": ""})) == ()


@pytest.mark.parametrize(
    ("lock", "admin", "holder"),
    [
        ("unlocked", None, ""),
        ("locked by current session", "me", ""),
        ("locked by other session", "bob", "bob"),
        ("prevented by other session", None, "another session"),
    ],
)
def test_a_lock_is_seen_from_our_side(lock: str, admin: str | None, holder: str) -> None:
    assert (
        reading.group({"name": "g", "uid": "u", "meta-info": {"lock": lock, "locking-admin": admin}}).locked_by
        == holder
    )


def test_a_gateway_shows_revision_or_only_a_date_or_nothing() -> None:
    at = {"posix": 1_700_000_000_123, "iso-8601": "2023-11-14T22:13+0000"}
    policy = {
        "access-policy-installed": True,
        "access-policy-name": "Standard",
        "access-policy-installation-date": at,
        "access-policy-revision": {"uid": "r", "publish-time": at},
    }
    full = reading.gateway({"name": "gw", "policy": policy})
    assert full.revision is not None
    assert full.revision.uid == "r"
    assert full.installed_at == datetime(2023, 11, 14, 22, 13, 20, 123000, UTC)
    older = reading.gateway({"name": "gw", "policy": policy | {"access-policy-revision": None}})
    assert (older.policy, older.revision) == ("Standard", None)
    never = reading.gateway({"name": "gw", "policy": {}})
    assert (never.policy, never.revision, never.installed_at) == ("", None, None)


def task(status: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"task-id": "t", "status": status, "progress-description": "words", "task-details": list(details)}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("in progress", TaskState.RUNNING),
        ("queued", TaskState.RUNNING),
        ("succeeded", TaskState.SUCCEEDED),
        ("Succeeded with warnings", TaskState.SUCCEEDED),
        ("partially succeeded", TaskState.PARTIAL),
        ("failed", TaskState.FAILED),
        ("aborted", TaskState.FAILED),
    ],
)
def test_partial_success_is_not_success(status: str, state: TaskState) -> None:
    assert reading.task(task(status)).state is state


def test_an_unknown_state_concludes_nothing() -> None:
    with pytest.raises(Unreachable):
        reading.task(task("resting"))


def test_a_publish_shows_its_revision_once_it_succeeded() -> None:
    details = {"publishResponse": {"numberOfPublishedChanges": 1}, "revision": "r-1"}
    assert reading.task(task("succeeded", details)).revision == "r-1"
    assert reading.task(task("failed", details)).revision == ""


def test_an_installation_names_the_targets_that_failed_and_why() -> None:
    good = {"gatewayName": "east", "statusCode": "succeeded"}
    stages = [{"messages": [{"type": "info", "message": "fine"}, {"type": "err", "message": "no space"}]}]
    bad = {"gatewayName": "west", "statusCode": "failed", "stagesInfo": stages}
    found = reading.task(task("partially succeeded", good, bad))
    assert found.failed_targets == ("west",)
    assert found.messages == ("words", "no space")
    assert reading.task(task("in progress", bad)).failed_targets == ()


@pytest.mark.parametrize(
    ("more", "is_open"),
    [({}, True), ({"in-work": False}, False), ({"in-work": True, "expired-session": True}, False)],
)
def test_a_session_is_open_while_somebody_works_in_it(more: dict[str, Any], *, is_open: bool) -> None:
    assert reading.session({"uid": "u", "name": "n", "changes": 3, **more}).open is is_open


def test_credentials_are_masked_wherever_they_are_shown() -> None:
    for credential in (ApiKey(Secret("k3y")), Password("user", Secret("k3y"))):
        assert "k3y" not in f"{credential!r} {credential}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["uid", "name", "tags", "groups", "comments", "policy", "posix", "publish-time", "meta-info"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON)
def test_no_shape_of_json_breaks_the_reader(data: object) -> None:
    for body in (host(tags=data, groups=data), data if isinstance(data, dict) else {"policy": data}):
        reading.hosts(body)
        reading.group(body)
        reading.gateway(body)
        reading.revision(body)
        reading.session(body)
    reading.task(task("succeeded") | {"task-details": data})
    reading.moment(data)
