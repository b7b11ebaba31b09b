"""What the Check Point gateway reads of the server's own tasks, for an install whose answer was lost."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.ports import GatewayError, OutcomeUnknown, Refused, Rejected, Throttled, Unreachable
from microseg.model.checkpoint_tasks import BegunTask
from simulators.checkpoint import Admin, Durations

from .checkpoint_objects import Firewall, form
from .conftest import (
    OWNER,
    assert_no_secrets,
    check_point_gateway,
    read,
    shorten_timeout,
    tries,
    until,
)

LASTING = Durations(read=0.0, write=0.0, install=3_600_000.0)
"""An installation goes on for an hour by the simulator's clock."""


def tasks(management: CheckPointManagementGateway) -> dict[str, BegunTask]:
    return {task.id: task for task in read(management.own_tasks()).tasks}


def lasting(firewall: Firewall, **traits: object) -> None:
    """Installations do not end, and the server is another one."""

    def change() -> None:
        firewall.world.durations = LASTING
        for name, value in traits.items():
            setattr(firewall.world.traits, name, value)

    firewall.act(change)


def test_tasks_of_ours_are_listed_by_what_they_do_and_nobody_elses(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    management.ensure_tag(OWNER)
    batch = management.put_hosts([form(1)]).id
    until(lambda: not firewall.world.tasks.find(batch).is_running)
    publish = management.publish()
    until(lambda: not firewall.world.tasks.find(publish).is_running)
    lasting(firewall)
    install = management.install("Standard", ["gw-east"])
    session = firewall.world.console("bob")
    firewall.act(lambda: firewall.world.ask(session, "Policy installation - Standard", lambda _: None))
    found = tasks(management)
    assert {uid: task.package for uid, task in found.items()} == {batch: "", publish: "", install: "Standard"}
    started = [found[uid].started for uid in (batch, publish, install)]
    assert all(started)
    assert started == sorted(started, key=str)


@pytest.mark.parametrize("ahead", [0.0, 7200.0, -7200.0])
def test_the_time_of_the_list_is_the_servers_own(firewall: Firewall, ahead: float) -> None:
    lasting(firewall, clock_ahead=ahead, utc_offset=-9.0)
    management = check_point_gateway(firewall)
    management.open("microseg/ahead")
    install = management.install("Standard", ["gw-east"])
    listed = read(management.own_tasks())
    (task,) = listed.tasks
    assert task.id == install
    assert task.started is not None
    assert abs((listed.read_at - task.started).total_seconds()) < 5
    assert abs((listed.read_at - datetime.now(UTC)).total_seconds() - ahead) < 5
    management.close()


def test_a_long_list_is_read_to_its_end(firewall: Firewall, management: CheckPointManagementGateway) -> None:
    session = firewall.world.sessions.listed()[0]

    def begin() -> None:
        for _ in range(620):
            firewall.world.ask(session, "show-changes", lambda _: None)

    firewall.act(begin)
    found = tasks(management)
    assert len(found) == 620
    assert {task.package for task in found.values()} == {None}, "no name of ours: it may do anything"
    assert firewall.count("show-tasks") == 2


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("fault", [{"action": "status", "status": 503}, {"action": "cut"}, {"action": "hang"}])
def test_the_list_shows_whether_an_install_began_whose_answer_was_lost(
    firewall: Firewall, management: CheckPointManagementGateway, phase: str, fault: dict[str, object]
) -> None:
    lasting(firewall)
    firewall.fault("install-policy", phase=phase, **fault)
    shorten_timeout(management._http_client._session, fault)
    with pytest.raises(OutcomeUnknown):
        management.install("Standard", ["gw-east"])
    until(lambda: firewall.count("install-policy") == 1)
    assert [task.package for task in tasks(management).values()] == ["Standard"] * (phase == "after")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 503}, Unreachable),
        ({"action": "cut"}, Unreachable),
        ({"action": "html", "status": 200}, Unreachable),
        ({"status": 200, "body": {}}, Unreachable),
        ({"status": 200, "body": {"from": 1, "to": 1, "total": 1, "tasks": [{"uid": "a"}]}}, Unreachable),
        ({"status": 200, "body": {"from": 1, "to": 1, "total": 2, "tasks": [{"uid": "a"}]}}, Unreachable),
        ({"status": 404, "body": {"code": "generic_err_command_not_found", "message": "no"}}, Rejected),
        ({"status": 400, "body": {"code": "err_too_many_requests", "message": "wait"}}, Throttled),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error_and_never_a_short_list(
    firewall: Firewall, management: CheckPointManagementGateway, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    management.install("Standard", ["gw-east"])
    firewall.fault("show-tasks", count=9 if fault.get("status") == 200 else tries(expected), **fault)
    with pytest.raises(expected) as caught:
        tasks(management)
    assert_no_secrets(caught.value, firewall.stage)


def test_an_administrator_who_may_not_list_tasks_is_refused(firewall: Firewall) -> None:
    admin = firewall.world.admins["microseg"]
    firewall.act(lambda: firewall.world.add_admin(Admin(admin.name, admin.api_key, lacks=frozenset({"show-tasks"}))))
    management = check_point_gateway(firewall)
    management.open("microseg/few")
    with pytest.raises(Refused):
        tasks(management)
    management.close()


def test_the_administrators_name_is_asked_for_once_it_is_needed(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    assert management._session_client.session is not None
    assert management._session_client.session.user == "", "a log-in by key does not tell it"
    management.install("Standard", ["gw-east"])
    assert len(tasks(management)) == 1
    assert firewall.count("show-session") == 1
    read(management.sessions())
    assert len(tasks(management)) == 1
    assert firewall.count("show-session") == 1
    firewall.fault("show-session", status=200, body={"uid": "x"})
    management.close()
    management.open("microseg/nameless")
    with pytest.raises(Unreachable):
        tasks(management)
