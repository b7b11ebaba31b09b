"""Lists that lag, NICs that attach late, groups that may not be read, deletions: read by Azure's own SDKs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient

from .conftest import SUBSCRIPTION, Azure

GROUP = "microseg-rg"


@pytest.fixture
def compute(azure: Azure) -> Iterator[ComputeManagementClient]:
    with azure.compute() as client:
        yield client


@pytest.fixture
def network(azure: Azure) -> Iterator[NetworkManagementClient]:
    with networks(azure) as client:
        yield client


def networks(azure: Azure, subscription: str = SUBSCRIPTION) -> NetworkManagementClient:
    return NetworkManagementClient(
        azure.credential(),
        subscription,
        base_url=azure.url,
        credential_scopes=["https://management.azure.com/.default"],
        connection_verify=azure.ca,
        retry_total=0,
    )


def switch(azure: Azure, **traits: object) -> None:
    answer = requests.post(f"{azure.control}/azure/traits", json=traits, timeout=5)
    assert answer.status_code == 200, answer.text


def names(compute: ComputeManagementClient) -> list[str]:
    return [str(vm.name) for vm in compute.virtual_machines.list_all()]


def test_the_network_sdk_lists_every_nic_with_its_addresses_over_several_pages(
    azure: Azure, network: NetworkManagementClient
) -> None:
    order = {"name": "two", "nics": [{"addresses": ["10.9.0.4", "fd00::4"]}, {"addresses": ["10.9.1.4"]}]}
    azure.add(order, *({"name": f"vm{number}"} for number in range(120)))
    found = {nic.name: nic for nic in network.network_interfaces.list_all()}
    assert len(found) == 122
    assert azure.environment.ledger.counts()["azure"]["nics.list"] > 2
    first, second = found["two-nic0"], found["two-nic1"]
    assert first.ip_configurations is not None
    assert second.ip_configurations is not None
    addresses = [(ip.private_ip_address, ip.private_ip_address_version, ip.primary) for ip in first.ip_configurations]
    assert addresses == [("10.9.0.4", "IPv4", True), ("fd00::4", "IPv6", False)]
    assert [ip.private_ip_address for ip in second.ip_configurations] == ["10.9.1.4"]
    assert (first.primary, second.primary) == (True, False)
    assert first.virtual_machine is not None
    assert str(first.virtual_machine.id).lower().endswith("/virtualmachines/two")


def test_the_network_sdk_is_refused_with_arms_codes(azure: Azure, network: NetworkManagementClient) -> None:
    with pytest.raises(HttpResponseError) as caught:
        list(network.network_interfaces.list_all(api_version="2015-06-15"))
    assert caught.value.error is not None
    assert (caught.value.status_code, caught.value.error.code) == (400, "NoRegisteredProviderFound")
    with (
        networks(azure, "99999999-9999-9999-9999-999999999999") as stranger,
        pytest.raises(ResourceNotFoundError) as missing,
    ):
        list(stranger.network_interfaces.list_all())
    assert missing.value.error is not None
    assert missing.value.error.code == "SubscriptionNotFound"


def test_the_nic_of_a_new_vm_names_it_only_after_a_while(azure: Azure, network: NetworkManagementClient) -> None:
    switch(azure, nic_lag=1e6)
    azure.add({"name": "new"})
    (nic,) = network.network_interfaces.list_all()
    assert nic.virtual_machine is None
    switch(azure, nic_lag=10.0)
    azure.add({"name": "newer"})
    azure.wait(lambda: bool(azure.environment.ledger.entries("azure", "world.nic-attached")))
    found = {nic.name: nic.virtual_machine is not None for nic in network.network_interfaces.list_all()}
    assert found == {"new-nic0": False, "newer-nic0": True}


def test_lists_lag_behind_what_a_get_knows(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add({"name": "old", "tags": {"app": "sap"}}, {"name": "gone"})
    switch(azure, list_lag=1e6)
    azure.add({"name": "new"})
    azure.background.call(lambda: azure.world.delete(azure.world.named("gone")))
    azure.background.call(lambda: azure.world.retag(azure.world.named("old"), {"app": "shop"}))
    listed = {vm.name: vm.tags for vm in compute.virtual_machines.list_all()}
    assert listed == {"old": {"app": "sap"}, "gone": None}
    assert compute.virtual_machines.get(GROUP, "new").name == "new"
    assert compute.virtual_machines.get(GROUP, "old").tags == {"app": "shop"}
    with pytest.raises(ResourceNotFoundError):
        compute.virtual_machines.get(GROUP, "gone")


def test_lists_catch_up_with_what_a_get_knows(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add({"name": "old", "tags": {"app": "sap"}}, {"name": "gone"})
    switch(azure, list_lag=20.0)
    azure.background.call(lambda: azure.world.delete(azure.world.named("gone")))
    azure.background.call(lambda: azure.world.retag(azure.world.named("old"), {"app": "shop"}))
    azure.add({"name": "new"})
    fleet = azure.world.fleet(SUBSCRIPTION)
    azure.wait(lambda: [vm.name for vm in fleet.vms] == ["old", "new"])
    assert {vm.name: vm.tags for vm in compute.virtual_machines.list_all()} == {"old": {"app": "shop"}, "new": None}


def test_a_group_that_may_not_be_read_is_missing_without_a_word(
    azure: Azure, compute: ComputeManagementClient, network: NetworkManagementClient
) -> None:
    azure.add({"name": "mine"}, {"name": "secret", "resourceGroup": "Vault-rg"})
    switch(azure, denied=["vault-RG"])
    assert names(compute) == ["mine"]
    assert [nic.name for nic in network.network_interfaces.list_all()] == ["mine-nic0"]
    with pytest.raises(HttpResponseError) as caught:
        compute.virtual_machines.get("Vault-rg", "secret")
    assert caught.value.error is not None
    assert (caught.value.status_code, caught.value.error.code) == (403, "AuthorizationFailed")
    switch(azure, denied=[])
    assert names(compute) == ["mine", "secret"]


def test_a_vm_is_there_as_deleting_before_it_is_gone(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add({"name": "vm0"}, {"name": "vm1"})
    requests.post(f"{azure.control}/azure/vms/vm1/delete", json={}, timeout=5)
    azure.wait(lambda: bool(azure.environment.ledger.entries("azure", "world.vm-deleted")))
    assert names(compute) == ["vm0"]
    requests.post(f"{azure.control}/azure/traits", json={"deleting": 1_000_000}, timeout=5)
    requests.post(f"{azure.control}/azure/vms/vm0/delete", json={}, timeout=5)
    assert compute.virtual_machines.get(GROUP, "vm0").provisioning_state == "Deleting"
    assert names(compute) == ["vm0"]


def test_latencies_are_configured_and_divided_by_the_clocks_scale(azure: Azure) -> None:
    timing = requests.get(f"{azure.control}/azure/timing", timeout=5).json()
    assert (timing["pickup"], timing["agent_patience"]) == (20.0, 1500.0)
    requests.post(f"{azure.control}/azure/timing", json={"stop": 3000.0}, timeout=5)
    azure.add({"name": "vm0"})
    requests.post(f"{azure.control}/azure/vms/vm0/stop", json={}, timeout=5)
    assert azure.world.named("vm0").power == "deallocating"
    wrong = requests.post(f"{azure.control}/azure/timing", json={"stop": "long"}, timeout=5)
    assert (wrong.status_code, "there are pickup" in wrong.json()["error"]) == (400, True)


def test_a_nic_that_may_not_be_read_is_missing_from_the_list_while_its_vm_names_it(
    azure: Azure, compute: ComputeManagementClient, network: NetworkManagementClient
) -> None:
    azure.add({"name": "two", "nics": [{"name": "near"}, {"name": "far", "resourceGroup": "net-rg"}]}, {"name": "one"})
    for denied, listed in ((["net-rg"], {"near", "one-nic0"}), (["NEAR"], {"far", "one-nic0"}), ([], None)):
        switch(azure, denied=denied)
        shown = {nic.name for nic in network.network_interfaces.list_all()}
        assert shown == (listed or {"near", "far", "one-nic0"})
        vm = next(vm for vm in compute.virtual_machines.list_all() if vm.name == "two")
        assert vm.network_profile is not None
        named = [str(nic.id).rpartition("/")[2] for nic in vm.network_profile.network_interfaces or ()]
        assert named == ["near", "far"]


def test_a_row_of_the_vm_list_can_lack_its_vm_id(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add({"name": "vm0"}, {"name": "vm1"})
    switch(azure, unidentified=["VM1"])
    assert [bool(vm.vm_id) for vm in compute.virtual_machines.list_all()] == [True, False]
    assert compute.virtual_machines.get(GROUP, "vm1").vm_id
    switch(azure, unidentified=[])
    assert all(vm.vm_id for vm in compute.virtual_machines.list_all())


@pytest.mark.parametrize("traits", [{"lag": 1}, {"list_lag": -1}, {"denied": "vault-rg"}, {"unidentified": 1}])
def test_a_trait_that_does_not_exist_or_fit_is_refused(azure: Azure, traits: dict[str, object]) -> None:
    answer = requests.post(f"{azure.control}/azure/traits", json=traits, timeout=5)
    assert answer.status_code == 400
    assert "there are list_lag" in answer.json()["error"]
