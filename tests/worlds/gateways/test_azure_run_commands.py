"""Run-commands of the Azure gateway: sent once, read, deleted, and every kind of failure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.ports import (
    Busy,
    GatewayError,
    OutcomeUnknown,
    Refused,
    Rejected,
    Throttled,
)
from microseg.model.azure_facts import RunCommand
from microseg.model.facts import ABSENT
from microseg.model.names import OWNER_TAG, VM_ID_TAG

from .azure_vms import CODE, Azure, add, arm_id, script
from .conftest import (
    assert_no_secrets,
    shorten_timeout,
    until,
)


def test_a_run_command_is_started_followed_and_deleted(azure: Azure, gateway: AzureArmGateway) -> None:
    vm = add(azure, name="web1")
    gateway.start_run_command(arm_id(vm), script())

    def over() -> bool:
        found = gateway.run_command(arm_id(vm), "microseg-abc-1")
        return isinstance(found, RunCommand) and found.terminal

    until(over)
    found = gateway.run_command(arm_id(vm), "microseg-abc-1")
    assert isinstance(found, RunCommand)
    assert found.output.startswith("microseg-result v1")
    assert (found.exit_code, found.execution_state) == (0, "Succeeded")
    listed = gateway.run_commands(arm_id(vm))
    assert [(command.name, command.tags["microseg.dev-owner"]) for command in listed] == [
        ("microseg-abc-1", "plant/estate")
    ]
    gateway.delete_run_command(arm_id(vm), "microseg-abc-1")
    until(lambda: gateway.run_command(arm_id(vm), "microseg-abc-1") == ABSENT)
    gateway.delete_run_command(arm_id(vm), "microseg-abc-1")


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        ({"status": 503}, OutcomeUnknown, None),
        ({"status": 500, "phase": "after"}, OutcomeUnknown, None),
        ({"action": "cut", "phase": "after"}, OutcomeUnknown, None),
        ({"action": "cut", "phase": "before"}, OutcomeUnknown, None),
        ({"action": "hang"}, OutcomeUnknown, None),
        ({"status": 409, "body": {"error": {"code": "Conflict", "message": "in progress"}}}, Busy, None),
        ({"status": 429, "body": {"error": {"code": "OperationNotAllowed"}}}, Throttled, None),
        ({"status": 400, "body": {"error": {"code": "InvalidParameter"}}}, Rejected, "InvalidParameter"),
        (
            {"status": 403, "body": {"error": {"code": "RequestDisallowedByPolicy"}}},
            Rejected,
            "RequestDisallowedByPolicy",
        ),
        ({"status": 403, "body": {"error": {"code": "AuthorizationFailed"}}}, Refused, None),
    ],
)
def test_a_start_is_sent_once_whatever_comes_of_it(
    azure: Azure, gateway: AzureArmGateway, fault: dict[str, object], expected: type[GatewayError], code: str | None
) -> None:
    vm = add(azure, name="web1")
    shorten_timeout(gateway._pipeline._session, fault)
    azure.fault("commands.put", **fault)
    with pytest.raises(expected) as caught:
        gateway.start_run_command(arm_id(vm), script())
    assert_no_secrets(caught.value, azure.stage)
    until(lambda: azure.count("commands.put") > 0)
    assert azure.count("commands.put") == 1
    if code:
        assert isinstance(caught.value, Rejected)
        assert caught.value.code == code


def test_a_vm_that_is_off_rejects_the_start_by_name(azure: Azure, gateway: AzureArmGateway) -> None:
    vm = add(azure, name="web1", power="stopped")
    with pytest.raises(Rejected) as caught:
        gateway.start_run_command(arm_id(vm), script())
    assert caught.value.code == "OperationNotAllowed"
    assert "not running" in caught.value.detail


def test_a_vm_that_is_gone_rejects_the_start(azure: Azure, gateway: AzureArmGateway) -> None:
    vm = add(azure, name="web1")
    azure.act(lambda: azure.world.delete(vm))
    with pytest.raises(Rejected) as caught:
        gateway.start_run_command(arm_id(vm), script())
    assert caught.value.code == "ParentResourceNotFound"


def test_an_echoed_activation_code_is_masked(azure: Azure, gateway: AzureArmGateway) -> None:
    vm = add(azure, name="web1")
    azure.fault("commands.put", status=400, body={"error": {"code": "Bad", "message": f"value {CODE} is bad"}})
    with pytest.raises(Rejected) as caught:
        gateway.start_run_command(arm_id(vm), script())
    assert CODE not in caught.value.detail
    assert CODE not in repr(caught.value)
    assert "****" in caught.value.detail


def test_a_policy_that_demands_a_tag_is_named_and_content_with_the_tag(azure: Azure, gateway: AzureArmGateway) -> None:
    vm = add(azure, name="web1")
    azure.act(lambda: azure.world.traits.change({"demanded_tags": {vm.group: ["CostCentre"]}}))
    with pytest.raises(Rejected) as caught:
        gateway.start_run_command(arm_id(vm), script())
    assert caught.value.code == "RequestDisallowedByPolicy"
    assert caught.value.detail == "Azure Policy 'Require tag CostCentre on resources' (looked at tags[CostCentre])"
    tagged = script()
    gateway.start_run_command(arm_id(vm), replace(tagged, tags={**tagged.tags, "costcentre": "4711"}))
    assert [command.tags["costcentre"] for command in gateway.run_commands(arm_id(vm))] == ["4711"]


def test_a_tag_name_with_a_slash_is_refused_and_ours_have_none(azure: Azure, gateway: AzureArmGateway) -> None:
    vm = add(azure, name="web1")
    with pytest.raises(Rejected) as caught:
        gateway.start_run_command(arm_id(vm), replace(script(), tags={"microseg.dev/owner": "me"}))
    assert caught.value.code == "InvalidTagNameCharacters"
    gateway.start_run_command(arm_id(vm), replace(script(), tags={OWNER_TAG: "me", VM_ID_TAG: "x"}))
