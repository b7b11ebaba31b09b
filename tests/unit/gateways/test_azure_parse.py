from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways import azure_ids, azure_reading
from microseg.gateways.azure_credentials import credential_maker, endpoints
from microseg.model.estate import ClientSecret, Cloud, Identity, ManagedIdentity, SecretRef, Select
from microseg.model.facts import Unsupported, Vm

SUB = "33333333-3333-3333-3333-333333333333"
VM_ID = "5b8bd71c-1d2b-4b5c-9b8e-0123456789ab"


def vm(group: str = "FOO-RG", **properties: Any) -> dict[str, Any]:
    scope = f"/subscriptions/{SUB}/resourceGroups/{group}/providers"
    body: dict[str, Any] = {
        "vmId": VM_ID.upper(),
        "timeCreated": "2021-06-27T01:02:38.3138469+00:00",
        "provisioningState": "Succeeded",
        "hardwareProfile": {"vmSize": "Standard_D2s_v5"},
        "storageProfile": {
            "imageReference": {"publisher": "Canonical", "offer": "ubuntu", "sku": "server", "exactVersion": "1.2.3"},
            "osDisk": {"osType": "Linux", "name": "os", "diskSizeGB": 30, "managedDisk": {"storageAccountType": "P"}},
            "dataDisks": [{"lun": 0, "name": "d0", "managedDisk": {}}],
        },
        "osProfile": {"computerName": "web1-os", "linuxConfiguration": {"provisionVMAgent": True}},
        "networkProfile": {
            "networkInterfaces": [{"id": f"{scope}/Microsoft.Network/networkInterfaces/NIC1"}],
        },
    }
    return {
        "id": f"{scope}/Microsoft.Compute/virtualMachines/Web1",
        "name": "Web1",
        "location": "westeurope",
        "tags": {"App": "shop"},
        "properties": body | properties,
    }


def nic(group: str = "foo-rg", name: str = "nic1", ip: str = "10.0.0.4") -> dict[str, Any]:
    ids = f"/subscriptions/{SUB}/resourceGroups/{group}/providers/Microsoft.Network/networkInterfaces/{name}"
    configuration = {"properties": {"privateIPAddress": ip, "privateIPAddressVersion": "IPv4", "primary": True}}
    return {"id": ids, "properties": {"primary": True, "ipConfigurations": [configuration]}}


def status(state: str = "running") -> dict[str, Any]:
    view = {"statuses": [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{state}"}]}
    return {"id": vm("foo-rg")["id"].lower(), "properties": {"instanceView": view}}


def read(item: object, select: Select | None = None) -> tuple[Vm | None, list[str]]:
    reader = azure_reading.VmReader("main", select or Select(), [nic()], [status()])
    return reader.read(item, SUB), reader.problems


def test_a_vm_is_joined_with_nic_and_power_state_whatever_the_letter_case_of_ids() -> None:
    found, problems = read(vm())
    assert found is not None
    assert problems == []
    record = found.record
    assert found.vm_id == VM_ID
    assert (record.name, record.resource_group, record.computer_name) == ("Web1", "FOO-RG", "web1-os")
    assert record.power_state == "running"
    assert [address.ip for address in record.addresses()] == ["10.0.0.4"]
    assert record.nics[0].primary
    assert record.created_at == datetime(2021, 6, 27, 1, 2, 38, 313846, UTC)
    assert record.image is not None
    assert record.image.version == "1.2.3"
    assert record.data_disks[0].size_gb == 0


def test_a_nic_that_is_not_listed_yet_has_no_addresses_and_no_power_state_is_empty() -> None:
    found = azure_reading.VmReader("main", Select(), [], []).read(vm(), SUB)
    assert found is not None
    assert (len(found.record.nics), found.record.addresses(), found.record.power_state) == (1, (), "")


@pytest.mark.parametrize(
    "item",
    [
        None,
        "text",
        {},
        vm() | {"id": "/subscriptions/x/virtualMachines/y"},
        vm() | {"id": vm()["id"] + "?x=1"},
        vm() | {"id": vm()["id"].replace(SUB, "44444444-4444-4444-4444-444444444444")},
        vm(vmId=None),
        vm(vmId="not-a-uuid"),
    ],
)
def test_one_bad_item_is_left_out_and_counted(item: object) -> None:
    found, problems = read(item)
    assert found is None
    assert len(problems) == 1


def test_long_text_is_clipped_and_lists_are_cut() -> None:
    item = vm(osProfile={"computerName": "x" * 5000})
    item["tags"] = {f"tag{number:03}": "v" * 5000 for number in range(90)}
    found, _ = read(item)
    assert found is not None
    assert len(found.record.computer_name) == 256
    assert len(found.record.tags) == 64
    assert {len(tag.value) for tag in found.record.tags} == {256}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"osProfile": {"windowsConfiguration": {"provisionVMAgent": False}}}, Unsupported.NO_AGENT),
        ({"osProfile": {"allowExtensionOperations": False}}, Unsupported.EXTENSIONS_DISALLOWED),
        ({"osProfile": None}, None),
        ({"storageProfile": {}}, Unsupported.UNKNOWN_OS),
    ],
)
def test_a_vm_that_cannot_be_protected_says_why(change: dict[str, Any], expected: Unsupported | None) -> None:
    found, _ = read(vm(**change))
    assert found is not None
    assert found.unsupported == expected


