"""The Azure gateway against the Azure world: whole lists, run-commands, and every family of error."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from microseg.gateways.azure import AzureArm
from microseg.gateways.ports import (
    Busy,
    GatewayError,
    OutcomeUnknown,
    Refused,
    Rejected,
    Script,
    Throttled,
    Unreachable,
)
from microseg.model.estate import Select
from microseg.model.facts import ABSENT, RunCommand, Unsupported, VmDetail
from microseg.model.secret import Secret
from simulators.azure.machine import Vm
from simulators.azure.world import World

from .conftest import OTHER_SUBSCRIPTION, SUBSCRIPTION, Running, arm, assert_silent, impatient

Azure = Running[World]
CODE = "activation-code-c0ffee"


def add(azure: Azure, **order: object) -> Vm:
    made: list[Vm] = []
    azure.act(lambda: made.append(azure.world.add({"os": "linux", **order})))
    return made[0]


def vm_id(vm: Vm) -> str:
    scope = f"/subscriptions/{vm.subscription}/resourceGroups/{vm.group}"
    return f"{scope}/providers/Microsoft.Compute/virtualMachines/{vm.name}"


def script(name: str = "microseg-abc-1", text: str = "echo hello", **more: object) -> Script:
    values: dict[str, object] = {
        "name": name,
        "location": "westeurope",
        "windows": False,
        "text": text,
        "parameters": {"MICROSEG_MODE": "install"},
        "protected": {"MICROSEG_ACTIVATION_CODE": Secret(CODE)},
        "timeout": 600,
        "tags": {"microseg.dev/owner": "plant/estate"},
    }
    return Script(**(values | more))  # type: ignore[arg-type]


def until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline, "waited in vain"


def test_every_vm_is_read_with_addresses_power_state_and_tags(azure: Azure, gateway: AzureArm) -> None:
    for number in range(130):
        add(azure, name=f"Web{number}", tags={"App": "shop"}, zone="2")
    add(azure, name="win1", os="windows", nics=[{"addresses": ["10.9.0.1", "fd00::1"]}, {"addresses": ["10.9.0.2"]}])
    vms = {vm.record.name: vm for vm in gateway.list_vms()}
    assert len(vms) == 131
    assert gateway.problems() == ()
    assert gateway.list_cost() >= 6
    web, win = vms["Web7"], vms["win1"]
    assert web.record.power_state == "running"
    assert [tag.key for tag in web.record.tags] == ["App"]
    assert (web.record.zone, web.record.os_type, web.source) == ("2", "Linux", "main")
    assert web.record.created_at is not None
    assert [address.ip for address in win.record.addresses()] == ["10.9.0.1", "fd00::1", "10.9.0.2"]
    assert {vm.vm_id for vm in vms.values()} == {vm.vm_id for vm in azure.world.all()}
    assert ("azure", "list-vms", "ok") in azure.seen.calls


def test_all_subscriptions_of_the_source_are_read_and_only_selected_vms_are_marked(azure: Azure) -> None:
    add(azure, name="a", tags={"Env": "prod"})
    add(azure, name="b", subscription=OTHER_SUBSCRIPTION, tags={"env": "test"})
    add(azure, name="c", subscription=OTHER_SUBSCRIPTION, tags={"ENV": "prod", "legacy": "yes"})
    select = Select(tags={"env": "prod"}, not_tags={"Legacy": "*"}, locations=("West Europe",))
    gateway = arm(azure, subscriptions=(SUBSCRIPTION, OTHER_SUBSCRIPTION), select=select)
    assert {vm.record.name: vm.selected for vm in gateway.list_vms()} == {"a": True, "b": False, "c": False}
    gateway.close()


def test_vms_that_cannot_be_protected_say_why(azure: Azure, gateway: AzureArm) -> None:
    add(azure, name="agentless", provisionVMAgent=False)
    add(azure, name="closed", allowExtensionOperations=False)
    add(azure, name="databricks", managedBy=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/x/providers/y/z/w")
    add(azure, name="flex", scaleSet={"name": "set", "mode": "flexible"})
    add(azure, name="fine")
    found = {vm.record.name: vm.unsupported for vm in gateway.list_vms()}
    assert found == {
        "agentless": Unsupported.NO_AGENT,
        "closed": Unsupported.EXTENSIONS_DISALLOWED,
        "databricks": Unsupported.MANAGED_BY_SERVICE,
        "flex": None,
        "fine": None,
    }


def test_one_vm_is_read_with_its_agent_and_a_vanished_one_is_absent(azure: Azure, gateway: AzureArm) -> None:
    vm = add(azure, name="web1")
    assert gateway.vm(vm_id(vm)) == VmDetail(vm.vm_id, "running", agent_ready=True)
    azure.act(lambda: azure.world.delete(vm))
    assert gateway.vm(vm_id(vm)) == ABSENT


def test_a_run_command_is_started_followed_and_deleted(azure: Azure, gateway: AzureArm) -> None:
    vm = add(azure, name="web1")
    gateway.start_run_command(vm_id(vm), script())

    def over() -> bool:
        found = gateway.run_command(vm_id(vm), "microseg-abc-1")
        return isinstance(found, RunCommand) and found.terminal

    until(over)
    found = gateway.run_command(vm_id(vm), "microseg-abc-1")
    assert isinstance(found, RunCommand)
    assert found.output.startswith("microseg-result v1")
    assert (found.exit_code, found.execution_state) == (0, "Succeeded")
    listed = gateway.run_commands(vm_id(vm))
    assert [(command.name, command.tags["microseg.dev/owner"]) for command in listed] == [
        ("microseg-abc-1", "plant/estate")
    ]
    gateway.delete_run_command(vm_id(vm), "microseg-abc-1")
    until(lambda: gateway.run_command(vm_id(vm), "microseg-abc-1") == ABSENT)
    gateway.delete_run_command(vm_id(vm), "microseg-abc-1")


@pytest.mark.parametrize("operation", ["vms.list", "vms.list-status", "nics.list"])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 503}, Unreachable),
        ({"action": "html", "status": 200}, Unreachable),
        ({"action": "truncate"}, Unreachable),
        ({"action": "cut"}, Unreachable),
        ({"action": "hang"}, Unreachable),
        ({"status": 200, "body": {}}, Unreachable),
        ({"status": 200, "body": {"value": None}}, Unreachable),
        ({"status": 200, "body": {"value": [], "nextLink": "https://evil.example/x"}}, Unreachable),
        ({"status": 429, "headers": {"Retry-After": "17"}}, Throttled),
        ({"status": 403, "body": {"error": {"code": "AuthorizationFailed", "message": "no"}}}, Refused),
        ({"status": 302, "headers": {"Location": "https://evil.example/"}}, Unreachable),
    ],
)
def test_a_broken_list_is_an_error_and_never_a_short_list(
    azure: Azure, gateway: AzureArm, operation: str, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    for number in range(60):
        add(azure, name=f"web{number}")
    impatient(gateway._pipeline._session, fault)
    azure.fault(operation, phase="after" if fault.get("action") == "truncate" else "before", nth=2, **fault)
    with pytest.raises(expected) as caught:
        gateway.list_vms()
    assert_silent(caught.value, azure.stage)
    assert len(gateway.list_vms()) == 60


def test_a_list_that_leads_back_to_itself_is_an_error(azure: Azure, gateway: AzureArm) -> None:
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
    link = f"{azure.url}{path}?api-version=2024-07-01&x=1"
    azure.fault("vms.list", count=9, status=200, body={"value": [], "nextLink": link})
    with pytest.raises(Unreachable, match="leads back"):
        gateway.list_vms()


def test_a_pause_that_azure_asks_for_is_told(azure: Azure, gateway: AzureArm) -> None:
    azure.fault("vms.list", status=429, headers={"Retry-After": "1200"})
    with pytest.raises(Throttled) as caught:
        gateway.list_vms()
    assert caught.value.retry_after == 900


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
    azure: Azure, gateway: AzureArm, fault: dict[str, object], expected: type[GatewayError], code: str | None
) -> None:
    vm = add(azure, name="web1")
    impatient(gateway._pipeline._session, fault)
    azure.fault("commands.put", **fault)
    with pytest.raises(expected) as caught:
        gateway.start_run_command(vm_id(vm), script())
    assert_silent(caught.value, azure.stage)
    until(lambda: azure.count("commands.put") > 0)
    assert azure.count("commands.put") == 1
    if code:
        assert isinstance(caught.value, Rejected)
        assert caught.value.code == code


def test_a_vm_that_is_off_rejects_the_start_by_name(azure: Azure, gateway: AzureArm) -> None:
    vm = add(azure, name="web1", power="stopped")
    with pytest.raises(Rejected) as caught:
        gateway.start_run_command(vm_id(vm), script())
    assert caught.value.code == "OperationNotAllowed"
    assert "not running" in caught.value.detail


def test_a_vm_that_is_gone_rejects_the_start(azure: Azure, gateway: AzureArm) -> None:
    vm = add(azure, name="web1")
    azure.act(lambda: azure.world.delete(vm))
    with pytest.raises(Rejected) as caught:
        gateway.start_run_command(vm_id(vm), script())
    assert caught.value.code == "ParentResourceNotFound"


def test_a_revoked_token_is_replaced_once_and_nobody_notices(azure: Azure, gateway: AzureArm) -> None:
    vm = add(azure, name="web1")
    gateway.vm(vm_id(vm))
    azure.act(azure.world.directory.revoke)
    gateway.start_run_command(vm_id(vm), script())
    assert len(gateway.run_commands(vm_id(vm))) == 1
    assert azure.count("token") == 2


def test_a_token_that_is_never_taken_is_refused_after_one_more_try(azure: Azure, gateway: AzureArm) -> None:
    body = {"error": {"code": "InvalidAuthenticationToken", "message": "no"}}
    azure.fault("vms.list", count=9, status=401, body=body)
    with pytest.raises(Refused):
        gateway.list_vms()
    assert azure.count("vms.list") == 2


def test_a_wrong_client_secret_is_refused_and_stays_out_of_the_error(azure: Azure) -> None:
    gateway = arm(azure, secret="wrong-secret-123")
    with pytest.raises(Refused) as caught:
        gateway.list_vms()
    assert "wrong-secret-123" not in repr(caught.value)
    gateway.close()


def test_a_sign_in_service_that_is_down_is_unreachable_even_for_an_effect(azure: Azure, gateway: AzureArm) -> None:
    vm = add(azure, name="web1")
    azure.fault("openid-configuration", count=99, action="html", status=503)
    azure.fault("token", count=99, action="html", status=503)
    with pytest.raises(Unreachable):
        gateway.start_run_command(vm_id(vm), script())
    assert azure.count("commands.put") == 0


def test_an_answer_that_the_sign_in_library_stumbles_over_harms_no_later_attempt(
    azure: Azure, gateway: AzureArm
) -> None:
    azure.fault("token", count=2, action="status", status=429, body={"error": {"code": "Busy"}})
    with pytest.raises((Refused, Unreachable)):
        gateway.list_vms()
    for _ in range(2):
        with contextlib.suppress(Unreachable):
            gateway.list_vms()
    assert gateway.list_vms() == ()


def test_a_subscription_that_is_unknown_is_refused_and_not_empty(azure: Azure) -> None:
    gateway = arm(azure, subscriptions=("55555555-5555-5555-5555-555555555555",))
    with pytest.raises(Refused, match="SubscriptionNotFound"):
        gateway.list_vms()
    gateway.close()


def test_a_server_that_the_ca_does_not_vouch_for_gets_nothing(azure: Azure, folder: Path) -> None:
    gateway = arm(azure, ca=folder / "stranger" / "ca.pem")
    with pytest.raises(Unreachable):
        gateway.list_vms()
    assert azure.stage.ledger.entries("azure") == []
    gateway.close()


@pytest.mark.parametrize(
    "resource_id",
    [
        "",
        "/subscriptions/x",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/../providers/Microsoft.Compute/virtualMachines/a",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/a?x=1",
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/a/extensions/b",
        f"/subscriptions/{OTHER_SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/a",
    ],
)
def test_an_id_that_is_not_a_vm_of_the_source_is_never_sent(azure: Azure, gateway: AzureArm, resource_id: str) -> None:
    with pytest.raises(Rejected):
        gateway.vm(resource_id)
    with pytest.raises(Rejected):
        gateway.start_run_command(resource_id, script())
    assert azure.stage.ledger.entries("azure") == []


def test_an_echoed_activation_code_is_masked(azure: Azure, gateway: AzureArm) -> None:
    vm = add(azure, name="web1")
    azure.fault("commands.put", status=400, body={"error": {"code": "Bad", "message": f"value {CODE} is bad"}})
    with pytest.raises(Rejected) as caught:
        gateway.start_run_command(vm_id(vm), script())
    assert CODE not in caught.value.detail
    assert CODE not in repr(caught.value)
    assert "****" in caught.value.detail
