"""The list of tasks of the Check Point simulator, and answers of install-policy that are lost before and after it."""

from __future__ import annotations

import email.utils
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import requests

from simulators.faults import Fault

if TYPE_CHECKING:
    from cpapi import APIClient
    from tests.worlds.checkpoint.conftest import Json, Management

HOUR = 3600.0


def listed(management: Management, client: APIClient, **parameters: object) -> list[Json]:
    """What show-tasks lists, in its order; the vendor's own client would wait for each of them."""
    body = {name.replace("_", "-"): value for name, value in parameters.items()}
    answer = management.post("show-tasks", body, client.sid)
    assert answer.status_code == 200, answer.text
    tasks: list[Json] = answer.json()["tasks"]
    return tasks


def install(management: Management, client: APIClient, *gateways: str) -> str:
    return management.start(client, "install-policy", policy_package="Standard", targets=list(gateways) or ["gw-east"])


def test_the_task_that_was_updated_last_comes_first_and_pages_follow_one_another(management: Management) -> None:
    management.slow_down()
    client = management.login()
    tasks = [install(management, client, "gw-east"), management.start(client, "publish")]
    management.finish(tasks[0])
    management.finish(tasks[1])
    running = install(management, client, "gw-west")
    assert listed(management, client)[0]["task-id"] == running
    first, second = (management.post("show-tasks", {"limit": 2, "offset": n}, client.sid).json() for n in (0, 2))
    assert (first["from"], first["to"], first["total"]) == (1, 2, 3)
    assert (second["from"], second["to"], second["total"]) == (3, 3, 3)
    assert {task["task-id"] for body in (first, second) for task in body["tasks"]} == {*tasks, running}


def test_tasks_are_filtered_by_who_began_them_and_how_they_stand(management: Management) -> None:
    management.slow_down()
    client, other = management.login(), management.login(key=management.other_key)
    ours, theirs = install(management, client, "gw-east"), install(management, other, "gw-west")
    management.finish(theirs)
    assert [task["task-id"] for task in listed(management, client, initiator="microseg")] == [ours]
    assert [task["task-id"] for task in listed(management, client, initiator="bob", status="successful")] == [theirs]
    assert [task["task-id"] for task in listed(management, client, status="in-progress")] == [ours]


def test_dates_are_compared_with_the_last_update_and_without_a_zone_they_are_the_servers(
    management: Management,
) -> None:
    management.slow_down()
    client = management.login()
    running = install(management, client)

    def since(seconds: float, zone: str) -> list[str]:
        text = datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return [task["task-id"] for task in listed(management, client, from_date=text + zone)]

    assert since(-60, "+00:00") == [running]
    assert since(60, "+00:00") == []
    management.order("traits", {"utc_offset": 2.0})
    assert since(60, "") == [running], "it is two hours later there"
    assert since(60, "Z") == []
    early = datetime.fromtimestamp(time.time() - 60, UTC).isoformat()
    assert listed(management, client, to_date=early) == []
    assert management.refused(client, "show-tasks", from_date="yesterday")[:2] == (
        400,
        "generic_err_invalid_parameter",
    )


def test_an_administrator_may_be_refused_the_list_and_a_server_may_show_none(management: Management) -> None:
    client = management.login()
    task = install(management, client)
    management.order("admin", {"name": "microseg", "lacks": ["show-tasks"]})
    client = management.login()
    assert management.refused(client, "show-tasks")[:2] == (403, "generic_err_no_permissions")
    management.order("admin", {"name": "microseg", "lacks": []})
    management.order("traits", {"lists_tasks": False})
    client = management.login()
    assert management.post("show-tasks", {}, client.sid).json() == {"tasks": [], "total": 0}
    assert management.ok(client, "show-task", task_id=task)["tasks"][0]["task-id"] == task


def test_a_task_may_be_listed_later_than_it_begins(management: Management) -> None:
    management.slow_down()
    management.order("durations", {"task_listed": 0.5})
    client = management.login()
    task = install(management, client)
    assert management.ok(client, "show-task", task_id=task)["tasks"][0]["status"] == "in progress"
    assert listed(management, client) == []
    management.wait(lambda: len(management.world.listed_tasks()) == 1)
    assert [each["task-id"] for each in listed(management, client)] == [task]


def test_the_servers_clock_is_its_own(management: Management) -> None:
    management.order("traits", {"clock_ahead": HOUR})
    client = management.login()
    install(management, client)
    answer = management.post("show-tasks", {}, client.sid)
    ahead = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
    assert ahead == pytest.approx(HOUR, abs=5)
    assert answer.json()["tasks"][0]["start-time"]["posix"] / 1000 - time.time() == pytest.approx(HOUR, abs=5)


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize(
    "fault", [{"action": "status", "status": 503}, {"action": "cut"}, {"action": "html", "status": 503}]
)
def test_a_lost_answer_of_an_installation_is_told_by_the_list_alone(
    management: Management, phase: str, fault: dict[str, object]
) -> None:
    management.slow_down()
    client = management.login()
    management.environment.faults.add(Fault("checkpoint", "install-policy", phase=phase, **fault))  # type: ignore[arg-type]
    with suppress(requests.ConnectionError):  # the vendor's client would send it twice
        assert management.post("install-policy", {"policy-package": "Standard"}, client.sid).status_code == 503
    tasks = listed(management, client, initiator="microseg")
    assert [task["task-name"] for task in tasks] == ["Policy installation - Standard"] * (phase == "after")
    assert all(task["status"] == "in progress" for task in tasks)
