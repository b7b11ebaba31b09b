"""Two sessions on the same objects, and administrators with consoles, in the Check Point simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.worlds.checkpoint.conftest import Management


def test_a_host_with_a_group_locks_the_group_and_each_side_sees_it_its_own_way(management: Management) -> None:
    mine, theirs = management.login(), management.login(key=management.other_key)
    management.ok(mine, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    here = management.ok(mine, "show-group", name="SO")["meta-info"]
    there = management.ok(theirs, "show-group", name="SO")
    assert here["lock"] == "locked by current session"
    assert there["meta-info"]["lock"] == "locked by other session"
    assert there["meta-info"]["locking-admin"] == "microseg"
    assert there["meta-info"]["locking-session-id"] == management.ok(mine, "show-session")["uid"]
    assert there["read-only"] is True


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("add-host", {"name": "b", "ip_address": "10.0.0.2", "groups": "SO"}),
        ("set-group", {"name": "SO", "members": {"add": "c"}}),
        ("set-host", {"name": "c", "groups": {"add": "SO"}}),
        ("delete-group", {"name": "SO"}),
        ("lock-object", {"name": "SO", "type": "group"}),
    ],
)
def test_a_write_on_what_another_session_holds_is_refused_and_leaves_nothing(
    management: Management, command: str, parameters: dict[str, object]
) -> None:
    management.order("edit", {"do": "add-host", "host": "c", "ip-address": "10.0.0.3"})
    holder, other = management.login(key=management.other_key), management.login()
    management.ok(holder, "set-group", name="SO", comments="mine now")
    refusal = management.refused(other, command, **parameters)
    assert refusal == (409, "generic_err_object_locked", "Object 'SO' is locked by another session.")
    session = management.ok(other, "show-session")
    assert (session["changes"], session["locks"]) == (0, 0)
    management.ok(holder, "discard")
    management.ok(other, command, **parameters)


def test_setting_a_value_that_is_there_already_still_locks_and_counts(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1")
    management.ok(client, "publish")
    management.ok(client, "set-host", name="a", ip_address="10.0.0.1")
    session = management.ok(client, "show-session")
    assert (session["changes"], session["locks"]) == (1, 1)


def test_an_object_is_locked_and_unlocked_by_itself(management: Management) -> None:
    mine, theirs = management.login(), management.login(key=management.other_key)
    locked = management.ok(mine, "lock-object", name="SO", type="group")["object"]
    assert locked["meta-info"]["lock"] == "locked by current session"
    assert management.refused(theirs, "unlock-object", name="SO", type="group")[1] == "generic_err_object_locked"
    management.ok(mine, "unlock-object", name="SO", type="group")
    management.ok(theirs, "lock-object", name="SO", type="group")


def test_a_batch_that_meets_a_lock_fails(management: Management) -> None:
    management.order("lock", {"group": "SO", "seconds": 60})
    client = management.login()
    listed = [{"name": "a", "ip-address": "10.0.0.1", "groups": "SO"}]
    task = management.failed(client, "add-objects-batch", objects=[{"type": "host", "list": listed}])
    assert "locked" in task["progress-description"]


def test_a_console_holds_a_group_for_a_while_and_is_named(management: Management) -> None:
    management.order("lock", {"group": "so", "admin": "alice", "seconds": 60})
    client = management.login()
    meta = management.ok(client, "show-group", name="SO")["meta-info"]
    assert (meta["lock"], meta["locking-admin"]) == ("locked by other session", "alice")
    sessions = management.ok(client, "show-sessions", details_level="full")["objects"]
    (console,) = [session for session in sessions if session["application"] == "SmartConsole"]
    assert (console["user-name"], console["locks"], console["uid"]) == ("alice", 1, meta["locking-session-id"])
    assert management.refused(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")[0] == 409
    world = management.world
    management.background.call(lambda: setattr(world, "_timed", [(0.0, session) for _, session in world._timed]))
    management.wait(lambda: not [item for item in management.world.sessions.listed() if item.admin.name == "alice"])
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")


def test_a_console_lets_go_when_it_is_told(management: Management) -> None:
    management.order("lock", {"group": "SO", "admin": "alice", "seconds": 600})
    assert (
        management.order("lock", {"group": "SO", "admin": "carol"}, status=409)["code"] == "generic_err_object_locked"
    )
    management.order("lock", {"group": "SO", "admin": "alice", "release": True})
    management.ok(management.login(), "set-group", name="SO", comments="free")


@pytest.mark.parametrize(
    ("edit", "groups", "names"),
    [
        ({"do": "remove-member", "host": "a", "group": "SO"}, [], ["a"]),
        ({"do": "add-member", "host": "a", "group": "az-db"}, ["SO", "az-db"], ["a"]),
        ({"do": "rename-host", "host": "a", "name": "z"}, None, ["z"]),
        ({"do": "delete-host", "host": "a"}, None, []),
        ({"do": "set-host", "host": "a", "ip-address": "10.7.7.7"}, ["SO"], ["a"]),
        ({"do": "add-host", "host": "by-hand", "ip-address": "10.8.8.8"}, ["SO"], ["a", "by-hand"]),
        ({"do": "clone-host", "host": "a", "name": "a_1"}, ["SO"], ["a", "a_1"]),
    ],
)
def test_a_human_edit_is_a_revision_of_its_own(
    management: Management, edit: dict[str, object], groups: list[str] | None, names: list[str]
) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    management.ok(client, "publish")
    revision = management.order("edit", edit)["revision"]
    last = management.ok(client, "show-last-published-session")
    assert (last["uid"], last["user-name"], last["application"]) == (revision, "alice", "SmartConsole")
    found = {cp_object["name"]: cp_object for cp_object in management.look("objects?type=host")["objects"]}
    assert sorted(found) == names
    assert groups is None or found["a"]["groups"] == groups


def test_a_human_edit_of_what_the_operator_holds_is_refused(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    edit = {"do": "add-host", "host": "x", "ip-address": "10.8.8.8", "groups": "SO"}
    assert management.order("edit", edit, status=409)["code"] == "generic_err_object_locked"
    assert management.order("edit", {"do": "dance", "host": "a"}, status=400)["error"].startswith("'do' must")


def test_a_group_filled_after_its_member_was_deleted_elsewhere_cannot_be_published(management: Management) -> None:
    management.order("edit", {"do": "add-host", "host": "c", "ip-address": "10.0.0.3"})
    client = management.login()
    management.ok(client, "set-group", name="SO", members={"add": "c"})
    management.order("edit", {"do": "delete-host", "host": "c"})
    assert management.ok(client, "show-validations")["errors-total"] == 1
    assert management.failed(client, "publish")["status"] == "failed"
