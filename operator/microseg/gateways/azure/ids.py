"""ARM ids and run-command names: text from outside, parsed and quoted before it becomes part of a path.

`azure/gateway.py` and `azure/parse.py` use it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote

_NAME = r"[^/]{1,90}"
_LETTERS = ("L", "M", "N", "Pc")
r"""Unicode categories of what a name may have beside `-`, `.`, `(` and `)`: what `\w` means to Resource Manager.
Python's own `\w` lacks the marks, without which Thai or Hindi cannot be written.

Source: learn.microsoft.com, "Character classes in .NET regular expressions".
"""
_VM = re.compile(
    rf"/subscriptions/(?P<subscription>[0-9a-f\-]{{36}})/resourceGroups/(?P<group>{_NAME})"
    rf"/providers/Microsoft\.Compute/virtualMachines/(?P<name>{_NAME})",
    re.IGNORECASE,
)
_NIC = re.compile(
    rf"/subscriptions/(?P<subscription>[0-9a-f\-]{{36}})/resourceGroups/(?P<group>{_NAME})"
    rf"/providers/Microsoft\.Network/networkInterfaces/(?P<name>{_NAME})",
    re.IGNORECASE,
)
_LONGEST_ID = 1024
_NIL = "00000000-0000-0000-0000-000000000000"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_COMMAND_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


@dataclass(frozen=True, slots=True)
class VmResourceId:
    """The parts of a VM's ARM id, in the letter case that Azure showed."""

    subscription: str
    group: str
    name: str

    @property
    def path(self) -> str:
        """The quoted path."""
        return f"{self.group_path}/providers/Microsoft.Compute/virtualMachines/{quote(self.name, safe='')}"

    @property
    def group_path(self) -> str:
        """The quoted path of its resource group."""
        return f"/subscriptions/{quote(self.subscription, safe='')}/resourceGroups/{quote(self.group, safe='')}"


def parse_vm_resource_id(text: str) -> VmResourceId | None:
    """The parts of a VM's ARM id; None if the text is not exactly one, or longer than a record can hold."""
    match = _VM.fullmatch(text) if len(text) <= _LONGEST_ID else None
    if match is None or not (_is_name(match["group"]) and _is_name(match["name"])):
        return None
    return VmResourceId(match["subscription"].lower(), match["group"], match["name"])


def nic_path(text: str, subscription: str) -> str | None:
    """The quoted path of a network interface; None if the text is not exactly the id of one in this subscription."""
    match = _NIC.fullmatch(text) if len(text) <= _LONGEST_ID else None
    if match is None or match["subscription"].lower() != subscription.lower():
        return None
    if not (_is_name(match["group"]) and _is_name(match["name"])):
        return None
    group = VmResourceId(subscription, match["group"], "").group_path
    return f"{group}/providers/Microsoft.Network/networkInterfaces/{quote(match['name'], safe='')}"


def _is_name(text: str) -> bool:
    r"""Whether a resource group can be called so, or a VM, whose names have fewer characters to choose from.

    Resource Manager's own pattern is `^[-\w._()]{1,90}$` without a period at the end, so that `.` and `..` never get
    into a path.

    Source: ResourceGroupNameParameter in Azure/azure-rest-api-specs, specification/common-types/resource-management,
    and learn.microsoft.com, "Naming rules and restrictions for Azure resources". Groups such as `(test)`:
    Azure/azure-cli#799.
    """
    marks = (mark for mark in text if mark not in "-.()")
    return not text.endswith(".") and all(unicodedata.category(mark).startswith(_LETTERS) for mark in marks)


def is_subscription_id(text: str) -> bool:
    """Whether it has the form of a subscription's id."""
    return _UUID.fullmatch(text) is not None


def is_vm_id(text: str) -> bool:
    """Whether it can be a vmId: a UUID that is not the nil one, which names nobody."""
    return _UUID.fullmatch(text) is not None and text != _NIL


def is_command_name(name: str) -> bool:
    """Whether it has the form of the names that this project gives to run-commands."""
    return _COMMAND_NAME.fullmatch(name) is not None
