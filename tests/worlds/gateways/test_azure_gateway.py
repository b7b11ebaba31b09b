"""The Azure gateway against the Azure world: whole lists and single VMs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.ports import GatewayError, Reading, Refused, Rejected, Throttled, Unreachable, Wait
from microseg.model.azure_facts import Unsupported, VmDetail, VmListing
from microseg.model.azure_spec import Select
from microseg.model.facts import ABSENT

from .azure_vms import Azure, add, arm_id, script
from .conftest import (
    OTHER_SUBSCRIPTION,
    SHORT,
    SUBSCRIPTION,
    assert_no_secrets,
    azure_gateway,
    list_vms,
    read,
    shorten_timeout,
    tries,
)


def test_every_vm_is_read_with_addresses_power_state_and_tags(azure: Azure, gateway: AzureArmGateway) -> None:
    for number in range(130):
        add(azure, name=f"Web{number}", tags={"App": "shop"}, zone="2")
    add(azure, name="win1", os="windows", nics=[{"addresses": ["10.9.0.1", "fd00::1"]}, {"addresses": ["10.9.0.2"]}])
    listing = list_vms(gateway)
    vms = {vm.record.name: vm for vm in listing.vms}
    assert len(vms) == 131
    assert listing.problems == ()
    assert listing.cost >= 6
    web, win = vms["Web7"], vms["win1"]
    assert web.record.power_state == "running"
    assert [tag.key for tag in web.record.tags] == ["App"]
    assert (web.record.zone, web.record.os_type, web.source) == ("2", "Linux", "main")
    assert web.record.created_at is not None
    assert [address.ip for address in win.record.addresses()] == ["10.9.0.1", "fd00::1", "10.9.0.2"]
    assert {vm.vm_id for vm in vms.values()} == {vm.vm_id for vm in azure.world.all()}
    assert ("azure", "list-vms", "200") in azure.observed.calls


def test_pages_that_are_too_large_together_are_not_read_to_their_end(azure: Azure) -> None:
    for number in range(130):
        add(azure, name=f"Web{number}", tags={"App": "shop"})
    gateway = azure_gateway(azure, limits=replace(SHORT, memory=700_000))
    with pytest.raises(Unreachable, match="a list that would take more than"):
        list_vms(gateway)
    pages = azure.observed.calls.count(("azure", "list-vms", "200"))
    gateway.close()
    assert 1 < pages < 6, "each page alone was small enough, and none was asked again"


def test_all_subscriptions_of_the_source_are_read_and_only_selected_vms_are_marked(azure: Azure) -> None:
    add(azure, name="a", tags={"Env": "prod"})
    add(azure, name="b", subscription=OTHER_SUBSCRIPTION, tags={"env": "test"})
    add(azure, name="c", subscription=OTHER_SUBSCRIPTION, tags={"ENV": "prod", "legacy": "yes"})
    select = Select(tags={"env": "prod"}, not_tags={"Legacy": "*"}, locations=("West Europe",))
    gateway = azure_gateway(azure, subscriptions=(SUBSCRIPTION, OTHER_SUBSCRIPTION), select=select)
    found = [vm for each in (SUBSCRIPTION, OTHER_SUBSCRIPTION) for vm in list_vms(gateway, each).vms]
    assert {vm.record.name: vm.selected for vm in found} == {"a": True, "b": False, "c": False}
    gateway.close()


def test_a_vm_in_a_group_of_any_legal_name_is_listed_asked_for_and_gets_its_script(
    azure: Azure, gateway: AzureArmGateway
) -> None:
    groups = ["(test)", "-", ".hidden", "a..b", "gr\u0308n", "กลุ่ม", "हिन्दी", "a‿b", "x" * 90]
    for number, group in enumerate(groups):
        add(azure, name=f"vm{number}", resourceGroup=group)
    listing = list_vms(gateway)
    shown = sorted(vm.record.resource_group.lower() for vm in listing.vms)
    assert (shown, listing.unreadable_rows) == (sorted(groups), 0)
    for vm in listing.vms:
        detail = gateway.vm(vm.record.resource_id)
        assert isinstance(detail, VmDetail)
        assert detail.vm_id == vm.vm_id
        gateway.start_run_command(vm.record.resource_id, script())
        assert [each.name for each in gateway.run_commands(vm.record.resource_id)] == [script().name]


def test_vms_that_cannot_be_protected_have_the_reason(azure: Azure, gateway: AzureArmGateway) -> None:
    add(azure, name="agentless", provisionVMAgent=False)
    add(azure, name="closed", allowExtensionOperations=False)
    add(azure, name="databricks", managedBy=f"/subscriptions/{SUBSCRIPTION}/resourceGroups/x/providers/y/z/w")
    add(azure, name="flex", scaleSet={"name": "set", "mode": "flexible"})
    add(azure, name="fine")
    found = {vm.record.name: vm.unsupported for vm in list_vms(gateway).vms}
    assert found == {
        "agentless": Unsupported.NO_AGENT,
        "closed": Unsupported.EXTENSIONS_DISALLOWED,
        "databricks": Unsupported.MANAGED_BY_SERVICE,
        "flex": None,
        "fine": None,
    }


def test_one_vm_is_read_with_its_agent_and_a_vanished_one_is_absent(azure: Azure, gateway: AzureArmGateway) -> None:
    vm = add(azure, name="web1")
    assert gateway.vm(arm_id(vm)) == VmDetail(vm.vm_id, "running", agent_ready=True)
    azure.act(lambda: azure.world.delete(vm))
    assert gateway.vm(arm_id(vm)) == ABSENT


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
    azure: Azure, gateway: AzureArmGateway, operation: str, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    for number in range(60):
        add(azure, name=f"web{number}")
    shorten_timeout(gateway._pipeline._session, fault)
    azure.fault(
        operation,
        phase="after" if fault.get("action") == "truncate" else "before",
        nth=2,
        count=tries(expected),
        **fault,
    )
    with pytest.raises(expected) as caught:
        list_vms(gateway)
    assert_no_secrets(caught.value, azure.stage)
    assert len(list_vms(gateway).vms) == 60


@pytest.mark.parametrize(
    "fault",
    [{"status": 503}, {"status": 200, "body": {}}, {"action": "cut"}, {"status": 429, "headers": {"Retry-After": "7"}}],
)
def test_a_page_that_fails_is_asked_again_and_the_list_goes_on_from_it(
    azure: Azure, gateway: AzureArmGateway, fault: dict[str, object]
) -> None:
    for number in range(180):
        add(azure, name=f"web{number}")
    assert len(list_vms(gateway).vms) == 180
    pages = azure.count("vms.list")
    azure.fault("vms.list", nth=pages - 1, **fault)
    waits: list[Wait] = []

    def noted() -> Reading[VmListing]:
        reading = gateway.list_vms(SUBSCRIPTION)
        while True:
            try:
                waits.append(next(reading))
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # what a reading ends with
            yield Wait()

    assert len(read(noted()).vms) == 180
    assert azure.count("vms.list") == 2 * pages + 1
    assert [wait.seconds for wait in waits if wait.throttled] == ([7.0] if "headers" in fault else [])


def test_a_list_that_leads_back_to_itself_is_an_error(azure: Azure, gateway: AzureArmGateway) -> None:
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
    link = f"{azure.url}{path}?api-version=2024-07-01&x=1"
    azure.fault("vms.list", count=9, status=200, body={"value": [], "nextLink": link})
    with pytest.raises(Unreachable, match="leads back"):
        list_vms(gateway)


def test_a_long_pause_that_azure_asks_for_is_capped(azure: Azure, gateway: AzureArmGateway) -> None:
    azure.fault("vms.list", status=429, headers={"Retry-After": "1200"})
    with pytest.raises(Throttled) as caught:
        list_vms(gateway)
    assert caught.value.retry_after == 900


def test_a_subscription_that_is_unknown_is_refused_and_not_empty(azure: Azure) -> None:
    gateway = azure_gateway(azure, subscriptions=("55555555-5555-5555-5555-555555555555",))
    with pytest.raises(Refused, match="SubscriptionNotFound"):
        list_vms(gateway, "55555555-5555-5555-5555-555555555555")
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
def test_an_id_that_is_not_a_vm_of_the_source_is_never_sent(
    azure: Azure, gateway: AzureArmGateway, resource_id: str
) -> None:
    with pytest.raises(Rejected):
        gateway.vm(resource_id)
    with pytest.raises(Rejected):
        gateway.start_run_command(resource_id, script())
    assert azure.stage.ledger.entries("azure") == []
