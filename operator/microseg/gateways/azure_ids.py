"""ARM ids and run-command names: text from outside, taken apart and quoted before it becomes part of a path.

Used by `azure.py` and `azure_reading.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

_PIECE = r"\w[\w.()\-]{0,89}"
_VM = re.compile(
    rf"/subscriptions/(?P<subscription>[0-9a-f\-]{{36}})/resourceGroups/(?P<group>{_PIECE})"
    rf"/providers/Microsoft\.Compute/virtualMachines/(?P<name>{_PIECE})",
    re.IGNORECASE,
)
_SUBSCRIPTION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_COMMAND = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


@dataclass(frozen=True, slots=True)
class VmId:
    """An ARM id of a VM, in the letter case that Azure showed."""

    subscription: str
    group: str
    name: str

    @property
    def path(self) -> str:
        """The quoted path."""
        return (
            f"/subscriptions/{quote(self.subscription, safe='')}/resourceGroups/{quote(self.group, safe='')}"
            f"/providers/Microsoft.Compute/virtualMachines/{quote(self.name, safe='')}"
        )


def vm_id(text: str) -> VmId | None:
    """The parts of a VM's ARM id; None if it is not exactly one.

    Names' characters: learn.microsoft.com, "Naming rules and restrictions for Azure resources".
    """
    found = _VM.fullmatch(text)
    return None if found is None else VmId(found["subscription"].lower(), found["group"], found["name"])


def is_subscription(text: str) -> bool:
    """Whether it is a subscription's id."""
    return _SUBSCRIPTION.fullmatch(text) is not None


def is_uuid(text: str) -> bool:
    """Whether it has the form of a vmId."""
    return _SUBSCRIPTION.fullmatch(text) is not None


def is_command(name: str) -> bool:
    """Whether it is a name that this project gives to a run-command."""
    return _COMMAND.fullmatch(name) is not None