@pytest.mark.parametrize(
    ("select", "selected"),
    [
        (Select(), True),
        (Select(resource_groups=("foo-rg",)), True),
        (Select(resource_groups=("bar",)), False),
        (Select(locations=("West Europe",)), True),
        (Select(locations=("northeurope",)), False),
        (Select(tags={"APP": "shop"}), True),
        (Select(tags={"app": "Shop"}), False),
        (Select(tags={"app": "*"}), True),
        (Select(tags={"env": "*"}), False),
        (Select(tags={"app": "*", "env": "*"}), False),
        (Select(not_tags={"app": "shop"}), False),
        (Select(not_tags={"App": "*"}), False),
        (Select(not_tags={"app": "bank"}), True),
    ],
)
def test_every_field_of_a_selection_must_hold(select: Select, *, selected: bool) -> None:
    found, _ = read(vm(), select)
    assert found is not None
    assert found.selected is selected


def test_a_run_command_that_began_shows_what_azure_shows() -> None:
    view = {
        "executionState": "Succeeded",
        "exitCode": 0,
        "output": "x" * 5000,
        "startTime": "2026-01-01T00:00:00.1234567Z",
        "endTime": "2026-01-01T00:01:00+00:00",
    }
    found = azure_reading.run_command({"name": "n", "properties": {"instanceView": view}, "tags": {"a": "b"}})
    assert found is not None
    assert found.terminal
    assert (len(found.output), found.exit_code, found.tags) == (4096, 0, {"a": "b"})
    assert "x" * 20 not in repr(found)
    bare = azure_reading.run_command({"name": "n", "properties": {}})
    assert bare is not None
    assert (bare.execution_state, bare.exit_code, bare.terminal) == ("", None, False)
    assert azure_reading.run_command({}) is None


@pytest.mark.parametrize(
    ("view", "ready"),
    [
        ({"vmAgent": {"statuses": [{"displayStatus": "Ready"}]}}, True),
        ({"vmAgent": {"statuses": [{"displayStatus": "Not Ready"}]}}, False),
        ({"vmAgent": {"statuses": []}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_agent_is_ready_not_ready_or_unknown(view: object, *, ready: bool | None) -> None:
    assert azure_reading.agent_ready(view) is ready


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "a b", "a%2fb", "-x", "ü" * 90, "x" * 91, "a\n"])
def test_only_a_strict_name_becomes_part_of_a_path(name: str) -> None:
    text = f"/subscriptions/{SUB}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/{name}"
    found = azure_ids.vm_id(text)
    assert found is None or name == "ü" * 90
    if found is not None:
        assert found.path.isascii()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "properties", "tags", "storageProfile", "osDisk", "networkProfile", "zones", "vmId"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON)
def test_no_shape_of_json_breaks_the_reader(data: object) -> None:
    item = vm() | (data if isinstance(data, dict) else {"properties": data})
    reader = azure_reading.VmReader("main", Select(tags={"a": "*"}), [data], [data])
    assert (reader.read(item, SUB) is None) == bool(reader.problems)
    azure_reading.run_command(data)


def test_clouds_are_known_by_name_and_a_custom_one_must_be_whole() -> None:
    assert endpoints(Cloud()).scope == "https://management.azure.com/.default"
    assert endpoints(Cloud(name="USGovernment")).scope == "https://management.core.usgovcloudapi.net/.default"
    assert endpoints(Cloud(name="China")).resource_manager == "https://management.chinacloudapi.cn"
    custom = Cloud(
        name="Custom", resource_manager="https://arm.x:8443/", authority="https://sts.x", audience="https://a"
    )
    assert endpoints(custom).resource_manager == "https://arm.x:8443"
    for broken in (
        Cloud(name="Custom"),
        Cloud(name="Custom", resource_manager="http://arm.x", authority="https://sts.x", audience="a"),
        Cloud(name="Custom", resource_manager="https://arm.x", authority="", audience="a"),
    ):
        with pytest.raises(ValueError, match=r"custom|https"):
            endpoints(broken)


def test_an_identity_is_exactly_one_way() -> None:
    by_secret = ClientSecret(tenant_id="t", client_id="c", secret_ref=SecretRef(name="s"))
    places = endpoints(Cloud())
    for wrong in (Identity(), Identity(client_secret=by_secret, managed_identity=ManagedIdentity())):
        with pytest.raises(ValueError, match="exactly one"):
            credential_maker(wrong, places)
    with pytest.raises(ValueError, match="client secret"):
        credential_maker(Identity(client_secret=by_secret), places)
