"""What `microseg doctor` asks of Azure: the lists, and which rights the identity has, without using one.

The right to start a script is root on the VM, so it is never tried: Azure is asked what the identity's roles allow.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from microseg.cli.findings import Finding, bad, doubt, good
from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.azure.permissions import lacking
from microseg.gateways.ports import GatewayError, Refused
from microseg.gateways.readings import whole
from microseg.model.azure_facts import VmListing
from microseg.model.azure_spec import Source

_RIGHTS = (
    "Microsoft.Compute/virtualMachines/instanceView/read",
    "Microsoft.Compute/virtualMachines/runCommands/read",
    "Microsoft.Compute/virtualMachines/runCommands/write",
    "Microsoft.Compute/virtualMachines/runCommands/delete",
)
"""What no list needs; the lists prove the others."""
_EFFECTS = tuple(right for right in _RIGHTS if not right.endswith("/read"))
"""What an identity for run-commands alone needs."""
_ROLE = "assign the role of docs/security.md to it"
_MOST = 20
"""Resource groups that are asked about: a role is assigned at the subscription, or at few of them."""


def check(source: Source, gateway: AzureArmGateway, subscription: str, *, runs: bool) -> Iterator[Finding]:
    """One subscription. `runs`: whether the estate starts run-commands at all. Raises GatewayError."""
    area = f"azure {source.name}"
    listing = whole(gateway.list_vms(subscription), time.sleep)
    yield good(area, "token and reading", f"{subscription}: {len(listing.vms)} VMs, their NICs and power states")
    if listing.unreadable_rows:
        yield bad(area, "rows", f"{listing.unreadable_rows} rows cannot be read", listing.unreadable[0])
    for problem in listing.problems[:3]:
        yield doubt(area, "rows", problem)
    groups = _groups(listing)
    if not groups:
        text = f"{subscription} has no VM, so there is no resource group to ask about"
        yield doubt(area, "rights", text, "ask again when there is one")
        return
    if runs:
        rights = _RIGHTS if source.run_command_identity is None else _EFFECTS
        yield _rights(area, gateway, subscription, groups, rights)
    name, resource_id = next(iter(groups.items()))
    gateway.run_commands(resource_id)
    yield good(area, "run-commands", f"those of a VM in {name} can be read")


def resource_graph(source: Source, gateway: AzureArmGateway) -> Iterator[Finding]:
    """Whether Resource Graph answers, which no estate depends on."""
    area = f"azure {source.name}"
    try:
        shown = whole(gateway.sightings(), time.sleep)
    except GatewayError as error:
        text = f"it does not answer ({error}), so the lists are read each time, as those of a small estate are anyway"
        yield doubt(area, "Resource Graph", text, "grant Microsoft.ResourceGraph/resources/read if the estate is large")
    else:
        yield good(area, "Resource Graph", f"it shows {len(shown)} VMs: where lists are long, it tells what changed")


def _groups(listing: VmListing) -> dict[str, str]:
    """Resource group -> ARM id of a VM in it, by name."""
    found = {vm.record.resource_group.lower(): vm.record.resource_id for vm in listing.vms}
    return dict(sorted(found.items()))


def _rights(
    area: str, gateway: AzureArmGateway, subscription: str, groups: Mapping[str, str], rights: tuple[str, ...]
) -> Finding:
    """Whether scripts may be started, followed and deleted in every resource group."""
    asked = dict(list(groups.items())[:_MOST])
    try:
        missing = {name: lacking(gateway.permissions(resource_id), rights) for name, resource_id in asked.items()}
    except Refused as error:
        text = f"{subscription}: what this identity may write cannot be asked ({error})"
        return doubt(area, "rights", text, f"grant Microsoft.Authorization/permissions/read, or {_ROLE}")
    wrong = {name: actions for name, actions in missing.items() if actions}
    if wrong:
        actions = sorted({action for each in wrong.values() for action in each})
        where = ", ".join(list(wrong)[:3]) + (", …" if len(wrong) > 3 else "")
        share = f"{len(wrong)} of {len(asked)} resource groups ({where})"
        text = f"{subscription}: this identity may not {', '.join(actions)} in {share}"
        return bad(area, "rights", text, f"{_ROLE} there, or at the subscription")
    of = f"{len(asked)} of {len(groups)} resource groups"
    text = f"{subscription}: scripts may be started, followed and deleted in {of}, if no lock or policy forbids it"
    return good(area, "rights", text)
