"""Packages, gateways and installations of the Check Point simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cpapi import APIClient
    from tests.worlds.checkpoint.conftest import Management


def installed(management: Management, client: APIClient) -> dict[str, int]:
    """Number of the revision that each gateway says it enforces."""
    numbers = {revision.uid: revision.number for revision in management.world.published.revisions}
    gateways = management.ok(client, "show-gateways-and-servers", details_level="full", limit=500)["objects"]
    return {gateway["name"]: numbers[gateway["policy"]["access-policy-revision"]["uid"]] for gateway in gateways}


def publish(management: Management, client: APIClient, name: str = "a") -> str:
    """Publish one more host: the revision's uid."""
    number = len(management.world.published.revisions)
    management.ok(client, "add-host", name=name, ip_address=f"10.0.0.{number}", groups="SO")
    return str(management.ok(client, "publish")["tasks"][0]["task-details"][0]["revision"])


def test_a_gateway_enforces_the_new_revision_only_when_the_installation_ends(management: Management) -> None:
    client = management.login()
    revision = publish(management, client)
    assert installed(management, client) == {"gw-east": 1, "gw-west": 1}
    management.slow_down()
    task = management.start(client, "install-policy", policy_package="Standard", access=True)
    assert management.ok(client, "show-task", task_id=task)["tasks"][0]["status"] == "in progress"
    assert installed(management, client) == {"gw-east": 1, "gw-west": 1}
    management.finish(task)
    assert installed(management, client) == {"gw-east": 2, "gw-west": 2}
    shown = management.ok(client, "show-task", task_id=task, details_level="full")["tasks"][0]
    assert (shown["task-name"], shown["status"]) == ("Policy installation - Standard", "succeeded")
    assert [detail["statusCode"] for detail in shown["task-details"]] == ["succeeded", "succeeded"]
    entry = management.environment.ledger.entries("checkpoint", "world.installed")[-1]
    assert (entry.changed, entry.note) == (("gw-east", "gw-west"), revision)


def test_an_installation_takes_published_data_of_the_moment_it_begins(management: Management) -> None:
    client = management.login()
    publish(management, client, "a")
    management.ok(client, "add-host", name="unpublished", ip_address="10.1.1.1")
    task = management.start(client, "install-policy", policy_package="standard", targets="gw-east")
    management.order("edit", {"do": "add-host", "host": "later", "ip-address": "10.8.8.8"})
    management.wait(lambda: not management.world.tasks.find(task).is_running)
    assert installed(management, client) == {"gw-east": 2, "gw-west": 1}


def test_an_older_revision_can_be_installed_by_its_uid(management: Management) -> None:
    client = management.login()
    first = publish(management, client, "a")
    publish(management, client, "b")
    management.ok(client, "install-policy", policy_package="Standard", revision=first)
    assert installed(management, client) == {"gw-east": 2, "gw-west": 2}


def test_a_busy_gateway_is_409_and_another_one_is_not_held_up(management: Management) -> None:
    client = management.login()
    management.order("durations", {"install": 60000.0})
    management.order("install", {"gateway": "gw-east"})
    refusal = management.refused(client, "install-policy", policy_package="Standard", targets=["gw-east"])
    assert refusal[:2] == (409, "err_policy_installation_failed")
    assert "gw-east" in refusal[2]
    assert "already in progress" in refusal[2]
    management.order("durations", {"install": 1.0})
    management.ok(client, "install-policy", policy_package="Standard", targets=["gw-west"])


def test_one_failing_gateway_makes_the_task_partially_succeed(management: Management) -> None:
    client = management.login()
    publish(management, client)
    management.order("gateway", {"name": "gw-west", "fail_next_install": 1})
    task = management.failed(client, "install-policy", policy_package="Standard")
    assert task["status"] == "partially succeeded"
    assert {detail["gatewayName"]: detail["statusCode"] for detail in task["task-details"]} == {
        "gw-east": "succeeded",
        "gw-west": "failed",
    }
    failure = task["task-details"][1]["stagesInfo"][-1]["messages"][0]
    assert failure["type"] == "err"
    assert installed(management, client) == {"gw-east": 2, "gw-west": 1}
    management.ok(client, "install-policy", policy_package="Standard", targets=["gw-west"])
    assert installed(management, client) == {"gw-east": 2, "gw-west": 2}


def test_an_installation_that_fails_everywhere_is_failed(management: Management) -> None:
    client = management.login()
    management.order("gateway", {"name": "gw-west", "fail_next_install": 1})
    task = management.failed(client, "install-policy", policy_package="Standard", targets=["gw-west"])
    assert task["status"] == "failed"


def test_a_failure_of_the_whole_task_frees_its_gateways(management: Management) -> None:
    management.order("task", {"kind": "install", "outcome": "failed"})
    client = management.login()
    management.failed(client, "install-policy", policy_package="Standard")
    management.ok(client, "install-policy", policy_package="Standard")


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({}, 400, "generic_err_missing_required_parameters"),
        ({"policy_package": "Nonsense"}, 404, "generic_err_object_not_found"),
        ({"policy_package": "Standard", "targets": ["gw-north"]}, 404, "generic_err_object_not_found"),
        ({"policy_package": "Standard", "targets": []}, 400, "generic_err_invalid_parameter"),
        ({"policy_package": "Standard", "revision": "nonsense"}, 404, "generic_err_object_not_found"),
        ({"policy_package": "Standard", "ignore_warnings": True}, 400, "generic_err_invalid_parameter_name"),
    ],
)
def test_a_wrong_installation_is_refused_before_it_begins(
    management: Management, parameters: dict[str, object], status: int, code: str
) -> None:
    assert management.refused(management.login(), "install-policy", **parameters)[:2] == (status, code)
    assert not management.world.tasks.visible()


def test_without_the_access_policy_a_gateway_keeps_its_revision(management: Management) -> None:
    client = management.login()
    publish(management, client)
    management.ok(client, "install-policy", policy_package="Standard", access="false", targets="gw-east")
    management.ok(client, "install-policy", policy_package="Standard", access=False, targets="gw-west")
    assert installed(management, client) == {"gw-east": 2, "gw-west": 1}


def test_a_package_names_its_targets_and_their_revisions(management: Management) -> None:
    client = management.login()
    assert [package["name"] for package in management.ok(client, "show-packages")["packages"]] == ["Standard"]
    shown = management.ok(client, "show-package", name="Standard", details_level="full")
    assert [target["name"] for target in shown["installation-targets"]] == ["gw-east", "gw-west"]
    assert [entry["target-name"] for entry in shown["installation-targets-revision"]] == ["gw-east", "gw-west"]
    assert management.refused(client, "show-package", name="Other")[0] == 404


def test_a_gateway_shows_its_policy_only_in_full(management: Management) -> None:
    client = management.login()
    standard = management.ok(client, "show-gateways-and-servers")["objects"]
    assert [gateway["name"] for gateway in standard] == ["gw-east", "gw-west"]
    assert "policy" not in standard[0]
    policy = management.ok(client, "show-gateways-and-servers", details_level="full")["objects"][0]["policy"]
    assert (policy["access-policy-installed"], policy["access-policy-name"]) == (True, "Standard")
    assert policy["access-policy-revision"]["state"] == "published"
    assert policy["access-policy-revision"]["publish-time"]["posix"] > 0
    management.background.call(lambda: setattr(management.world.firewalls.gateways["gw-east"], "installed", None))
    never = management.ok(client, "show-gateways-and-servers", details_level="full")["objects"][0]
    assert never["policy"] == {}
