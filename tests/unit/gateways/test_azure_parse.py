from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways.azure import ids, parse
from microseg.gateways.azure.credentials import cloud_endpoints, credential_factory
from microseg.model.azure_facts import Unsupported, Vm
from microseg.model.azure_spec import ClientSecret, Cloud, Identity, ManagedIdentity, Select
from microseg.model.fields import SecretRef

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
    nic_id = f"/subscriptions/{SUB}/resourceGroups/{group}/providers/Microsoft.Network/networkInterfaces/{name}"
    configuration = {"properties": {"privateIPAddress": ip, "privateIPAddressVersion": "IPv4", "primary": True}}
    return {"id": nic_id, "properties": {"primary": True, "ipConfigurations": [configuration]}}


def status(state: str = "running") -> dict[str, Any]:
    view = {"statuses": [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{state}"}]}
    return {"id": vm("foo-rg")["id"].lower(), "properties": {"instanceView": view}}


def read(item: object, select: Select | None = None) -> tuple[Vm | None, list[str]]:
    parser = parse.VmParser("main", select or Select(), [nic()], [status()])
    return parser.parse(item, SUB), parser.problems


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


def test_only_the_tags_of_the_list_are_recorded_and_every_tag_selects() -> None:
    body = vm()
    body["tags"] = {"App": "shop", "owner-mail": "nora@example.com", "Env": "prod"}
    parser = parse.VmParser("main", Select(tags={"owner-mail": "*"}), [nic()], [status()], ("app", "ENV"))
    found = parser.parse(body, SUB)
    assert found is not None
    assert found.selected
    assert [tag.key for tag in found.record.tags] == ["App", "Env"]


def test_a_nic_that_is_not_listed_is_not_known_and_no_power_state_is_empty() -> None:
    parser = parse.VmParser("main", Select(), [], [])
    found = parser.parse(vm(), SUB)
    assert found is not None
    assert (found.record.unreadable_nics(), found.record.addresses(), found.record.power_state) == (("NIC1",), (), "")
    assert parser.problems == ["The list of NICs does not show NIC1 of VM Web1"]
    assert parser.unreadable == []


def configured(*configurations: object) -> dict[str, Any]:
    return nic() | {"properties": {"ipConfigurations": list(configurations)}}


def address(ip: object) -> dict[str, Any]:
    return {"properties": {"privateIPAddress": ip}}


@pytest.mark.parametrize(
    ("row", "readable"),
    [
        (configured(), True),
        (configured({"properties": {"privateIPAddressVersion": "IPv6"}}), True),
        (configured(address("10.0.0.4"), address(None)), True),
        (nic() | {"properties": {}}, False),
        (nic() | {"properties": {"ipConfigurations": None}}, False),
        (nic() | {"properties": None}, False),
        (configured(address("10.0.0.4"), "rubbish"), False),
        (configured(address("10.0.0.4"), {}), False),
        (configured(address("10.0.0.400")), False),
        (configured(address(7)), False),
    ],
)
def test_a_nic_has_no_address_only_where_azure_shows_it_without_one(row: dict[str, Any], *, readable: bool) -> None:
    found = parse.VmParser("main", Select(), [row], []).parse(vm(), SUB)
    assert found is not None
    assert found.record.nics[0].unreadable is not readable


@pytest.mark.parametrize(
    ("ip", "length", "taken"),
    [
        ("10.9.0.16", 28, "10.9.0.16/28"),
        ("10.9.0.16/28", None, "10.9.0.16/28"),
        ("fd00::10", 80, "fd00::10/80"),
        ("10.9.0.16", 32, "10.9.0.16"),
        ("10.9.0.16/32", None, "10.9.0.16"),
        ("10.9.0.16/33x", None, None),
    ],
)
def test_a_block_of_addresses_is_not_taken_as_its_first_one(ip: str, length: int | None, taken: str | None) -> None:
    properties = {"privateIPAddress": ip, "privateIPAddressPrefixLength": length}
    found = parse.VmParser("main", Select(), [configured({"properties": properties})], []).parse(vm(), SUB)
    assert found is not None
    assert [each.ip for each in found.record.addresses()] == ([taken] if taken else [])
    assert found.record.nics[0].unreadable is (taken is None)


def test_an_address_that_is_shown_twice_counts_once() -> None:
    row = configured(address("10.0.0.4"), address("10.0.0.5"), address("10.0.0.4"))
    profile = {"networkInterfaces": [{"id": row["id"]}, {"id": row["id"]}]}
    found = parse.VmParser("main", Select(), [row], []).parse(vm(networkProfile=profile), SUB)
    assert found is not None
    assert [each.ip for each in found.record.addresses()] == ["10.0.0.4", "10.0.0.5"]


@pytest.mark.parametrize("profile", [None, {}, {"networkInterfaces": None}])
def test_a_vm_that_does_not_say_which_nics_it_has_is_not_one_without_nics(profile: object) -> None:
    found, _ = read(vm(networkProfile=profile))
    assert found is not None
    assert [each.unreadable for each in found.record.nics] == [True]
    strange, _ = read(vm(networkProfile={"networkInterfaces": [None]}))
    assert strange is not None
    assert [each.unreadable for each in strange.record.nics] == [True]
    without, _ = read(vm(networkProfile={"networkInterfaces": []}))
    assert without is not None
    assert without.record.nics == ()


def test_a_nic_that_is_left_out_of_a_vm_that_nobody_selects_is_no_problem() -> None:
    parser = parse.VmParser("main", Select(tags={"app": "bank"}), [], [])
    assert parser.parse(vm(), SUB) is not None
    assert parser.problems == []


@pytest.mark.parametrize(
    "item",
    [
        None,
        "text",
        {},
        vm() | {"id": "/subscriptions/x/virtualMachines/y"},
        vm() | {"id": vm()["id"] + "?x=1"},
        vm() | {"id": vm()["id"].replace(SUB, "44444444-4444-4444-4444-444444444444")},
        vm() | {"id": vm()["id"] + "x" * 1024},
        vm("rg."),
        vm("a" * 91),
        vm("a\u202eb"),
        vm("a\u2028b"),
        vm("a+b"),
        vm(vmId=None),
        vm(vmId="not-a-uuid"),
        vm(vmId="00000000-0000-0000-0000-000000000000"),
    ],
)
def test_one_bad_row_is_left_out_and_counted(item: object) -> None:
    parser = parse.VmParser("main", Select(), [nic()], [status()])
    assert parser.parse(item, SUB) is None
    assert (len(parser.unreadable), parser.problems) == (1, [])


@pytest.mark.parametrize(
    "group", ["(test)-rg", "-rg", ".rg", "_rg", "a..b", "()", "-", "grüße", "gru\u0308ße", "กลุ่ม", "a‿b", "1", "x" * 90]
)
def test_every_legal_name_of_a_resource_group_is_read(group: str) -> None:
    found, problems = read(vm(group))
    assert found is not None
    assert found.record.resource_group == group
    assert problems == ["The list of NICs does not show NIC1 of VM Web1"]


def test_a_network_that_is_larger_than_a_record_is_told() -> None:
    row = configured(*(address(f"10.1.0.{number}") for number in range(1, 71)))
    references = [{"id": row["id"]}, *({"id": f"{row['id']}-{number}"} for number in range(19))]
    parser = parse.VmParser("main", Select(), [row], [])
    found = parser.parse(vm(networkProfile={"networkInterfaces": references}), SUB)
    assert found is not None
    assert (len(found.record.nics), len(found.record.nics[0].addresses)) == (16, 64)
    assert parser.problems[:2] == [
        "VM Web1 has 20 NICs, of which 16 are taken",
        "A NIC of VM Web1 has 70 addresses, of which 64 are taken",
    ]


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
def test_a_vm_that_cannot_be_protected_has_the_reason(change: dict[str, Any], expected: Unsupported | None) -> None:
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


def test_the_field_of_a_selection_that_leaves_a_vm_out_is_told() -> None:
    told = {
        "resourceGroups": Select(resource_groups=("other",), locations=("northeurope",)),
        "locations": Select(locations=("northeurope",)),
        "notTags": Select(not_tags={"app": "*"}, tags={"env": "*"}),
        "tags": Select(tags={"env": "*"}),
        "": Select(),
    }
    for field, select in told.items():
        found, _ = read(vm(), select)
        assert found is not None
        assert found.unselected_by == field


def test_a_run_command_has_the_fields_that_azure_shows() -> None:
    view = {
        "executionState": "Succeeded",
        "exitCode": 0,
        "output": "x" * 5000,
        "startTime": "2026-01-01T00:00:00.1234567Z",
        "endTime": "2026-01-01T00:01:00+00:00",
    }
    found = parse.run_command({"name": "n", "properties": {"instanceView": view}, "tags": {"a": "b"}})
    assert found is not None
    assert found.terminal
    assert (len(found.output), found.exit_code, found.tags) == (4096, 0, {"a": "b"})
    assert "x" * 20 not in repr(found)
    bare = parse.run_command({"name": "n", "properties": {}})
    assert bare is not None
    assert (bare.execution_state, bare.exit_code, bare.terminal) == ("", None, False)
    assert parse.run_command({}) is None


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
    assert parse.agent_ready(view) is ready


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "a b", "a%2fb", "x.", "ü" * 90, "x" * 91, "a\n"])
def test_only_a_strict_name_becomes_part_of_a_path(name: str) -> None:
    text = f"/subscriptions/{SUB}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/{name}"
    found = ids.parse_vm_resource_id(text)
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
def test_no_shape_of_json_breaks_the_parser(data: object) -> None:
    item = vm() | (data if isinstance(data, dict) else {"properties": data})
    parser = parse.VmParser("main", Select(tags={"a": "*"}), [data], [data])
    assert (parser.parse(item, SUB) is None) == bool(parser.unreadable)
    parse.run_command(data)


