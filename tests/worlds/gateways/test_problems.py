"""What a complete list left out: one sentence per item, few and short ones, until the next complete list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import simulators.azure
import simulators.checkpoint
import simulators.illumio
from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.illumio.gateway import IllumioPceGateway
from microseg.gateways.ports import MOST_PROBLEMS

from .conftest import ORG, SUBSCRIPTION, Running, list_vms, read

Azure = Running[simulators.azure.world.World]
Pce = Running[simulators.illumio.World]
Firewall = Running[simulators.checkpoint.World]
HOSTILE = "x\n\x1b[31m" + "A" * 5000


def vm(name: str) -> dict[str, Any]:
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines"
    return {"id": f"{scope}/{name}", "name": name, "properties": {}}


def list_in_azure(azure: Azure, items: Sequence[object]) -> None:
    azure.fault("vms.list", status=200, body={"value": items})


def list_in_check_point(firewall: Firewall, objects: list[dict[str, Any]]) -> None:
    total = len(objects)
    firewall.fault("show-hosts", status=200, body={"from": 1, "to": total, "total": total, "objects": objects})


def assert_bounded(problems: tuple[str, ...], left_out: int) -> None:
    assert len(problems) == MOST_PROBLEMS + 1
    assert problems[-1] == f"{left_out - MOST_PROBLEMS} more items were left out or doubtful"
    assert all(len(sentence) <= 300 and sentence.isprintable() for sentence in problems)


def test_azure_names_the_vms_without_a_vm_id(azure: Azure, gateway: AzureArmGateway) -> None:
    list_in_azure(azure, [vm("web1"), vm("web2"), "rubbish"])
    listing = list_vms(gateway)
    assert listing.vms == ()
    web1, web2, rubbish = listing.unreadable
    assert web1.startswith("A listed VM has no usable vmId: /subscriptions/")
    assert web1.endswith("/web1")
    assert web2.endswith("/web2")
    assert rubbish == "A listed VM has an unusable ARM id (0 characters): none"
    assert (listing.unreadable_rows, listing.problems) == (3, ())


def test_azure_names_twenty_of_many(azure: Azure, gateway: AzureArmGateway) -> None:
    list_in_azure(azure, [{"id": f"{HOSTILE}{number}"} for number in range(29)])
    listing = list_vms(gateway)
    assert listing.vms == ()
    assert_bounded(listing.unreadable, 29)
    assert listing.unreadable_rows == 29


def test_azure_names_scale_sets_that_may_not_be_listed(azure: Azure, gateway: AzureArmGateway) -> None:
    azure.fault("scale-sets.list", status=403, body={"error": {"code": "AuthorizationFailed", "message": HOSTILE}})
    listing = list_vms(gateway)
    assert (listing.unreadable_rows, listing.unreadable) == (0, ())
    assert listing.problems == (
        f"Scale sets of subscription {SUBSCRIPTION} are not counted: Azure refused to list them",
    )


def test_illumio_names_what_it_cannot_use_of_all_its_lists(pce_world: Pce, pce: IllumioPceGateway) -> None:
    workload = {"href": "/orgs/7/workloads/a", "hostname": HOSTILE, "ven": {"href": f"/orgs/{ORG}/vens/a"}}
    pce_world.fault("workloads.list", status=200, body=[workload])
    pce_world.fault("labels.list", status=200, body=[{"href": f"/orgs/{ORG}/labels/3", "key": "app"}])
    pce_world.fault("pairing_profiles.list", status=200, body=[{"name": HOSTILE}])
    assert (read(pce.workloads()), read(pce.labels()), read(pce.profiles())) == ((), (), ())
    assert pce.problems() == (
        f"A listed label cannot be read; its href is /orgs/{ORG}/labels/3",
        "A listed pairing profile cannot be read; its href is missing",
        "A listed workload cannot be read; its href is /orgs/7/workloads/a",
    )
    read(pce.workloads())
    assert len(pce.problems()) == 2
    read(pce.labels())
    read(pce.profiles())
    assert pce.problems() == ()


def test_illumio_names_twenty_of_many(pce_world: Pce, pce: IllumioPceGateway) -> None:
    rows = [{"href": f"{number}{HOSTILE}", "agent": {"href": "/x"}} for number in range(400)]
    pce_world.fault("workloads.list", status=200, body=rows)
    assert read(pce.workloads()) == ()
    assert_bounded(pce.problems(), 400)


def test_workloads_that_are_not_managed_are_no_problem(pce_world: Pce, pce: IllumioPceGateway) -> None:
    pce_world.fault("workloads.list", status=200, body=[{"href": "/orgs/7/workloads/a", "managed": False}])
    assert read(pce.workloads()) == ()
    assert pce.problems() == ()


def test_check_point_names_the_host_objects_without_an_address(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    list_in_check_point(
        firewall,
        [{"uid": "u1", "name": "a"}, {"uid": "u2", "name": "b", "ipv4-address": "10.0.0.1"}, {"name": HOSTILE}],
    )
    assert [host.uid for host in read(management.hosts())] == ["u2"]
    first, second = management.problems()
    assert first == "A listed host object lacks its uid, its name or an IP address: u1"
    assert len(second) < 200
    assert second.isprintable()
    assert read(management.hosts()) == ()
    assert management.problems() == ()


def test_check_point_names_twenty_of_many(firewall: Firewall, management: CheckPointManagementGateway) -> None:
    list_in_check_point(firewall, [{"uid": f"{number}{HOSTILE}"} for number in range(33)])
    assert read(management.hosts()) == ()
    assert_bounded(management.problems(), 33)


def test_one_more_is_counted_in_the_singular(firewall: Firewall, management: CheckPointManagementGateway) -> None:
    list_in_check_point(firewall, [{"uid": str(number)} for number in range(MOST_PROBLEMS + 1)])
    read(management.hosts())
    assert management.problems()[-1] == "1 more item was left out or doubtful"
