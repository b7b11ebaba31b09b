"""Lists and VMs of the Azure simulator, read by Azure's own SDK."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import requests
from azure.core.exceptions import ResourceNotFoundError

from .conftest import SUBSCRIPTION, Azure

VMS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
NICS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/networkInterfaces"
VERSION = "api-version=2024-07-01"


def pages(azure: Azure, url: str) -> list[dict[str, Any]]:
    """All pages of a list."""
    found, link = [], f"{azure.url}{url}"
    with azure.session() as session:
        while link:
            answer = session.get(link, timeout=5)
            assert answer.status_code == 200
            found.append(answer.json())
            link = found[-1].get("nextLink", "")
    return found


def test_the_sdk_lists_every_vm_once_over_several_pages(azure: Azure) -> None:
    azure.add(*({"name": f"vm{number}", "os": "linux"} for number in range(230)))
    with azure.compute() as compute:
        names = [vm.name for vm in compute.virtual_machines.list_all()]
    assert sorted(map(str, names)) == sorted(f"vm{number}" for number in range(230))
    assert azure.environment.ledger.counts()["azure"]["vms.list"] > 4


def test_pages_differ_in_size_one_is_empty_and_links_are_absolute(azure: Azure) -> None:
    azure.add(*({"name": f"vm{number}"} for number in range(230)))
    found = pages(azure, f"{VMS}?{VERSION}")
    sizes = [len(page["value"]) for page in found]
    assert sum(sizes) == 230
    assert 0 in sizes[:-1]
    assert len(set(sizes)) > 2
    assert all(page["nextLink"].startswith(azure.url) for page in found[:-1])
    assert "nextLink" not in found[-1]


def test_a_vm_deleted_between_two_pages_hides_no_other(azure: Azure) -> None:
    vms = azure.add(*({"name": f"vm{number}"} for number in range(80)))
    with azure.session() as session:
        first = session.get(f"{azure.url}{VMS}?{VERSION}", timeout=5).json()
        azure.background.call(lambda: azure.world.delete(vms[0]))
        second = session.get(first["nextLink"], timeout=5).json()
    names = [vm["name"] for page in (first, second) for vm in page["value"]]
    assert names == [f"vm{number}" for number in range(80)]


def test_a_vm_that_moves_to_another_subscription_keeps_its_vm_id_and_is_listed_there_only(azure: Azure) -> None:
    other = "44444444-4444-4444-4444-444444444444"
    (vm,) = azure.add({"name": "vm0"})
    azure.background.call(lambda: azure.world.move(vm, "theirs", other))
    with azure.compute() as ours, azure.compute(other) as theirs:
        assert list(ours.virtual_machines.list_all()) == []
        (found,) = theirs.virtual_machines.list_all()
        assert found.vm_id == vm.vm_id
        assert theirs.virtual_machines.get("theirs", "vm0").vm_id == vm.vm_id
        with pytest.raises(ResourceNotFoundError):
            ours.virtual_machines.get("microseg-rg", "vm0")


def test_each_subscription_lists_its_own(azure: Azure) -> None:
    other = "44444444-4444-4444-4444-444444444444"
    azure.add({"name": "here"}, {"name": "there", "subscription": other})
    with azure.compute() as here, azure.compute(other) as there:
        assert [vm.name for vm in here.virtual_machines.list_all()] == ["here"]
        assert [vm.name for vm in there.virtual_machines.list_all()] == ["there"]


def test_the_sdk_reads_a_vm_with_all_its_facts(azure: Azure) -> None:
    order = {
        "name": "Host24",
        "os": "windows",
        "resourceGroup": "Orchestrate-rg",
        "size": "Standard_D4s_v5",
        "dataDisks": [{"sizeGb": 256}],
        "tags": {"app": "service orchestrate", "rol": "web"},
        "zone": "1",
        "nics": [{"addresses": ["10.1.0.4", "fd00::4"]}, {"addresses": ["10.2.0.4"]}],
    }
    (vm,) = azure.add(order)
    with azure.compute() as compute:
        read = compute.virtual_machines.get("orchestrate-RG", "host24", expand="instanceView")
    assert read.vm_id == vm.vm_id
    assert read.id is not None
    assert "/resourceGroups/ORCHESTRATE-RG/" in read.id
    assert read.tags == {"app": "service orchestrate", "rol": "web"}
    assert read.hardware_profile.vm_size == "Standard_D4s_v5"
    assert read.storage_profile.os_disk.os_type == "Windows"
    assert [disk.disk_size_gb for disk in read.storage_profile.data_disks] == [256]
    assert read.os_profile.windows_configuration.provision_vm_agent
    assert [nic.primary for nic in read.network_profile.network_interfaces] == [True, False]
    assert abs(read.time_created.timestamp() - vm.created_at) < 0.001
    assert [status.code for status in read.instance_view.statuses] == [
        "ProvisioningState/succeeded",
        "PowerState/running",
    ]
    assert read.instance_view.vm_agent.statuses[0].display_status == "Ready"


def test_an_attached_disk_has_no_profile_and_no_image(azure: Azure) -> None:
    azure.add({"name": "lift", "os": "linux", "specialised": True})
    with azure.compute() as compute:
        read = compute.virtual_machines.get("microseg-rg", "lift")
    assert read.os_profile is None
    assert read.storage_profile.image_reference is None
    assert read.storage_profile.os_disk.os_type == "Linux"


def test_a_list_of_statuses_has_power_states_and_no_tags(azure: Azure) -> None:
    azure.add({"name": "on", "tags": {"a": "b"}}, {"name": "off", "power": "deallocated"})
    with azure.compute() as compute:
        found = {vm.name: vm for vm in compute.virtual_machines.list_all(status_only="true")}
    assert {name: vm.instance_view.statuses[1].code for name, vm in found.items()} == {
        "on": "PowerState/running",
        "off": "PowerState/deallocated",
    }
    assert found["on"].tags is None
    assert "vms.list-status" in azure.environment.ledger.counts()["azure"]


def test_status_pages_stay_status_pages(azure: Azure) -> None:
    azure.add(*({"name": f"vm{number}"} for number in range(70)))
    found = pages(azure, f"{VMS}?{VERSION}&statusOnly=true")
    assert all("instanceView" in vm["properties"] for page in found for vm in page["value"])


def test_nics_refer_to_their_vm_in_another_letter_case_than_the_vm_list(azure: Azure) -> None:
    azure.add({"name": "web", "resourceGroup": "Prod", "addresses": ["10.0.9.4", "fd00::9"]})
    (page,) = pages(azure, f"{NICS}?{VERSION}")
    (nic,) = page["value"]
    (listed,) = pages(azure, f"{VMS}?{VERSION}")[0]["value"]
    reference = nic["properties"]["virtualMachine"]["id"]
    assert reference != listed["id"]
    assert reference.lower() == listed["id"].lower()
    configurations = [each["properties"] for each in nic["properties"]["ipConfigurations"]]
    assert [
        (each["privateIPAddress"], each["privateIPAddressVersion"], each["primary"]) for each in configurations
    ] == [
        ("10.0.9.4", "IPv4", True),
        ("fd00::9", "IPv6", False),
    ]


def test_one_nic_is_read_by_its_own_group_in_any_letter_case_and_denied_with_it(azure: Azure) -> None:
    azure.add({"name": "web", "nics": [{"resourceGroup": "net-rg", "addresses": ["10.0.9.4"]}]})
    (listed,) = pages(azure, f"{NICS}?{VERSION}")[0]["value"]
    with azure.session() as session:

        def read(path: str) -> tuple[int, Any]:
            answer = session.get(f"{azure.url}{path}?{VERSION}", timeout=5)
            return answer.status_code, answer.json()

        assert read(listed["id"].upper()) == (200, listed)
        assert read(listed["id"] + "x")[1]["error"]["code"] == "ResourceNotFound"
        azure.world.traits.change({"denied": ["net-rg"]})
        assert read(listed["id"])[0] == 403


def test_flexible_members_are_listed_and_uniform_ones_are_not(azure: Azure) -> None:
    azure.add(
        {"name": "flex1", "scaleSet": {"name": "flex", "mode": "flexible"}},
        {"name": "uni_0", "scaleSet": {"name": "uni", "mode": "uniform"}},
    )
    with azure.compute() as compute:
        (vm,) = compute.virtual_machines.list_all()
        sets = {each.name: each for each in compute.virtual_machine_scale_sets.list_all()}
        with pytest.raises(ResourceNotFoundError):
            compute.virtual_machines.get("microseg-rg", "uni_0")
    assert vm.name == "flex1"
    assert vm.virtual_machine_scale_set.id.endswith("/flex")
    assert (sets["uni"].orchestration_mode, sets["uni"].as_dict()["sku"]["capacity"]) == ("Uniform", 1)


def test_the_agent_is_heard_only_some_time_after_boot(azure: Azure) -> None:
    azure.add({"name": "slow", "agentDelay": 600})
    with azure.compute() as compute:

        def agent() -> str:
            view = compute.virtual_machines.instance_view("microseg-rg", "slow").as_dict()
            return str(view["vmAgent"]["statuses"][0]["displayStatus"])

        assert agent() == "Not Ready"
        azure.wait(lambda: azure.world.named("slow").agent_ready(azure.environment.clock.now()))
        assert agent() == "Ready"


def test_a_vm_that_is_being_created_has_no_power_state_yet(azure: Azure) -> None:
    def shown(name: str) -> tuple[str, list[str]]:
        with azure.compute() as compute:
            read = compute.virtual_machines.get("microseg-rg", name, expand="instanceView").as_dict()["properties"]
        return read["provisioningState"], [status["code"] for status in read["instanceView"]["statuses"]]

    for name, seconds in (("slow", 3600.0), ("fast", 0.0)):
        azure.background.call(partial(setattr, azure.world.timing, "create", seconds))
        azure.add({"name": name, "power": "creating"})
    azure.wait(lambda: azure.world.named("fast").power == "running")
    assert shown("slow") == ("Creating", ["ProvisioningState/creating"])
    assert shown("fast") == ("Succeeded", ["ProvisioningState/succeeded", "PowerState/running"])


def test_a_change_is_seen_in_the_next_list(azure: Azure) -> None:
    (vm,) = azure.add({"name": "web", "tags": {"env": "dev"}})
    assert pages(azure, f"{VMS}?{VERSION}")[0]["value"][0]["tags"] == {"env": "dev"}
    assert len(pages(azure, f"{NICS}?{VERSION}")[0]["value"]) == 1
    azure.background.call(lambda: azure.world.retag(vm, {"env": "prod"}))
    azure.background.call(lambda: azure.world.readdress(vm, ["10.77.0.4"]))
    (listed,) = pages(azure, f"{VMS}?{VERSION}")[0]["value"]
    (nic,) = pages(azure, f"{NICS}?{VERSION}")[0]["value"]
    assert (listed["tags"], listed["etag"]) == ({"env": "prod"}, '"3"')
    assert nic["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] == "10.77.0.4"


def test_people_order_and_change_vms_over_the_control_port(azure: Azure) -> None:
    url = f"{azure.control}/azure/vms"
    added = requests.post(url, json=[{"name": "a", "os": "linux"}, {"name": "b", "os": "windows"}], timeout=5)
    assert added.status_code == 201
    first = added.json()["vms"][0]
    assert (first["power"], first["os"], len(first["addresses"])) == ("running", "linux", 1)
    assert requests.post(f"{url}/a/retag", json={"tags": {"x": "y"}}, timeout=5).json()["tags"] == {"x": "y"}
    assert requests.post(f"{url}/b/stop", timeout=5).json()["power"] == "deallocating"
    azure.wait(lambda: azure.world.named("b").power == "deallocated")
    requests.post(f"{url}/b/start", timeout=5)
    azure.wait(lambda: azure.world.named("b").power == "running")
    assert requests.post(f"{url}/a/readdress", json={"addresses": ["10.9.9.9"]}, timeout=5).json()["addresses"] == [
        "10.9.9.9"
    ]
    attached = requests.post(f"{url}/a/attach", json={"addresses": ["10.9.9.10"]}, timeout=5).json()
    assert attached["addresses"] == ["10.9.9.9", "10.9.9.10"]
    assert (
        requests.post(f"{url}/a/rename", json={"computerName": "inside"}, timeout=5).json()["computerName"] == "inside"
    )
    assert requests.post(f"{url}/a/resize", json={"size": "Standard_D8s_v5"}, timeout=5).status_code == 200
    assert azure.world.named("a").size == "Standard_D8s_v5"
    again = requests.post(f"{url}/a/recreate", timeout=5).json()
    assert (again["id"], again["name"]) == (first["id"], "a")
    assert again["vmId"] != first["vmId"]
    requests.post(f"{url}/a/delete", timeout=5)
    azure.wait(lambda: len(list(azure.world.all())) == 1)
    assert [vm["name"] for vm in requests.get(url, timeout=5).json()["vms"]] == ["b"]


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        ({"os": "linux"}, "name"),
        ({"name": "x", "os": "beos"}, "linux or windows"),
        ({"name": "x", "colour": "red"}, "colour"),
        ({"name": "x", "subscription": "nobody's"}, "no subscription"),
        ("x", "object"),
    ],
)
def test_a_wrong_order_for_a_vm_is_refused_with_its_reason(azure: Azure, order: object, complaint: str) -> None:
    answer = requests.post(f"{azure.control}/azure/vms", json=[order], timeout=5)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]


def test_an_unknown_vm_is_a_404_on_the_control_port(azure: Azure) -> None:
    assert requests.post(f"{azure.control}/azure/vms/nobody/stop", timeout=5).status_code == 404
