"""The rights that docs/getting-started.md asks for: all of them suffice, and without any one a step is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.ports import Refused
from microseg.model.checkpoint_facts import TaskState
from simulators.azure.rights import ACTIONS

from .azure_vms import Azure, add, arm_id, script
from .checkpoint_objects import NAME, Firewall, form
from .conftest import CLIENT_SECRET, OWNER, azure_gateway, check_point_gateway, list_vms, read, until

PAGE = (Path(__file__).parents[3] / "docs" / "getting-started.md").read_text(encoding="utf-8")
ROLE: dict[str, object] = next(
    body for body in map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)) if "Actions" in body
)
VM = "Microsoft.Compute/virtualMachines"
REFUSED_WITHOUT = {
    f"{VM}/read": "list",
    "Microsoft.Network/networkInterfaces/read": "list",
    "Microsoft.Compute/virtualMachineScaleSets/read": "count scale sets",
    "Microsoft.ResourceGraph/resources/read": "look for changes",
    f"{VM}/instanceView/read": "look at one VM",
    f"{VM}/runCommands/read": "follow",
    f"{VM}/runCommands/write": "start",
    f"{VM}/runCommands/delete": "delete",
    "Microsoft.Authorization/permissions/read": "look at the own rights",
}
"""Action -> the first step that needs it."""
PERMISSIONS = {
    "Management API login": ("management-api-login",),
    "Edit common objects": ("edit-common-objects",),
    "Publish sessions": ("publish-sessions",),
    "Show policy, Install policy (Access Control)": ("show-policy", "install-policy"),
    "Manage sessions": (),
}
"""As the page names a permission -> as the simulated server does. Nothing needs the last one."""
BLOCKED_WITHOUT = {
    "management-api-login": "log in",
    "edit-common-objects": "make the tag",
    "publish-sessions": "publish",
    "show-policy": "read packages",
    "install-policy": "install",
}
Steps = dict[str, Callable[[], object]]


def refused(steps: Steps) -> dict[str, str]:
    """The steps that are refused, with what is told."""
    told = {}
    for name, step in steps.items():
        try:
            step()
        except Refused as error:
            told[name] = str(error)
    return told


def azure_steps(azure: Azure, gateway: AzureArmGateway) -> Steps:
    vm = arm_id(add(azure, name="web1"))

    def count() -> None:
        if problems := list_vms(gateway).problems:
            raise Refused("; ".join(problems))

    return {
        "list": lambda: list_vms(gateway),
        "count scale sets": count,
        "look for changes": lambda: read(gateway.sightings()),
        "look at one VM": lambda: gateway.vm(vm),
        "start": lambda: gateway.start_run_command(vm, script()),
        "follow": lambda: (gateway.run_commands(vm), gateway.run_command(vm, "microseg-abc-1")),
        "delete": lambda: gateway.delete_run_command(vm, "microseg-abc-1"),
        "look at the own rights": lambda: gateway.permissions(vm),
    }


def grant(azure: Azure, actions: set[str]) -> None:
    lacking = set(ACTIONS.values()) - actions
    azure.act(lambda: azure.world.traits.change({"lacking": sorted(lacking)}))


def documented() -> set[str]:
    actions = ROLE["Actions"]
    assert isinstance(actions, list)
    return set(actions)


def test_the_documented_azure_role_suffices(azure: Azure, gateway: AzureArmGateway) -> None:
    assert documented() == set(REFUSED_WITHOUT)
    grant(azure, documented())
    assert refused(azure_steps(azure, gateway)) == {}


@pytest.mark.parametrize(("action", "step"), REFUSED_WITHOUT.items())
def test_without_one_action_of_the_azure_role_a_step_is_refused(
    azure: Azure, gateway: AzureArmGateway, action: str, step: str
) -> None:
    grant(azure, documented() - {action})
    told = refused(azure_steps(azure, gateway))
    assert next(iter(told)) == step
    assert action in told[step] or step == "count scale sets"
    if step == "start":
        assert not any(vm.commands for vm in azure.world.all())


READER = "55555555-5555-5555-5555-555555555555"


@pytest.mark.parametrize(("split", "expected"), [(True, set()), (False, {"start", "delete"})])
def test_an_identity_that_only_reads_suffices_beside_one_for_run_commands(
    azure: Azure, *, split: bool, expected: set[str]
) -> None:
    azure.act(lambda: azure.world.directory.readers.update({READER: CLIENT_SECRET}))
    gateway = azure_gateway(azure, reader=READER, split=split)
    assert set(refused(azure_steps(azure, gateway))) == expected
    gateway.close()


def check_point_steps(management: CheckPointManagementGateway) -> Steps:
    def publish() -> None:
        task = management.publish()
        until(lambda: management.task(task).state is not TaskState.RUNNING)

    return {
        "log in": lambda: management.open(NAME),
        "read": lambda: (read(management.hosts()), read(management.groups()), read(management.gateways())),
        "read packages": lambda: read(management.packages()),
        "make the tag": lambda: management.ensure_tag(f"microseg.dev/{OWNER}"),
        "make a host": lambda: management.put_host(form(1, join=("SO",))),
        "publish": publish,
        "install": lambda: management.install("Standard", ["gw-east"]),
        "list tasks": lambda: read(management.own_tasks()),
        "discard": management.discard,
    }


def lacking(firewall: Firewall, *permissions: str) -> CheckPointManagementGateway:
    admin = firewall.world.admins["microseg"]
    firewall.act(lambda: firewall.world.add_admin(replace(admin, lacks=frozenset(permissions))))
    return check_point_gateway(firewall)


def test_the_documented_permission_profile_suffices(firewall: Firewall) -> None:
    table = PAGE.partition("permission profile of type *Customized*")[2].partition("On a multi-domain server")[0]
    assert re.findall(r"^ *\| ([A-Z][^|]+?) \|", table, re.MULTILINE) == list(PERMISSIONS)
    assert {name for names in PERMISSIONS.values() for name in names} == set(BLOCKED_WITHOUT)
    assert not firewall.world.admins["microseg"].manages_sessions
    management = lacking(firewall)
    assert refused(check_point_steps(management)) == {}
    management.close()


@pytest.mark.parametrize(("permission", "step"), BLOCKED_WITHOUT.items())
def test_without_one_permission_of_the_profile_a_step_is_refused(
    firewall: Firewall, permission: str, step: str
) -> None:
    management = lacking(firewall, permission)
    revisions = len(firewall.world.published.revisions)
    steps = check_point_steps(management)
    told = refused(steps if step != "log in" else {step: steps[step]})
    assert next(iter(told)) == step
    if step in ("log in", "publish"):
        assert len(firewall.world.published.revisions) == revisions
    management.close()


def test_where_tasks_may_not_be_listed_nothing_else_is_refused(firewall: Firewall) -> None:
    management = lacking(firewall, "show-tasks")
    assert list(refused(check_point_steps(management))) == ["list tasks"]
    management.close()
