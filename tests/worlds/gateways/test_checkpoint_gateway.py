"""The Check Point gateway against the management world: one session, host objects, publishing, and every error."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from microseg.gateways.checkpoint import Management
from microseg.gateways.checkpoint_session import ApiKey, Password
from microseg.gateways.ports import (
    Busy,
    GatewayError,
    ObjectForm,
    OutcomeUnknown,
    Refused,
    Rejected,
    Throttled,
    Unreachable,
)
from microseg.model.facts import TaskState
from microseg.model.secret import Secret
from simulators.checkpoint import World
from simulators.checkpoint.fields import Wish
from simulators.checkpoint.things import Thing

from .conftest import API_KEY, OWNER, PASSWORD, Running, assert_silent, impatient, manager, sha256

Firewall = Running[World]
NAME = f"microseg/{OWNER}/1"
VM = "0a0a0a0a-0000-0000-0000-{:012d}"


def form(number: int, **more: object) -> ObjectForm:
    values: dict[str, object] = {
        "name": f"az-host{number}",
        "address": f"10.0.{number // 250}.{number % 250 + 1}",
        "owner": OWNER,
        "vm_id": VM.format(number),
    }
    return ObjectForm(**(values | more))  # type: ignore[arg-type]


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline, "waited in vain"


def finish(management: Management, task_id: str) -> TaskState:
    until(lambda: management.task(task_id).state is not TaskState.RUNNING)
    return management.task(task_id).state


def by_hand(firewall: Firewall, name: str, address: str) -> None:
    firewall.act(lambda: firewall.world.edit("bob", lambda editor: _made(editor.add(Wish("host", name, ipv4=address)))))


def _made(_: Thing) -> None:
    """Nothing is done with it."""


def test_a_host_is_made_with_its_groups_published_and_installed(firewall: Firewall, management: Management) -> None:
    management.ensure_tag(f"microseg.dev/{OWNER}")
    management.ensure_tag(f"microseg.dev/{OWNER}")
    assert firewall.count("add-tag") == 1
    uid = management.put_host(form(1, join=("SO", "az-web")))
    (host,) = management.hosts()
    assert (host.uid, host.name, host.address) == (uid, "az-host1", "10.0.0.2")
    assert (host.owner, host.vm_id) == (OWNER, VM.format(1))
    assert host.groups == {"SO", "az-web"}
    assert management.validations().errors == ()
    task = management.publish()
    assert finish(management, task) is TaskState.SUCCEEDED
    revision = management.last_published()
    assert revision is not None
    assert management.task(task).revision == revision.uid
    assert {gateway.revision.uid for gateway in management.gateways() if gateway.revision} != {revision.uid}
    assert finish(management, management.install("Standard", ["gw-east"])) is TaskState.SUCCEEDED
    gateways = {gateway.name: gateway for gateway in management.gateways()}
    assert gateways["gw-east"].revision == revision
    assert gateways["gw-east"].policy == "Standard"
    assert gateways["gw-west"].revision != revision


def test_a_batch_makes_many_and_they_are_listed_page_by_page(firewall: Firewall, management: Management) -> None:
    management.ensure_tag(OWNER)
    task = management.put_hosts([form(number) for number in range(620)])
    assert finish(management, task.id) is TaskState.SUCCEEDED
    management.join_group("az-db", [f"az-host{number}" for number in range(620)])
    hosts = management.hosts()
    assert len({host.uid for host in hosts}) == 620
    assert {host.groups for host in hosts} == {frozenset({"az-db"})}
    management.leave_group("az-db", ["az-host7"])
    assert [host.name for host in management.hosts() if not host.groups] == ["az-host7"]
    assert firewall.count("show-hosts") == 4


def test_a_host_is_changed_where_it_differs_and_left_alone_where_it_does_not(
    firewall: Firewall, management: Management
) -> None:
    management.ensure_tag(OWNER)
    uid = management.put_host(form(1, join=("SO",)))
    changed = form(1, uid=uid, name="az-host1-b", address="10.9.9.9", join=("az-web",), leave=("SO",))
    assert management.put_host(changed) == uid
    (host,) = management.hosts()
    assert (host.name, host.address, host.groups) == ("az-host1-b", "10.9.9.9", frozenset({"az-web"}))
    before = firewall.count("set-host")
    management.put_host(changed)
    assert firewall.count("set-host") == before


def test_only_an_object_with_the_owners_mark_is_changed_or_deleted(firewall: Firewall, management: Management) -> None:
    by_hand(firewall, "printer", "10.7.7.7")
    (host,) = management.hosts()
    assert (host.owner, host.vm_id) == ("", "")
    for touch in (lambda: management.put_host(form(1, uid=host.uid)), lambda: management.delete_host(host.uid)):
        with pytest.raises(Rejected) as caught:
            touch()
        assert caught.value.code == "foreign-object"


def test_a_host_of_ours_is_deleted_once_it_is_in_no_group(management: Management) -> None:
    management.ensure_tag(OWNER)
    uid = management.put_host(form(1, join=("SO",)))
    with pytest.raises(Rejected) as caught:
        management.delete_host(uid)
    assert caught.value.code == "generic_err_object_deletion"
    management.leave_group("SO", ["az-host1"])
    management.delete_host(uid)
    management.delete_host(uid)
    assert management.hosts() == ()


def test_a_duplicate_address_is_rejected_unless_it_is_allowed(firewall: Firewall, management: Management) -> None:
    by_hand(firewall, "printer", form(1).address)
    management.ensure_tag(OWNER)
    with pytest.raises(Rejected) as caught:
        management.put_host(form(1))
    assert caught.value.code == "duplicate-address"
    management.put_host(form(1, allow_duplicate_address=True))
    assert len(management.hosts()) == 2


def test_a_duplicate_name_is_rejected_even_where_addresses_may_repeat(
    firewall: Firewall, management: Management
) -> None:
    by_hand(firewall, "az-host1", form(1).address)
    management.ensure_tag(OWNER)
    with pytest.raises(Rejected) as caught:
        management.put_host(form(1, allow_duplicate_address=True))
    assert caught.value.code == "duplicate-name"
    assert "az-host1" in caught.value.detail


def test_a_group_that_is_missing_rejects_the_host(management: Management) -> None:
    management.ensure_tag(OWNER)
    with pytest.raises(Rejected) as caught:
        management.put_host(form(1, join=("nowhere",)))
    assert caught.value.code == "generic_err_object_not_found"
    assert management.hosts() == ()


def test_a_lock_names_its_holder(firewall: Firewall, management: Management) -> None:
    management.ensure_tag(OWNER)
    management.put_host(form(1))
    firewall.act(lambda: firewall.world.hold("bob", "az-web", 600))
    for touch in (
        lambda: management.join_group("az-web", ["az-host1"]),
        lambda: management.put_host(form(2, join=("az-web",))),
    ):
        with pytest.raises(Busy) as caught:
            touch()
        assert caught.value.holder == "bob"
    locked = {group.name: group.locked_by for group in management.groups()}
    assert (locked["az-web"], locked["az-db"]) == ("bob", "")


def test_discarding_leaves_nothing_behind(management: Management) -> None:
    management.ensure_tag(OWNER)
    management.put_host(form(1))
    management.discard()
    assert management.hosts() == ()


def test_a_session_is_kept_while_its_name_is_the_same(firewall: Firewall, management: Management) -> None:
    first = management.alive()
    assert management.open(NAME) == first
    assert firewall.count("login") == 1
    second = management.open(f"microseg/{OWNER}/2")
    assert first is not None
    assert second.uid != first.uid
    assert [session.name for session in management.sessions() if session.open] == [f"microseg/{OWNER}/2"]


def test_closing_discards_and_logs_out_and_a_second_time_does_nothing(
    firewall: Firewall, management: Management
) -> None:
    management.ensure_tag(OWNER)
    management.close()
    management.close()
    assert management.alive() is None
    assert firewall.count("logout") == 1
    assert firewall.world.sessions.listed() == []


def test_a_dead_session_of_ours_is_discarded_with_its_locks(firewall: Firewall, management: Management) -> None:
    management.ensure_tag(OWNER)
    management.put_host(form(1, join=("SO",)))
    dead = management.alive()
    assert dead is not None
    other = manager(firewall)
    other.open(f"microseg/{OWNER}/2")
    seen = {session.uid: session for session in other.sessions()}
    assert seen[dead.uid].changes == 3
    assert seen[dead.uid].locks > 0
    other.discard_session(dead.uid)
    other.discard_session(dead.uid)
    assert dead.uid not in {session.uid for session in other.sessions()}
    assert {group.locked_by for group in other.groups()} == {""}
    other.close()


def lose(firewall: Firewall) -> None:
    """The server forgets every session's sid, as after their idle time."""

    def expire() -> None:
        for session in firewall.world.sessions.listed():
            firewall.world.sessions.expire(firewall.world.now(), session)

    firewall.act(expire)


