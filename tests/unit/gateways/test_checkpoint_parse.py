from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways.checkpoint import parse
from microseg.gateways.checkpoint.session import ApiKey, Password
from microseg.gateways.ports import Unreachable
from microseg.model.checkpoint_facts import TaskState
from microseg.model.checkpoint_tasks import BegunTask
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
    (found,) = parse.host_objects(host())
    assert (found.owner, found.vm_id, found.groups) == (OWNER, VM, frozenset({"SO", "by-text"}))


def test_a_tag_that_existed_in_another_letter_case_is_ours_too() -> None:
    (found,) = parse.host_objects(host(tags=[{"name": "Microseg.Dev-Plant.Estate"}]))
    assert (found.owner, found.vm_id) == (OWNER, VM)


def test_a_gateway_has_its_uid_and_its_groups() -> None:
    found = parse.enforcement_point({"name": "gw", "uid": "u", "groups": [{"name": "Perimeter"}, "by-text"]})
    assert (found.uid, found.groups) == ("u", frozenset({"Perimeter", "by-text"}))


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
def test_an_object_is_ours_only_if_comment_and_tag_agree(change: dict[str, Any]) -> None:
    (found,) = parse.host_objects(host(**change))
    assert (found.owner, found.vm_id) == ("", "")


def test_the_comment_distinguishes_two_owners_with_the_same_tag() -> None:
    assert parse.tag_name("a/b") == parse.tag_name("a.b")
    (found,) = parse.host_objects(host(comments=f"microseg.dev/plant.estate {VM}"))
    assert found.owner == "plant.estate"


@given(st.from_regex(r"[a-z0-9]([a-z0-9./-]*[a-z0-9])?", fullmatch=True))
def test_every_owners_mark_is_read_as_it_was_written(owner: str) -> None:
    marked = host(comments=parse.owner_comment(owner, VM), tags=[{"name": parse.tag_name(owner)}])
    assert parse.owner_mark(marked) == (owner, VM)
    assert parse.tag_name(f"microseg.dev/{owner}") == parse.tag_name(owner)
    assert "/" not in parse.tag_name(owner)


def test_an_object_has_one_entry_per_address() -> None:
    both = parse.host_objects(host(**{"ipv6-address": "FD00::1"}))
    assert [one.address for one in both] == ["10.0.0.4", "fd00::1"]
    assert parse.host_objects(host(**{"ipv4-address": ""})) == ()


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
        parse.group({"name": "g", "uid": "u", "meta-info": {"lock": lock, "locking-admin": admin}}).locked_by == holder
    )


def test_a_gateway_shows_revision_or_only_a_date_or_nothing() -> None:
    at = {"posix": 1_700_000_000_123, "iso-8601": "2023-11-14T22:13+0000"}
    policy = {
        "access-policy-installed": True,
        "access-policy-name": "Standard",
        "access-policy-installation-date": at,
        "access-policy-revision": {"uid": "r", "publish-time": at},
    }
    full = parse.enforcement_point({"name": "gw", "policy": policy})
    assert full.revision is not None
    assert full.revision.uid == "r"
    assert full.installed_at == datetime(2023, 11, 14, 22, 13, 20, 123000, UTC)
    older = parse.enforcement_point({"name": "gw", "policy": policy | {"access-policy-revision": None}})
    assert (older.policy, older.revision) == ("Standard", None)
    never = parse.enforcement_point({"name": "gw", "policy": {}})
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
    assert parse.task(task(status)).state is state


def test_an_unknown_status_of_a_task_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        parse.task(task("resting"))


def test_a_publish_shows_its_revision_once_it_succeeded() -> None:
    details = {"publishResponse": {"numberOfPublishedChanges": 1}, "revision": "r-1"}
    assert parse.task(task("succeeded", details)).revision == "r-1"
    assert parse.task(task("failed", details)).revision == ""


def test_an_installation_names_the_targets_that_failed_and_why() -> None:
    good = {"gatewayName": "east", "statusCode": "succeeded"}
    stages = [{"messages": [{"type": "info", "message": "fine"}, {"type": "err", "message": "no space"}]}]
    bad = {"gatewayName": "west", "statusCode": "failed", "stagesInfo": stages}
    found = parse.task(task("partially succeeded", good, bad))
    assert (found.targets, found.failed_targets) == (("east", "west"), ("west",))
    assert found.messages == ("words", "no space")
    assert parse.task(task("in progress", bad)).failed_targets == ()


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("Policy installation - Standard", "Standard"),
        ("policy installation - East - new", "East - new"),
        ("Publish operation", ""),
        ("add-objects-batch", ""),
        ("set-objects-batch", ""),
        ("Policy installation", None),
        ("Uninstall policy - Standard", None),
        ("", None),
    ],
)
def test_the_name_of_a_listed_task_tells_what_it_installs_or_tells_nothing(name: str, package: str | None) -> None:
    body = {"task-id": "t", "task-name": name, "start-time": {"posix": 1767225600000, "iso-8601": "other"}}
    assert parse.begun_task(body) == BegunTask("t", package, datetime(2026, 1, 1, tzinfo=UTC))
    assert parse.begun_task({"task-id": "t", "task-name": name}).started is None


@pytest.mark.parametrize(
    ("more", "is_open"),
    [({}, True), ({"in-work": False}, False), ({"in-work": True, "expired-session": True}, False)],
)
def test_a_session_is_open_while_somebody_works_in_it(more: dict[str, Any], *, is_open: bool) -> None:
    assert parse.session({"uid": "u", "name": "n", "changes": 3, **more}).open is is_open


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
def test_no_shape_of_json_breaks_the_parser(data: object) -> None:
    for body in (host(tags=data, groups=data), data if isinstance(data, dict) else {"policy": data}):
        parse.host_objects(body)
        parse.group(body)
        parse.enforcement_point(body)
        parse.revision(body)
        parse.session(body)
    parse.task(task("succeeded") | {"task-details": data})
    parse.timestamp(data)
