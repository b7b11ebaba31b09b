"""Validations, publishing and tasks of the Check Point simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.worlds.checkpoint.conftest import Management


def test_changes_are_seen_by_others_only_after_the_publish(management: Management) -> None:
    writer, reader = management.login(), management.login(key=management.other_key)
    management.ok(writer, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    assert management.ok(writer, "show-session")["changes"] == 2
    assert management.refused(reader, "show-host", name="a")[0] == 404
    assert management.ok(reader, "show-group", name="SO")["members"] == []
    management.ok(writer, "publish")
    assert management.ok(reader, "show-host", name="a")["meta-info"]["creator"] == "microseg"
    assert [member["name"] for member in management.ok(reader, "show-group", name="SO")["members"]] == ["a"]
    session = management.ok(writer, "show-session")
    assert (session["changes"], session["locks"]) == (0, 0)


def test_a_publish_is_a_task_whose_revision_stands_in_full_details_only(management: Management) -> None:
    management.slow_down()
    client = management.login(name="microseg/ns/estate/1")
    before = management.ok(client, "show-last-published-session")["uid"]
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1")
    task = management.start(client, "publish")
    running = management.ok(client, "show-task", task_id=task)["tasks"][0]
    assert (running["status"], running["task-name"]) == ("in progress", "Publish operation")
    assert 0 <= running["progress-percentage"] < 100
    management.finish(task)
    brief = management.ok(client, "show-task", task_id=task)["tasks"][0]
    assert (brief["status"], brief["progress-percentage"]) == ("succeeded", 100)
    assert "task-details" not in brief
    (detail,) = management.ok(client, "show-task", task_id=[task], details_level="full")["tasks"][0]["task-details"]
    assert detail["publishResponse"]["numberOfPublishedChanges"] == 1
    last = management.ok(client, "show-last-published-session")
    assert last["uid"] == detail["revision"] != before
    assert (last["state"], last["name"]) == ("published", "microseg/ns/estate/1")


def test_a_publish_takes_the_vendors_time_divided_by_the_scale(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1")
    task = management.world.tasks.find(management.start(client, "publish"))
    assert task.ends - task.started == pytest.approx((20 + 0.02) / management.environment.clock.scale, abs=0.01)


def test_publishing_and_installing_take_longer_the_more_was_changed(management: Management) -> None:
    client = management.login()
    times = []
    for first, count in ((0, 10), (10, 200)):
        hosts = [{"name": f"h{n}", "ip-address": f"10.0.1.{n}"} for n in range(first, first + count)]
        management.ok(client, "add-objects-batch", objects=[{"type": "host", "list": hosts}])
        publish = management.world.tasks.find(management.start(client, "publish"))
        management.wait(lambda publish=publish: not publish.is_running)  # type: ignore[misc]
        order = {"policy_package": "Standard", "targets": ["gw-east"]}
        install = management.world.tasks.find(management.start(client, "install-policy", **order))
        management.wait(lambda install=install: not install.is_running)  # type: ignore[misc]
        times.append([(task.ends - task.started) * management.environment.clock.scale for task in (publish, install)])
    assert times[0] == pytest.approx([20 + 0.02 * 10, 60 + 0.01 * 10], abs=0.5)
    assert times[1] == pytest.approx([20 + 0.02 * 200, 60 + 0.01 * 200], abs=0.5)


def test_the_session_is_busy_while_it_is_published(management: Management) -> None:
    management.slow_down()
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1")
    management.start(client, "publish")
    for command in ("publish", "discard"):
        assert management.refused(client, command)[:2] == (409, "generic_err_session_in_use")
    assert management.refused(client, "add-host", name="b", ip_address="10.0.0.2")[1] == "generic_err_session_in_use"
    assert management.ok(client, "show-host", name="a")["name"] == "a"


def test_publishes_of_one_server_follow_one_another(management: Management) -> None:
    first, second = management.login(), management.login(key=management.other_key)
    management.ok(first, "add-host", name="a", ip_address="10.0.0.1")
    management.ok(second, "add-host", name="b", ip_address="10.0.0.2")
    one, two = (management.start(client, "publish") for client in (first, second))
    tasks = management.world.tasks
    assert tasks.find(two).ends >= tasks.find(one).ends + 20 / management.environment.clock.scale - 0.001


def test_a_publish_without_changes_succeeds_and_is_a_revision_too(management: Management) -> None:
    client = management.login()
    task = management.ok(client, "publish")["tasks"][0]
    assert task["status"] == "succeeded"
    assert task["task-details"][0]["publishResponse"]["numberOfPublishedChanges"] == 0
    assert task["task-details"][0]["revision"] == management.world.published.revisions[-1].uid
    assert len(management.world.published.revisions) == 2


def test_old_errors_of_others_are_shown_and_stop_no_publish(management: Management) -> None:
    management.order("traits", {"old_errors": ["Gateway fw-old has no topology."]})
    client = management.login()
    management.ok(client, "add-host", name="az-001", ip_address="10.9.9.9")
    found = management.ok(client, "show-validations")
    assert found["errors-total"] == 1
    assert found["errors"] == [{"message": "Gateway fw-old has no topology.", "current-session": False}]
    management.order("traits", {"tells_whose": False})
    assert management.ok(client, "show-validations")["errors"] == [{"message": "Gateway fw-old has no topology."}]
    management.ok(client, "publish")


def test_publishing_another_session_is_not_implemented(management: Management) -> None:
    first, second = management.login(), management.login()
    uid = management.ok(first, "show-session")["uid"]
    assert management.refused(second, "publish", uid=uid)[:2] == (501, "not_implemented")


def test_a_publish_goes_on_when_its_client_is_gone(management: Management) -> None:
    management.slow_down()
    client = management.login(name="mine")
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    task = management.start(client, "publish")
    management.order("session", {"name": "mine"})
    other = management.login()
    management.finish(task)
    assert management.ok(other, "show-task", task_id=task)["tasks"][0]["status"] == "succeeded"
    assert management.ok(other, "show-host", name="a")["groups"]
    names = [item["name"] for item in management.ok(other, "show-sessions", details_level="full")["objects"]]
    assert "mine" not in names


def test_a_name_made_in_two_sessions_surfaces_at_the_second_publish(management: Management) -> None:
    first, second = management.login(), management.login(key=management.other_key)
    management.ok(first, "add-host", name="a", ip_address="10.0.0.1")
    management.ok(second, "add-host", name="a", ip_address="10.0.0.2")
    management.ok(first, "publish")
    assert management.failed(second, "publish")["status"] == "failed"
    assert management.ok(second, "discard")["number-of-discarded-changes"] == 1
    assert management.ok(second, "show-host", name="a")["ipv4-address"] == "10.0.0.1"


def test_a_reserved_name_is_taken_by_add_and_refused_by_publish(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="Gateways", ip_address="10.0.0.1")
    assert management.failed(client, "publish")["status"] == "failed"


def test_ignored_errors_leave_a_session_that_cannot_be_published(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="SO", ip_address="10.0.0.1", ignore_errors=True)
    assert management.failed(client, "publish")["status"] == "failed"


def test_tasks_are_listed_by_who_and_how_and_an_unknown_one_is_404(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="SO", ip_address="10.0.0.1", ignore_errors=True)
    management.failed(client, "publish")
    management.ok(client, "discard")
    management.ok(client, "publish")

    def statuses(**parameters: object) -> list[str]:
        # The vendor's client waits for every task that it sees, and calls one failed task a failure.
        answer = client.api_call("show-tasks", parameters, wait_for_task=False)
        return [task["status"] for task in answer.data["tasks"]]

    assert statuses() == ["succeeded", "failed"]
    assert statuses(status="failed", initiator="microseg") == ["failed"]
    assert statuses(initiator="bob") == []
    assert management.refused(client, "show-tasks", status="done")[1] == "generic_err_invalid_parameter"
    assert management.refused(client, "show-task", task_id="no-such-task")[0] == 404


@pytest.mark.parametrize(("outcome", "status"), [("failed", "failed"), ("stuck", "in progress")])
def test_an_ordered_end_of_the_next_publish_comes_true(management: Management, outcome: str, status: str) -> None:
    management.order("task", {"kind": "publish", "outcome": outcome})
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1")
    task = management.start(client, "publish")
    if outcome == "failed":
        management.wait(lambda: not management.world.tasks.find(task).is_running)
    shown = management.ok(client, "show-task", task_id=task)["tasks"][0]
    assert shown["status"] == status
    assert management.ok(client, "show-session")["changes"] == 1
    assert len(management.world.published.revisions) == 1


def test_a_lost_task_cannot_be_found_though_it_took_effect(management: Management) -> None:
    management.order("task", {"kind": "publish", "outcome": "lost"})
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1")
    task = management.start(client, "publish")
    assert management.refused(client, "show-task", task_id=task)[0] == 404
    management.wait(lambda: len(management.world.published.revisions) == 2)
    assert management.ok(client, "show-session")["changes"] == 0


def test_the_ledger_has_every_call_and_one_line_for_a_publish(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    management.ok(client, "publish")
    ledger = management.environment.ledger
    (call,) = ledger.entries("checkpoint", "add-host")
    assert (call.who, call.status, call.changed) == ("microseg", 200, ("a",))
    assert call.size > 100
    published = ledger.entries("checkpoint", "world.published")[-1]
    assert (published.who, published.changed) == ("microseg", ("SO", "a"))
    assert published.note == management.world.published.revisions[-1].uid


def test_a_database_that_goes_back_is_as_it_was_and_ends_every_session(management: Management) -> None:
    writer = management.login()
    management.ok(writer, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    management.ok(writer, "publish")
    before = management.ok(writer, "show-last-published-session")["uid"]
    management.ok(writer, "add-host", name="b", ip_address="10.0.0.2", groups="SO")
    management.ok(writer, "set-host", name="a", new_name="renamed")
    management.ok(writer, "publish")
    management.ok(writer, "set-host", name="b", groups=[], color="red")
    management.background.call(lambda: management.world.revert(1))
    assert management.refused(writer, "show-session")[0] == 401
    reader = management.login()
    assert management.ok(reader, "show-last-published-session")["uid"] == before
    assert management.refused(reader, "show-host", name="b")[0] == 404
    assert management.refused(reader, "show-host", name="renamed")[0] == 404
    assert [member["name"] for member in management.ok(reader, "show-group", name="SO")["members"]] == ["a"]