def test_clouds_are_known_by_name_and_a_custom_one_must_be_whole() -> None:
    assert cloud_endpoints(Cloud()).scope == "https://management.azure.com/.default"
    assert cloud_endpoints(Cloud(name="USGovernment")).scope == "https://management.core.usgovcloudapi.net/.default"
    assert cloud_endpoints(Cloud(name="China")).resource_manager == "https://management.chinacloudapi.cn"
    custom = Cloud(
        name="Custom", resource_manager="https://arm.x:8443/", authority="https://sts.x", audience="https://a"
    )
    assert cloud_endpoints(custom).resource_manager == "https://arm.x:8443"
    for broken in (
        Cloud(name="Custom"),
        Cloud(name="Custom", resource_manager="http://arm.x", authority="https://sts.x", audience="a"),
        Cloud(name="Custom", resource_manager="https://arm.x", authority="", audience="a"),
    ):
        with pytest.raises(ValueError, match=r"custom|https"):
            cloud_endpoints(broken)


def test_an_identity_is_exactly_one_way() -> None:
    by_secret = ClientSecret(tenant_id="t", client_id="c", secret_ref=SecretRef(name="s"))
    endpoints = cloud_endpoints(Cloud())
    for wrong in (Identity(), Identity(client_secret=by_secret, managed_identity=ManagedIdentity())):
        with pytest.raises(ValueError, match="exactly one"):
            credential_factory(wrong, endpoints)
    with pytest.raises(ValueError, match="client secret"):
        credential_factory(Identity(client_secret=by_secret), endpoints)
