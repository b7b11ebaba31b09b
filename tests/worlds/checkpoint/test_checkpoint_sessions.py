"""Sessions of the Check Point simulator: login, what a disconnected client leaves, and access to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulators.checkpoint.sessions import Login

if TYPE_CHECKING:
    from tests.worlds.checkpoint.conftest import Management


def test_an_api_key_and_a_password_both_open_a_read_write_session(management: Management) -> None:
    client = management.client()
    by_key = client.login_with_api_key(management.key).data
    by_password = management.client().login("microseg", management.password).data
    assert by_key["api-server-version"] == "1.9"
    assert (by_key["read-only"], by_key["standby"], by_key["session-timeout"]) == (False, False, 600)
    assert by_key["uid"] != by_password["uid"]
    assert by_key["sid"] not in (by_key["uid"], by_password["sid"])
    assert client.api_version == "1.9"


def test_every_secret_is_marked_in_the_ledger_and_no_entry_holds_one(management: Management) -> None:
    client = management.login()
    management.ok(client, "keepalive")
    secrets = management.environment.ledger.secrets
    assert {management.key, management.password, client.sid} <= secrets
    written = " ".join(str(entry.as_json()) for entry in management.environment.ledger.entries())
    assert not [secret for secret in secrets if secret in written]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"api-key": "wrong"}, "err_login_failed"),
        ({"user": "microseg", "password": "wrong"}, "err_login_failed"),
        ({"user": "microseg", "password": ""}, "err_login_failed"),
        ({"api-key": "key-of-the-operator", "domain": "elsewhere"}, "err_login_failed"),
        ({"user": "microseg"}, "generic_err_missing_required_parameters"),
        ({}, "generic_err_missing_required_parameters"),
        ({"api-key": "key-of-the-operator", "session-timeout": 5}, "generic_err_invalid_parameter"),
        ({"api-key": "key-of-the-operator", "payload-size": 5}, "generic_err_invalid_parameter_name"),
    ],
)
def test_a_login_with_wrong_words_is_refused_by_the_vendors_code(
    management: Management, body: dict[str, object], code: str
) -> None:
    answer = management.post("login", body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_the_fourth_login_in_a_minute_is_throttled_only_with_limits(management: Management) -> None:
    for _ in range(4):
        management.login()
    management.environment.limits = True
    for _ in range(3):
        assert management.post("login", {"api-key": management.key}).status_code == 200
    fourth = management.post("login", {"api-key": management.key})
    assert (fourth.status_code, fourth.json()["code"]) == (429, "err_too_many_requests")
    assert management.post("login", {"api-key": management.other_key}).status_code == 200


def test_the_hundredth_read_write_session_is_the_last(management: Management) -> None:
    admin = management.world.admins["microseg"]

    def log_in() -> None:
        management.world.sessions.login(admin, Login(), management.world.now(), limits=False)

    for _ in range(99):
        management.background.call(log_in)
    management.environment.limits = True
    assert management.post("login", {"api-key": management.key}).status_code == 200
    refused = management.post("login", {"api-key": management.key})
    assert refused.status_code == 400
    assert "maximum number of active sessions" in refused.json()["message"]
    assert management.post("login", {"api-key": management.key, "read-only": True}).status_code == 200


def test_a_dead_sid_is_echoed_with_401_and_a_missing_one_is_named(management: Management) -> None:
    wrong = management.post("show-session", {}, sid="no-such-sid")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "generic_err_wrong_session_id")
    assert "[no-such-sid]" in wrong.json()["message"]
    missing = management.post("show-session", {})
    assert (missing.status_code, missing.json()["code"]) == (401, "generic_err_missing_session_id")


def test_after_a_logout_the_sid_is_dead_and_a_session_without_changes_is_gone(management: Management) -> None:
    watcher, client = management.login(), management.login(name="microseg/a")
    management.ok(client, "logout")
    assert management.refused(client, "show-session")[0] == 401
    names = [item["name"] for item in management.ok(watcher, "show-sessions", details_level="full")["objects"]]
    assert "microseg/a" not in names


def test_an_idle_session_loses_its_sid_but_keeps_its_changes_and_its_locks(management: Management) -> None:
    client = management.login(name="microseg/ns/estate/1")
    management.ok(client, "add-host", name="az-a", ip_address="10.0.0.1", groups="SO")
    management.order("session", {"name": "microseg/ns/estate/1"})
    assert management.refused(client, "keepalive")[1] == "generic_err_wrong_session_id"
    watcher = management.login(key=management.other_key)
    listed = management.ok(watcher, "show-sessions", details_level="full")["objects"]
    (left,) = [item for item in listed if item["name"] == "microseg/ns/estate/1"]
    assert (left["in-work"], left["expired-session"], left["changes"], left["locks"]) == (False, True, 2, 2)
    assert management.refused(watcher, "set-group", name="SO", comments="mine")[1] == "generic_err_object_locked"


def test_a_session_times_out_by_itself_and_any_call_renews_it(management: Management) -> None:
    client = management.login(more={"session-timeout": 10})
    (session,) = management.world.sessions.listed()
    used = management.background.call(lambda: session.used)
    management.ok(client, "keepalive")
    assert management.background.call(lambda: session.used) > used
    management.background.call(lambda: setattr(session, "used", session.used - 11))
    management.wait(lambda: session.expired)
    assert management.refused(client, "keepalive")[0] == 401


def test_the_same_administrator_discards_a_session_that_was_left_behind(management: Management) -> None:
    old = management.login(name="microseg/ns/estate/1")
    uid = management.ok(old, "show-session")["uid"]
    management.ok(old, "add-host", name="az-a", ip_address="10.0.0.1", groups="SO")
    management.order("session", {"uid": uid})
    new = management.login(name="microseg/ns/estate/2")
    assert management.ok(new, "discard", uid=uid)["number-of-discarded-changes"] == 2
    assert management.refused(new, "show-session", uid=uid)[0] == 404
    assert management.ok(new, "show-group", name="SO")["meta-info"]["lock"] == "unlocked"


def test_another_administrators_session_needs_a_permission_to_be_discarded(management: Management) -> None:
    owner = management.login()
    uid = management.ok(owner, "show-session")["uid"]
    bob = management.login(key=management.other_key)
    assert management.refused(bob, "discard", uid=uid)[:2] == (403, "generic_err_no_permissions")
    management.order("admin", {"name": "bob", "manages_sessions": True})
    bob = management.login(key=management.other_key)
    assert management.ok(bob, "discard", uid=uid)["message"] == "OK"


def test_take_over_moves_the_sid_to_the_session_with_its_changes(management: Management) -> None:
    old = management.login(name="old")
    uid = management.ok(old, "show-session")["uid"]
    management.ok(old, "add-host", name="az-a", ip_address="10.0.0.1")
    new = management.login(name="new")
    assert management.refused(new, "take-over-session", uid=uid)[1] == "err_take_over_session_failed"
    taken = management.ok(new, "take-over-session", uid=uid, disconnect_active_session=True)
    assert (taken["uid"], taken["name"], taken["changes"]) == (uid, "old", 1)
    assert management.refused(old, "show-session")[0] == 401
    assert management.ok(new, "show-session")["uid"] == uid
    management.ok(new, "publish")
    assert management.ok(new, "show-host", name="az-a")["ipv4-address"] == "10.0.0.1"


def test_switch_goes_to_an_own_disconnected_session_only(management: Management) -> None:
    old = management.login(name="old")
    uid = management.ok(old, "show-session")["uid"]
    new = management.login(name="new")
    assert management.refused(new, "switch-session", uid=uid)[1] == "err_switch_session_failed"
    management.ok(old, "add-host", name="az-a", ip_address="10.0.0.1")
    management.ok(old, "logout")
    assert management.ok(new, "switch-session", uid=uid)["changes"] == 1


def test_continue_last_session_finds_the_one_session_and_refuses_to_choose_between_two(management: Management) -> None:
    uids = []
    for number in (1, 2):
        client = management.login()
        management.ok(client, "add-host", name=f"az-{number}", ip_address=f"10.0.0.{number}")
        uids.append(management.ok(client, "show-session")["uid"])
        management.ok(client, "logout")
        if number == 1:
            again = management.login(more={"continue-last-session": True})
            assert management.ok(again, "show-session")["uid"] == uids[0]
            management.ok(again, "logout")
    answer = management.post("login", {"api-key": management.key, "continue-last-session": True})
    assert answer.json()["code"] == "err_login_failed_more_than_one_opened_session"


def test_disconnect_frees_the_connection_and_discards_when_asked(management: Management) -> None:
    first, second = management.login(name="first"), management.login(name="second")
    uid = management.ok(first, "show-session")["uid"]
    management.ok(first, "add-host", name="az-a", ip_address="10.0.0.1", groups="SO")
    management.ok(second, "disconnect", uid=uid)
    assert management.refused(first, "keepalive")[0] == 401
    assert management.ok(second, "show-session", uid=uid)["changes"] == 2
    management.ok(second, "disconnect", uid=uid, discard=True)
    assert management.refused(second, "show-session", uid=uid)[0] == 404
    assert management.ok(second, "show-group", name="SO")["meta-info"]["lock"] == "unlocked"


def test_a_read_only_session_reads_the_published_and_writes_nothing(management: Management) -> None:
    writer, reader = management.login(), management.login(read_only=True)
    management.ok(writer, "add-host", name="az-a", ip_address="10.0.0.1")
    assert management.refused(reader, "show-host", name="az-a")[0] == 404
    refusal = management.refused(reader, "add-host", name="az-b", ip_address="10.0.0.2")
    assert "read only mode" in refusal[2]
    management.order("admin", {"name": "bob", "read_only": True})
    assert management.post("login", {"api-key": management.other_key}).json()["read-only"] is True


def test_a_standby_server_lets_in_and_refuses_writes(management: Management) -> None:
    management.order("traits", {"standby": True})
    assert management.post("login", {"api-key": management.key}).json()["standby"] is True
    refusal = management.refused(management.login(), "add-host", name="az-b", ip_address="10.0.0.2")
    assert "standby mode" in refusal[2]


def test_set_session_renames_and_describes(management: Management) -> None:
    client = management.login()
    shown = management.ok(client, "set-session", new_name="n", description="d", session_timeout=900)
    assert (shown["name"], shown["description"], shown["session-timeout"]) == ("n", "d", 900)
    assert management.refused(client, "set-session", session_timeout=9999)[1] == "generic_err_invalid_parameter"