def test_a_lost_session_is_unreachable_for_a_read_and_forgotten(firewall: Firewall, management: Management) -> None:
    lose(firewall)
    with pytest.raises(Unreachable) as caught:
        management.hosts()
    assert_silent(caught.value, firewall.stage)
    assert management.alive() is None
    with pytest.raises(Unreachable):
        management.hosts()
    assert firewall.count("show-hosts") == 1


def test_a_lost_session_is_busy_for_an_effect_which_did_not_happen(firewall: Firewall, management: Management) -> None:
    lose(firewall)
    with pytest.raises(Busy, match="lost") as caught:
        management.put_host(form(1))
    assert_silent(caught.value, firewall.stage)
    assert management.alive() is None
    with pytest.raises(Busy):
        management.publish()
    assert firewall.count("publish") == 0
    management.close()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 503}, Unreachable),
        ({"action": "html", "status": 403}, Refused),
        ({"action": "html", "status": 503}, Unreachable),
        ({"action": "cut"}, Unreachable),
        ({"action": "hang"}, Unreachable),
        ({"action": "truncate", "phase": "after"}, Unreachable),
        ({"status": 200, "body": {}}, Unreachable),
        ({"status": 200, "body": {"from": 1, "to": 1, "total": 9, "objects": [{"uid": "x"}], "count": 2}}, Unreachable),
        ({"status": 400, "body": {"code": "generic_server_initializing", "message": "wait"}}, Unreachable),
        ({"status": 400, "body": {"code": "err_too_many_requests", "message": "wait"}}, Throttled),
        ({"status": 403, "body": {"code": "generic_err_no_permissions", "message": "no"}}, Refused),
    ],
)
def test_a_broken_list_is_an_error_and_never_a_short_list(
    firewall: Firewall, management: Management, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    by_hand(firewall, "printer", "10.7.7.7")
    impatient(management._transport._session, fault)
    firewall.fault("show-hosts", count=9 if fault.get("status") == 200 else 1, **fault)
    with pytest.raises(expected) as caught:
        management.hosts()
    assert_silent(caught.value, firewall.stage)
    assert management.alive() is not None


def test_a_list_that_moves_once_is_read_again(firewall: Firewall, management: Management) -> None:
    by_hand(firewall, "printer", "10.7.7.7")
    moved = {"from": 2, "to": 2, "total": 1, "objects": [{"uid": "x", "name": "x"}]}
    firewall.fault("show-hosts", status=200, body=moved)
    assert [host.name for host in management.hosts()] == ["printer"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 500, "phase": "after"}, OutcomeUnknown),
        ({"action": "cut", "phase": "after"}, OutcomeUnknown),
        ({"action": "html", "status": 200}, OutcomeUnknown),
        ({"action": "html", "status": 502}, OutcomeUnknown),
        ({"action": "hang"}, OutcomeUnknown),
        ({"status": 400, "body": {"code": "generic_server_initializing", "message": "wait"}}, Unreachable),
        ({"status": 409, "body": {"code": "generic_err_session_in_use", "message": "wait"}}, Busy),
        ({"status": 400, "body": {"code": "err_publish_failed", "message": "no"}}, Rejected),
        ({"status": 200, "body": {}}, OutcomeUnknown),
    ],
)
def test_a_publish_is_sent_once_whatever_comes_of_it(
    firewall: Firewall, management: Management, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    management.ensure_tag(OWNER)
    impatient(management._transport._session, fault)
    firewall.fault("publish", **fault)
    with pytest.raises(expected) as caught:
        management.publish()
    assert_silent(caught.value, firewall.stage)
    until(lambda: firewall.count("publish") > 0)
    assert firewall.count("publish") == 1


def test_a_publish_that_fails_says_why(firewall: Firewall, management: Management) -> None:
    by_hand(firewall, "az-host1", "10.7.7.7")
    management.ensure_tag(OWNER)
    finish(management, management.put_hosts([form(1)]).id)
    assert any("az-host1" in text for text in management.validations().errors)
    task = management.publish()
    assert finish(management, task) is TaskState.FAILED
    assert any("validation" in text for text in management.task(task).messages)
    assert management.task(task).revision == ""


def test_a_busy_gateway_is_busy_and_an_unknown_one_is_rejected(management: Management) -> None:
    task = management.install("Standard", ["gw-east"])
    with pytest.raises(Busy):
        management.install("Standard", ["gw-east"])
    with pytest.raises(Rejected):
        management.install("Standard", ["gw-nowhere"])
    assert finish(management, task) is TaskState.SUCCEEDED


def test_a_task_that_nobody_knows_is_rejected_by_name(management: Management) -> None:
    with pytest.raises(Rejected) as caught:
        management.task("01234567-89ab-cdef-0123-456789abcdef")
    assert caught.value.code == "generic_err_object_not_found"


def test_too_many_logins_are_throttled(firewall: Firewall) -> None:
    firewall.stage.limits = True
    management = manager(firewall)
    for number in range(3):
        management.open(f"{NAME}{number}")
    with pytest.raises(Throttled):
        management.open(f"{NAME}9")
    assert management.alive() is None


@pytest.mark.parametrize("credential", [ApiKey(Secret("wrong-7")), Password("microseg", Secret("wrong-7"))])
def test_a_wrong_credential_is_refused_and_stays_out_of_the_error(
    firewall: Firewall, credential: ApiKey | Password
) -> None:
    with pytest.raises(Refused) as caught:
        manager(firewall, credential).open(NAME)
    assert "wrong-7" not in repr(caught.value)
    assert "wrong-7" not in repr(credential)


def test_a_password_opens_the_door_as_a_key_does(firewall: Firewall) -> None:
    management = manager(firewall, Password("microseg", Secret(PASSWORD)))
    assert management.open(NAME).user == "microseg"
    management.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"api-server-version": "1.5", "sid": "s", "uid": "u"}, Rejected),
        ({"api-server-version": "1.9/../../x", "sid": "s", "uid": "u"}, Unreachable),
        ({"api-server-version": "1.9", "sid": "s", "uid": "u", "standby": True}, Unreachable),
        ({"api-server-version": "1.9", "sid": "s", "uid": "u", "read-only": True}, Refused),
        ({"api-server-version": "1.9"}, Unreachable),
    ],
)
def test_a_login_that_is_no_use_is_given_up(
    firewall: Firewall, answer: dict[str, object], expected: type[GatewayError]
) -> None:
    firewall.fault("login", status=200, body=answer)
    management = manager(firewall)
    with pytest.raises(expected):
        management.open(NAME)
    assert management.alive() is None


def test_a_pinned_certificate_is_enough_and_another_one_gets_nothing(firewall: Firewall, folder: Path) -> None:
    pinned = manager(firewall, fingerprint=sha256(folder / "world.pem"))
    pinned.open(NAME)
    pinned.close()
    before = len(firewall.stage.ledger.entries("checkpoint"))
    wrong = manager(firewall, fingerprint=sha256(folder / "stranger" / "other.pem"))
    with pytest.raises(Unreachable, match="pinned"):
        wrong.open(NAME)
    assert len(firewall.stage.ledger.entries("checkpoint")) == before


def test_the_observer_hears_every_command_by_name(firewall: Firewall, management: Management) -> None:
    management.last_published()
    assert ("checkpoint", "login", "ok") in firewall.seen.calls
    assert ("checkpoint", "show-last-published-session", "ok") in firewall.seen.calls
    assert API_KEY not in repr(firewall.seen)
