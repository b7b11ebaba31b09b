"""The vendor's own client (`cp-mgmt-api-sdk` 1.9.0) meets every fault of requests, sessions and tasks."""

from __future__ import annotations

import time

import pytest
import requests

from simulators.faults import Action

from .checkpoint_client import add, call, hosts, hosts_in
from .conftest import Management
from .fault_coverage import covers, inject, refusal


@covers("checkpoint", "status")
def test_a_status_before_the_effect_prevents_it_and_its_code_is_read(management: Management) -> None:
    client = management.login()
    body = {"code": "generic_error", "message": "Runtime error"}
    inject(management.control, "checkpoint", "add-host", "status", status=400, body=body)
    answer = add(client)
    assert (answer.success, answer.status_code, answer.data["code"]) == (False, 400, "generic_error")
    assert add(client).success


@covers("checkpoint", "status")
def test_a_status_after_the_effect_hides_a_host_that_is_there(management: Management) -> None:
    client = management.login()
    body = {"code": "generic_server_error", "message": "Management server failed to execute command"}
    inject(management.control, "checkpoint", "add-host", "status", status=500, body=body, phase="after")
    assert not add(client).success
    assert hosts(client) == ["h1"]


@covers("checkpoint", "delay")
def test_a_delay_is_waited_for(management: Management) -> None:
    client = management.login()
    inject(management.control, "checkpoint", "show-hosts", "delay", seconds=0.3)
    started = time.monotonic()
    assert call(client, "show-hosts").success
    assert time.monotonic() - started >= 0.3


@covers("checkpoint", "cut")
@pytest.mark.parametrize(("phase", "said"), [("before", ""), ("after", "More than one object named 'h1' exists.")])
def test_the_sdk_sends_a_write_twice_when_it_is_cut(management: Management, phase: str, said: str) -> None:
    client = management.login()
    inject(management.control, "checkpoint", "add-host", "cut", phase=phase)
    answer = add(client)
    assert len(management.environment.ledger.entries("checkpoint", "add-host")) == 2
    assert answer.success is (phase == "before")
    assert said in str(answer.data)
    assert hosts(client) == ["h1"]


@covers("checkpoint", "hang")
def test_the_sdk_waits_as_long_as_a_hang_lasts_and_asks_again(management: Management) -> None:
    client = management.login()
    inject(management.control, "checkpoint", "show-hosts", "hang", seconds=0.4)
    started = time.monotonic()
    assert call(client, "show-hosts").success
    assert time.monotonic() - started >= 0.4
    assert len(management.environment.ledger.entries("checkpoint", "show-hosts")) == 2


@covers("checkpoint", "html")
@pytest.mark.parametrize("status", [200, 403, 503])
def test_html_is_no_json(management: Management, status: int) -> None:
    client = management.login()
    inject(management.control, "checkpoint", "show-hosts", "html", status=status)
    answer = call(client, "show-hosts")
    assert "not a valid JSON" in answer.error_message
    assert "<html>" in str(answer.data)


@covers("checkpoint", "truncate")
def test_truncated_json_is_no_json(management: Management) -> None:
    client = management.login()
    inject(management.control, "checkpoint", "show-hosts", "truncate", phase="after")
    answer = call(client, "show-hosts")
    assert "not a valid JSON" in answer.error_message


@covers("checkpoint", "throttle")
@pytest.mark.parametrize("retry_after", ["", "7", "soon", "999999999"])
def test_a_429_is_told_at_once_whatever_its_header_says(management: Management, retry_after: str) -> None:
    inject(management.control, "checkpoint", "login", "throttle", retry_after=retry_after, count=2)
    answer = management.client().login_with_api_key(management.key)
    assert (answer.success, answer.status_code, answer.data["code"]) == (False, 429, "err_too_many_requests")
    raw = management.post("login", {"api-key": management.key})
    assert raw.headers.get("Retry-After", "") == retry_after


@covers("checkpoint", "expire")
def test_a_session_that_ends_leaves_its_changes_behind(management: Management) -> None:
    client = management.login(name="mine")
    assert add(client).success
    inject(management.control, "checkpoint", "add-host", "expire")
    answer = add(client, 2)
    assert (answer.status_code, answer.data["code"]) == (401, "generic_err_wrong_session_id")
    fresh = management.login(name="next")
    left = [each for each in management.ok(fresh, "show-sessions", details_level="full")["objects"] if each["changes"]]
    assert [(each["name"], each["in-work"], each["changes"]) for each in left] == [("mine", False, 1)]
    assert management.ok(fresh, "discard", uid=left[0]["uid"])["number-of-discarded-changes"] == 1


@covers("checkpoint", "expire")
def test_a_session_ends_while_its_publish_goes_on(management: Management) -> None:
    client = management.login()
    assert add(client).success
    inject(management.control, "checkpoint", "publish", "expire", phase="after")
    management.start(client, "publish")
    assert call(client, "show-hosts").status_code == 401
    management.wait(lambda: len(management.world.published.revisions) == 2)
    assert hosts(management.login()) == ["h1"]


@covers("checkpoint", "operation-lost")
def test_a_lost_task_is_404_though_its_publish_happened(management: Management) -> None:
    client = management.login()
    assert add(client).success
    inject(management.control, "checkpoint", "publish", "operation-lost")
    task = management.start(client, "publish")
    answer = call(client, "show-task", task_id=task)
    assert (answer.status_code, answer.data["code"]) == (404, "generic_err_object_not_found")
    management.wait(lambda: hosts_in(management) == ["h1"])


