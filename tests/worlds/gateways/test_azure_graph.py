"""The Azure gateway against the Azure world: glimpses of Resource Graph, and one VM as the lists would show it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.processes import wait_until
from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.ports import GatewayError, Refused, Rejected, Throttled, Unreachable, Wait
from microseg.model.azure_facts import Vm
from microseg.model.azure_glimpse import Glimpse
from microseg.model.azure_spec import Select
from microseg.model.facts import ABSENT

from .azure_vms import Azure, add, arm_id
from .conftest import OTHER_SUBSCRIPTION, SUBSCRIPTION, azure_gateway, list_vms, read, tries

GRAPH = ("azure", "resource-graph", "200")


def glimpses(gateway: AzureArmGateway) -> dict[str, Glimpse]:
    return {seen.vm_id: seen for each in read(gateway.sightings()) if (seen := each.glimpse()) is not None}


def marks(gateway: AzureArmGateway) -> dict[str, bytes]:
    return {each.vm_id: each.mark for each in read(gateway.sightings())}


def read_vm(gateway: AzureArmGateway, resource_id: str) -> Vm:
    vm = read(gateway.read_vm(resource_id))
    assert isinstance(vm, Vm)
    return vm


def test_a_fleet_at_rest_contradicts_nothing_that_the_lists_show(azure: Azure, gateway: AzureArmGateway) -> None:
    add(azure, name="web", tags={"App": "shop", "env": "prd"}, zone="2", location="West Europe", size="Standard_D4s_v5")
    add(azure, name="win", os="windows", nics=[{"addresses": ["10.9.0.1", "fd00::1"]}, {"addresses": ["10.9.0.2"]}])
    add(azure, name="off", power="deallocated", resourceGroup="Mixed-Case")
    add(azure, name="bare", specialised=True)
    add(azure, name="flex", scaleSet={"name": "set", "mode": "flexible"})
    add(azure, name="uniform", scaleSet={"name": "uni", "mode": "uniform"})
    seen = glimpses(gateway)
    vms = list_vms(gateway).vms
    assert seen.keys() == {vm.vm_id for vm in vms}
    assert [vm.record.name for vm in vms if seen[vm.vm_id].contradicts(vm)] == []


def test_every_change_that_the_operator_would_see_contradicts(azure: Azure, gateway: AzureArmGateway) -> None:
    names = ("retagged", "readdressed", "attached", "resized", "renamed", "stopped", "moved")
    made = {name: add(azure, name=name, tags={"app": "x"}) for name in names}
    before, unchanged = {vm.vm_id: vm for vm in list_vms(gateway).vms}, marks(gateway)
    world = azure.world
    azure.act(lambda: world.retag(made["retagged"], {"app": "y"}))
    azure.act(lambda: world.readdress(made["readdressed"], ["10.7.7.7"]))
    azure.act(lambda: world.attach(made["attached"], ["10.7.7.8"]))
    azure.act(lambda: world.resize(made["resized"], "Standard_E2s_v5"))
    azure.act(lambda: world.rename(made["renamed"], "another"))
    azure.act(lambda: world.stop(made["stopped"]))
    wait_until(lambda: made["stopped"].power == "deallocated", seconds=30, what="the VM has stopped")
    azure.act(lambda: world.move(made["moved"], "elsewhere"))
    seen, marked = glimpses(gateway), marks(gateway)
    assert {name for name, vm in made.items() if seen[vm.vm_id].contradicts(before[vm.vm_id])} == set(names)
    assert {name for name, vm in made.items() if marked[vm.vm_id] != unchanged[vm.vm_id]} == set(names)
    assert marked == marks(gateway), "what stays is not read again"
    assert marked.items() & marks(azure_gateway(azure, select=Select(tags={"app": "x"}))).items() == set()


def test_all_subscriptions_are_asked_at_once_and_only_what_select_covers_is_marked(azure: Azure) -> None:
    here = add(azure, name="here", tags={"env": "prod"})
    there = add(azure, name="there", subscription=OTHER_SUBSCRIPTION)
    select = Select(tags={"env": "prod"})
    both = azure_gateway(azure, subscriptions=(SUBSCRIPTION, OTHER_SUBSCRIPTION), select=select)
    seen = glimpses(both)
    assert {vm_id: each.unselected_by for vm_id, each in seen.items()} == {here.vm_id: "", there.vm_id: "tags"}
    assert azure.observed.calls.count(GRAPH) == 2, "one query for VMs and one for NICs"
    one = azure_gateway(azure)
    assert glimpses(one).keys() == {here.vm_id}, "what another source reads is none of its business"
    both.close()
    one.close()


def test_a_thousand_rows_are_a_page(azure: Azure, gateway: AzureArmGateway) -> None:
    azure.act(lambda: [azure.world.add({"name": f"vm{number}"}) for number in range(1001)])
    assert len(glimpses(gateway)) == 1001
    assert azure.observed.calls.count(GRAPH) == 4


def test_a_nic_that_may_not_be_read_is_not_known_and_contradicts_nothing(
    azure: Azure, gateway: AzureArmGateway
) -> None:
    add(azure, name="web", nics=[{"addresses": ["10.1.0.9"], "resourceGroup": "net"}])
    (vm,) = list_vms(gateway).vms
    azure.act(lambda: azure.world.traits.change({"denied": ["net"]}))
    (seen,) = glimpses(gateway).values()
    assert seen.nics == {nic.id.lower(): None for nic in vm.record.nics}
    assert not seen.contradicts(vm)


TWO_PAGES = {"totalRecords": 2, "count": 1, "data": [{"id": "a"}], "resultTruncated": "false"}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 503}, Unreachable),
        ({"status": 404, "body": {"error": {"code": "InvalidResourceType", "message": "no"}}}, Rejected),
        ({"status": 403, "body": {"error": {"code": "AccessDenied", "message": "no"}}}, Refused),
        ({"status": 429, "headers": {"Retry-After": "17"}}, Throttled),
        ({"action": "html", "status": 200}, Unreachable),
        ({"status": 200, "body": {"value": []}}, Unreachable),
        ({"status": 200, "body": TWO_PAGES}, Unreachable),
        ({"status": 200, "body": TWO_PAGES | {"resultTruncated": "true"}}, Unreachable),
        ({"status": 200, "body": {"totalRecords": 0, "count": 0, "data": []}}, Unreachable),
        (
            {"status": 200, "body": TWO_PAGES, "headers": {"x-ms-tenant-subscription-limit-hit": "true"}},
            Unreachable,
        ),
    ],
)
def test_a_part_of_an_answer_is_an_error_and_never_a_change(
    azure: Azure, gateway: AzureArmGateway, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    add(azure, name="web")
    azure.fault("graph.query", count=tries(expected), **fault)
    with pytest.raises(expected):
        glimpses(gateway)


def test_an_exhausted_quota_is_waited_for_before_the_next_page(azure: Azure, gateway: AzureArmGateway) -> None:
    add(azure, name="web")
    spent = {"x-ms-user-quota-remaining": "0", "x-ms-user-quota-resets-after": "00:00:03"}
    body = {"totalRecords": 2, "count": 1, "data": [{"id": "a"}], "resultTruncated": "false", "$skipToken": "t"}
    azure.fault("graph.query", status=200, headers=spent, body=body)
    reading = gateway.sightings()
    assert next(reading) == Wait()
    assert next(reading) == Wait(3.0, throttled=True)


def test_one_vm_read_by_itself_is_as_the_lists_show_it(azure: Azure, gateway: AzureArmGateway) -> None:
    order = {"name": "web", "nics": [{"addresses": ["10.9.0.1"]}, {"addresses": ["10.9.0.2"]}], "tags": {"a": "b"}}
    vm = add(azure, **order)
    (listed,) = list_vms(gateway).vms
    alone = read_vm(gateway, arm_id(vm))
    assert alone.record.agent_ready is True, "the lists do not tell"
    assert replace(alone, record=listed.record) == listed
    differing = {
        name for name in alone.record.__struct_fields__ if getattr(alone.record, name) != getattr(listed.record, name)
    }
    assert differing <= {"agent_ready"}
    assert azure.observed.calls.count(("azure", "read-vm", "200")) == 3


def test_a_vm_that_is_gone_is_absent_and_a_nic_that_cannot_be_read_is_not_known(
    azure: Azure, gateway: AzureArmGateway
) -> None:
    vm = add(azure, name="web", nics=[{"addresses": ["10.1.0.9"], "resourceGroup": "net"}])
    azure.act(lambda: azure.world.traits.change({"denied": ["net"]}))
    assert read_vm(gateway, arm_id(vm)).record.unreadable_nics() == ("web-nic0",)
    azure.act(lambda: azure.world.delete(vm))
    assert read(gateway.read_vm(arm_id(vm))) == ABSENT


def test_a_vm_of_another_subscription_is_never_asked_for(azure: Azure, gateway: AzureArmGateway) -> None:
    vm = add(azure, name="there", subscription=OTHER_SUBSCRIPTION)
    with pytest.raises(Rejected, match="not sent"):
        read(gateway.read_vm(arm_id(vm)))
    assert azure.count("vms.get") == 0
