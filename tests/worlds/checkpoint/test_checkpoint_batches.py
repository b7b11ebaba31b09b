"""Batches of the Check Point simulator: many objects in one task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.worlds.checkpoint.conftest import Json, Management


def hosts(count: int, first: int = 0) -> list[Json]:
    return [
        {"name": f"az-{number:03d}", "ip-address": f"10.0.{number // 200}.{number % 200}"}
        for number in range(first, first + count)
    ]


def test_a_batch_is_one_task_and_its_hosts_are_there_when_it_ends(management: Management) -> None:
    client = management.login()
    answer = management.ok(client, "add-objects-batch", objects=[{"type": "host", "list": hosts(300)}])
    (task,) = answer["tasks"]
    assert (task["status"], task["task-details"]) == (
        "succeeded",
        [{"status": "Batch operation completed successfully"}],
    )
    names = [host["name"] for host in hosts(300)]
    management.ok(client, "set-group", name="SO", members={"add": names}, details_level="uid")
    assert management.ok(client, "show-session")["changes"] == 301
    management.ok(client, "publish")
    assert management.look("summary")["groups"]["SO"] == 300


def test_a_batch_may_alter_and_delete_and_carry_groups(management: Management) -> None:
    client = management.login()
    listed = [host | {"groups": ["SO"]} for host in hosts(3)]
    management.ok(client, "add-objects-batch", objects=[{"type": "host", "list": listed}])
    altered = [{"name": "az-000", "comments": "x"}, {"name": "az-001", "groups": {"add": "az-db"}}]
    management.ok(client, "set-objects-batch", objects=[{"type": "host", "list": altered}])
    management.ok(client, "delete-objects-batch", objects=[{"type": "host", "list": [{"name": "az-002"}]}])
    assert management.ok(client, "show-host", name="az-000")["comments"] == "x"
    assert len(management.ok(client, "show-host", name="az-001")["groups"]) == 2
    assert [member["name"] for member in management.ok(client, "show-group", name="SO")["members"]] != []
    assert management.refused(client, "show-host", name="az-002")[0] == 404


def test_a_batch_swallows_a_taken_name_and_the_publish_fails_until_it_is_gone(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="az-001", ip_address="10.9.9.9")
    management.ok(client, "publish")
    management.ok(client, "add-objects-batch", objects=[{"type": "host", "list": hosts(3)}])
    found = management.ok(client, "show-validations")
    assert (found["errors-total"], found["blocking-errors-total"]) == (1, 0)
    assert found["errors"] == [{"message": "More than one object named 'az-001' exists.", "current-session": True}]
    task = management.failed(client, "publish")
    assert task["progress-description"] == "Publish failed because of validation errors"
    session = management.ok(client, "show-session")
    assert (session["changes"], session["locks"]) == (3, 3)
    (poison,) = [
        host
        for host in management.ok(client, "show-hosts")["objects"]
        if host["name"] == "az-001" and host["ipv4-address"] != "10.9.9.9"
    ]
    management.ok(client, "delete-host", uid=poison["uid"])
    management.ok(client, "publish")
    assert management.look("summary")["objects"]["host"] == 3


def test_a_shared_address_in_a_batch_is_a_warning_that_does_not_stop_the_publish(management: Management) -> None:
    client = management.login()
    twins = [{"name": "a", "ip-address": "10.0.0.1"}, {"name": "b", "ip-address": "10.0.0.1"}]
    management.ok(client, "add-objects-batch", objects=[{"type": "host", "list": twins}])
    found = management.ok(client, "show-validations")
    assert (found["warnings-total"], found["errors-total"]) == (1, 0)
    management.ok(client, "publish")


@pytest.mark.parametrize(
    ("objects", "code"),
    [
        ([{"type": "host", "list": [{"name": "a"}]}], "generic_err_missing_required_parameters"),
        ([{"type": "host", "list": [{"ip-address": "10.0.0.1"}]}], "generic_err_missing_required_parameters"),
        (
            [{"type": "host", "list": [{"name": "a", "ip-address": "10.0.0.1", "ignore-warnings": True}]}],
            "generic_err_invalid_parameter_name",
        ),
        ([{"type": "spaceship", "list": []}], "generic_err_invalid_parameter"),
        ([{"type": "host"}], "generic_err_missing_required_parameters"),
        ([], "generic_err_invalid_parameter"),
        ("host", "generic_err_invalid_parameter"),
    ],
)
def test_a_malformed_batch_is_refused_at_once(management: Management, objects: object, code: str) -> None:
    assert management.refused(management.login(), "add-objects-batch", objects=objects)[:2] == (400, code)


def test_a_batch_that_names_an_unknown_group_fails_and_keeps_what_came_before(management: Management) -> None:
    client = management.login()
    listed = [hosts(1)[0], hosts(1, 1)[0] | {"groups": "nowhere"}]
    task = management.failed(client, "add-objects-batch", objects=[{"type": "host", "list": listed}])
    assert task["status"] == "failed"
    assert "nowhere" in task["progress-description"]
    assert management.ok(client, "show-session")["changes"] == 1
    assert management.ok(client, "discard")["number-of-discarded-changes"] == 1