@covers("checkpoint", "task-fails")
def test_a_publish_that_fails_keeps_the_changes(management: Management) -> None:
    client = management.login()
    assert add(client).success
    inject(management.control, "checkpoint", "publish", "task-fails")
    assert management.failed(client, "publish")["status"] == "failed"
    assert hosts_in(management) == []
    management.ok(client, "publish")
    assert hosts_in(management) == ["h1"]


@covers("checkpoint", "task-half")
def test_an_installation_reaches_one_of_two_gateways(management: Management) -> None:
    client = management.login()
    assert add(client).success
    management.ok(client, "publish")
    inject(management.control, "checkpoint", "install-policy", "task-half")
    task = management.failed(client, "install-policy", policy_package="Standard", targets=["gw-east", "gw-west"])
    assert task["status"] == "partially succeeded"
    gateways = management.look("summary")["gateways"]
    assert sorted(each["revision"] for each in gateways.values()) == [1, 2]


@covers("checkpoint", "task-endless")
def test_a_task_that_never_ends_stays_at_99_percent(management: Management) -> None:
    client = management.login()
    assert add(client).success
    inject(management.control, "checkpoint", "publish", "task-endless")
    with pytest.raises(Exception, match="Timeout reached"):
        client.api_call("publish", {}, timeout=1)
    task = management.post("show-tasks", {"details-level": "full"}, client.sid).json()["tasks"][0]
    assert (task["status"], task["progress-percentage"]) == ("in progress", 99)


@covers("checkpoint", "bulk-partial")
def test_half_of_a_batch_is_done_though_its_task_says_failed(management: Management) -> None:
    client = management.login()
    inject(management.control, "checkpoint", "add-objects-batch", "bulk-partial")
    batch = [{"name": f"h{number}", "ip-address": f"10.0.0.{number}"} for number in range(1, 5)]
    task = management.failed(client, "add-objects-batch", objects=[{"type": "host", "list": batch}])
    assert task["status"] == "failed"
    assert "h3" not in str(task)
    assert hosts(client) == ["h1", "h2"]


@covers("checkpoint", "foreign-lock")
def test_somebody_holds_the_group_for_a_while_and_is_named(management: Management) -> None:
    client = management.login()
    inject(management.control, "checkpoint", "add-host", "foreign-lock", target="SO", seconds=60)
    answer = call(client, "add-host", name="h1", ip_address="10.0.0.1", groups=["SO"])
    assert (answer.success, answer.data["code"]) == (False, "generic_err_object_locked")
    group = management.ok(client, "show-group", name="SO", details_level="full")
    assert group["meta-info"]["lock"] == "locked by other session"
    management.order("lock", {"group": "SO", "release": True})
    assert call(client, "add-host", name="h1", ip_address="10.0.0.1", groups=["SO"]).success


@covers("checkpoint", "human-edit")
def test_somebody_publishes_between_two_calls(management: Management) -> None:
    client = management.login()
    edit = {"do": "add-host", "host": "theirs", "ip-address": "10.0.0.9"}
    inject(management.control, "checkpoint", "show-hosts", "human-edit", body=edit, nth=2)
    assert hosts(client) == []
    assert hosts(client) == ["theirs"]
    assert management.ok(client, "show-host", name="theirs", details_level="full")["meta-info"]["creator"] == "alice"


@covers("checkpoint", "human-edit")
def test_an_edit_of_what_the_caller_holds_is_told_in_the_ledger_and_not_to_the_caller(management: Management) -> None:
    management.order("edit", {"do": "add-host", "host": "h1", "ip-address": "10.0.0.1"})
    client = management.login()
    management.ok(client, "set-host", name="h1", comments="mine")
    inject(management.control, "checkpoint", "show-hosts", "human-edit", body={"do": "delete-host", "host": "h1"})
    assert hosts(client) == ["h1"]
    entry = management.environment.ledger.entries("checkpoint", "show-hosts")[0]
    assert entry.note.startswith("fault before: human-edit not possible:")


@covers("checkpoint", "link-missing", "link-to-itself", "link-elsewhere")
@pytest.mark.parametrize(
    ("action", "operation", "complaint"),
    [
        ("link-missing", "show-hosts", "no links"),
        ("link-to-itself", "show-hosts", "no links"),
        ("link-elsewhere", "show-hosts", "no links"),
        ("task-half", "publish", "only install-policy and batches"),
        ("bulk-partial", "publish", "only batches"),
        ("task-fails", "show-hosts", "begins no task"),
        ("stale", "show-hosts", "needs 'seconds'"),
        ("foreign-lock", "set-group", "needs 'target' and 'seconds'"),
        ("human-edit", "set-group", "needs 'body'"),
    ],
)
def test_what_check_point_does_not_have_cannot_be_ordered_of_it(
    management: Management, action: Action, operation: str, complaint: str
) -> None:
    assert complaint in refusal(management.control, "checkpoint", operation, action)


def test_orders_are_listed_and_forgotten(management: Management) -> None:
    inject(management.control, "checkpoint", "publish", "cut", nth=3)
    (listed,) = requests.get(f"{management.control}/faults", timeout=5).json()["faults"]
    assert (listed["operation"], listed["nth"], listed["hits"]) == ("publish", 3, 0)
    requests.delete(f"{management.control}/faults", timeout=5)
    assert requests.get(f"{management.control}/faults", timeout=5).json() == {"faults": []}
