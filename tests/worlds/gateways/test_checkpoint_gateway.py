"""The Check Point gateway against the management world: host objects, publishing, installing, and every error."""

from __future__ import annotations

import pytest

from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.ports import (
    Busy,
    GatewayError,
    OutcomeUnknown,
    Refused,
    Rejected,
    Throttled,
    Unreachable,
)
from microseg.model.checkpoint_facts import TaskState
from simulators.checkpoint import Durations
from simulators.checkpoint.edits import Editor
from simulators.checkpoint.fields import ObjectSpec
from simulators.checkpoint.objects import ManagementObject

from .checkpoint_objects import VM, Firewall, form
from .conftest import API_KEY, OWNER, assert_no_secrets, read, shorten_timeout, tries, until


def finish(management: CheckPointManagementGateway, task_id: str) -> TaskState:
    until(lambda: management.task(task_id).state is not TaskState.RUNNING)
    return management.task(task_id).state


def by_hand(firewall: Firewall, name: str, address: str) -> None:
    firewall.act(
        lambda: firewall.world.edit("bob", lambda editor: _made(editor.add(ObjectSpec("host", name, ipv4=address))))
    )


def _made(_: ManagementObject) -> None:
    """Nothing is done with it."""


def test_a_host_is_made_with_its_groups_published_and_installed(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    management.ensure_tag(f"microseg.dev/{OWNER}")
    management.ensure_tag(f"microseg.dev/{OWNER}")
    assert firewall.count("add-tag") == 1
    uid = management.put_host(form(1, join=("SO", "az-web")))
    (host,) = read(management.hosts())
    assert (host.uid, host.name, host.address) == (uid, "az-host1", "10.0.0.2")
    assert (host.owner, host.vm_id) == (OWNER, VM.format(1))
    assert host.groups == {"SO", "az-web"}
    assert management.validations().errors == ()
    task = management.publish()
    assert finish(management, task) is TaskState.SUCCEEDED
    revision = management.last_published()
    assert revision is not None
    assert management.task(task).revision == revision.uid
    assert {gateway.revision.uid for gateway in read(management.gateways()) if gateway.revision} != {revision.uid}
    assert finish(management, management.install("Standard", ["gw-east"])) is TaskState.SUCCEEDED
    gateways = {gateway.name: gateway for gateway in read(management.gateways())}
    assert gateways["gw-east"].revision == revision
    assert gateways["gw-east"].policy == "Standard"
    assert gateways["gw-west"].revision != revision


@pytest.mark.parametrize(
    ("before", "by_hand", "after"),
    [
        ("10.0.0.2", {"ipv6": "fd00::99"}, "10.0.0.2"),
        ("10.0.0.2", {"ipv6": "fd00::99", "ipv4": "10.0.0.3"}, "10.0.0.2"),
        ("10.0.0.2", {}, "fd00::2"),
        ("fd00::2", {}, "10.0.0.2"),
        ("fd00::2", {"ipv4": "10.0.0.99"}, "fd00::2"),
        ("10.0.0.2", {}, "10.0.0.3"),
    ],
)
def test_an_object_has_the_one_address_of_its_form_and_an_equal_one_is_not_written(
    firewall: Firewall, management: CheckPointManagementGateway, before: str, by_hand: dict[str, str], after: str
) -> None:
    management.ensure_tag(OWNER)
    uid = management.put_host(form(1, address=before))
    assert finish(management, management.publish()) is TaskState.SUCCEEDED
    if by_hand:

        def add(editor: Editor) -> None:
            editor.alter(
                editor.find("az-host1"),
                ObjectSpec("host", ipv4=by_hand.get("ipv4"), ipv6=by_hand.get("ipv6")),
                tolerance="warnings",
            )

        firewall.act(lambda: firewall.world.edit("bob", add))
    management.put_host(form(1, uid=uid, address=after))
    assert [host.address for host in read(management.hosts())] == [after]
    assert management.pending_changes() == 1
    assert finish(management, management.publish()) is TaskState.SUCCEEDED
    written = firewall.count("set-host")
    management.put_host(form(1, uid=uid, address=after))
    assert firewall.count("set-host") == written
    assert management.pending_changes() == 0


def test_only_what_is_wrong_in_our_session_would_stop_its_publish(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    traits = firewall.world.traits
    traits.old_errors = [f"Gateway fw-{number} has no topology." for number in range(600)]
    management.ensure_tag(OWNER)
    management.put_host(form(1))
    assert management.validations().errors == ()
    traits.old_errors = traits.old_errors[:1]
    traits.tells_whose = False
    assert management.validations().errors == tuple(traits.old_errors)


def test_a_batch_makes_many_and_they_are_listed_page_by_page(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    management.ensure_tag(OWNER)
    task = management.put_hosts([form(number) for number in range(620)])
    assert finish(management, task.id) is TaskState.SUCCEEDED
    management.join_group("az-db", [f"az-host{number}" for number in range(620)])
    hosts = read(management.hosts())
    assert len({host.uid for host in hosts}) == 620
    assert {host.groups for host in hosts} == {frozenset({"az-db"})}
    (seventh,) = (host for host in hosts if host.name == "az-host7")
    management.leave_groups(seventh.uid, OWNER, ["az-db", "SO"])
    assert [host.name for host in read(management.hosts()) if not host.groups] == ["az-host7"]
    assert firewall.count("show-hosts") == 4


def test_a_host_is_changed_where_it_differs_and_left_alone_where_it_does_not(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    management.ensure_tag(OWNER)
    uid = management.put_host(form(1, join=("SO",)))
    changed = form(1, uid=uid, name="az-host1-b", address="10.9.9.9", join=("az-web",), leave=("SO",))
    assert management.put_host(changed) == uid
    (host,) = read(management.hosts())
    assert (host.name, host.address, host.groups) == ("az-host1-b", "10.9.9.9", frozenset({"az-web"}))
    before = firewall.count("set-host")
    management.put_host(changed)
    assert firewall.count("set-host") == before


def test_only_an_object_with_the_owners_mark_is_changed_or_deleted(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    by_hand(firewall, "printer", "10.7.7.7")
    (host,) = read(management.hosts())
    assert (host.owner, host.vm_id) == ("", "")
    management.ensure_tag(OWNER)
    mine = form(2, join=("SO",))
    uid = management.put_host(mine)
    before = read(management.hosts())
    for touch in (
        lambda: management.put_host(form(1, uid=host.uid)),
        lambda: management.put_host(form(1, uid=uid)),
        lambda: management.leave_groups(host.uid, OWNER, ["SO"]),
        lambda: management.leave_groups(uid, "other/estate", ["SO"]),
        lambda: management.delete_host(host.uid, OWNER, mine.vm_id),
        lambda: management.delete_host(uid, "other/estate", mine.vm_id),
        lambda: management.delete_host(uid, OWNER, form(1).vm_id),
    ):
        with pytest.raises(Rejected) as caught:
            touch()
        assert caught.value.code == "foreign-object"
    assert read(management.hosts()) == before


def test_a_host_of_ours_leaves_its_groups_and_is_deleted_whatever_its_name_is_by_now(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    management.ensure_tag(OWNER)
    mine = form(1, join=("SO", "az-web"))
    uid = management.put_host(mine)
    management.put_host(form(1, uid=uid, name="az-renamed"))
    management.leave_groups(uid, OWNER, ["SO", "az-db"])
    assert [host.groups for host in read(management.hosts())] == [frozenset({"az-web"})]
    for _ in range(2):
        management.delete_host(uid, OWNER, mine.vm_id)
        management.leave_groups(uid, OWNER, ["SO"])
    assert read(management.hosts()) == ()
    assert firewall.count("delete-host") == 1


def test_a_duplicate_address_is_rejected_unless_it_is_allowed(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    by_hand(firewall, "printer", form(1).address)
    management.ensure_tag(OWNER)
    with pytest.raises(Rejected) as caught:
        management.put_host(form(1))
    assert caught.value.code == "duplicate-address"
    management.put_host(form(1, allow_duplicate_address=True))
    assert len(read(management.hosts())) == 2


def test_a_duplicate_name_is_rejected_even_where_addresses_may_repeat(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    by_hand(firewall, "az-host1", form(1).address)
    management.ensure_tag(OWNER)
    with pytest.raises(Rejected) as caught:
        management.put_host(form(1, allow_duplicate_address=True))
    assert caught.value.code == "duplicate-name"
    assert "az-host1" in caught.value.detail


def test_a_group_that_is_missing_rejects_the_host(management: CheckPointManagementGateway) -> None:
    management.ensure_tag(OWNER)
    with pytest.raises(Rejected) as caught:
        management.put_host(form(1, join=("nowhere",)))
    assert caught.value.code == "generic_err_object_not_found"
    assert read(management.hosts()) == ()


def test_a_lock_names_its_holder(firewall: Firewall, management: CheckPointManagementGateway) -> None:
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
    locked = {group.name: group.locked_by for group in read(management.groups())}
    assert (locked["az-web"], locked["az-db"]) == ("bob", "")


def test_discarding_leaves_nothing_behind(management: CheckPointManagementGateway) -> None:
    management.ensure_tag(OWNER)
    management.put_host(form(1))
    management.discard()
    assert read(management.hosts()) == ()


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
    firewall: Firewall, management: CheckPointManagementGateway, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    by_hand(firewall, "printer", "10.7.7.7")
    shorten_timeout(management._http_client._session, fault)
    firewall.fault("show-hosts", count=9 if fault.get("status") == 200 else tries(expected), **fault)
    with pytest.raises(expected) as caught:
        read(management.hosts())
    assert_no_secrets(caught.value, firewall.stage)
    assert management._session_client.session is not None


def test_a_list_that_moves_once_is_read_again(firewall: Firewall, management: CheckPointManagementGateway) -> None:
    by_hand(firewall, "printer", "10.7.7.7")
    moved = {"from": 2, "to": 2, "total": 1, "objects": [{"uid": "x", "name": "x"}]}
    firewall.fault("show-hosts", status=200, body=moved)
    assert [host.name for host in read(management.hosts())] == ["printer"]


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
    firewall: Firewall, management: CheckPointManagementGateway, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    management.ensure_tag(OWNER)
    shorten_timeout(management._http_client._session, fault)
    firewall.fault("publish", **fault)
    with pytest.raises(expected) as caught:
        management.publish()
    assert_no_secrets(caught.value, firewall.stage)
    until(lambda: firewall.count("publish") > 0)
    assert firewall.count("publish") == 1


def test_a_publish_that_fails_says_why(firewall: Firewall, management: CheckPointManagementGateway) -> None:
    by_hand(firewall, "az-host1", "10.7.7.7")
    management.ensure_tag(OWNER)
    finish(management, management.put_hosts([form(1)]).id)
    assert any("az-host1" in text for text in management.validations().errors)
    task = management.publish()
    assert finish(management, task) is TaskState.FAILED
    assert any("validation" in text for text in management.task(task).messages)
    assert management.task(task).revision == ""


def test_a_busy_gateway_is_busy_and_an_unknown_one_is_rejected(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    firewall.act(lambda: setattr(firewall.world, "durations", Durations(install=2000.0)))  # two seconds by its clock
    task = management.install("Standard", ["gw-east"])
    with pytest.raises(Busy):
        management.install("Standard", ["gw-east"])
    with pytest.raises(Rejected):
        management.install("Standard", ["gw-nowhere"])
    assert finish(management, task) is TaskState.SUCCEEDED


def test_a_task_that_nobody_knows_is_rejected_by_name(management: CheckPointManagementGateway) -> None:
    with pytest.raises(Rejected) as caught:
        management.task("01234567-89ab-cdef-0123-456789abcdef")
    assert caught.value.code == "generic_err_object_not_found"


def test_every_command_is_measured_by_its_name(firewall: Firewall, management: CheckPointManagementGateway) -> None:
    management.last_published()
    assert ("checkpoint", "login", "200") in firewall.observed.calls
    assert ("checkpoint", "show-last-published-session", "200") in firewall.observed.calls
    assert API_KEY not in repr(firewall.observed)
