"""Azure's latencies in vendor seconds (the clock's scale divides them), and its switchable traits."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class Timing:
    """Azure's latencies; a change applies to what starts later.

    `pickup`: from the PUT of a run-command until its script starts (learn.microsoft.com says about 20 s at least);
    `report`: from the script's end until Azure shows it; `agent_patience`: how long Azure waits for the agent
    (25 min in Azure/azure-powershell#5741); `partial`: how often the handler reports a running script's output
    (`updateStatusInSeconds` in Azure/run-command-handler-linux internal/cmds/cmds.go); `provisioning`: how long Azure
    waits for a run-command's end (90 min in Azure/azure-sdk-for-python#4369).
    """

    pickup: float = 20.0
    report: float = 5.0
    remove: float = 15.0
    partial: float = 15.0
    provisioning: float = 5400.0
    agent: float = 30.0
    agent_patience: float = 1500.0
    boot: float = 25.0
    stop: float = 20.0
    create: float = 20.0

    def change(self, values: dict[str, object]) -> None:
        """Set latencies by name; raises ValueError for an unknown name or an invalid time."""
        known = [item.name for item in fields(self)]
        for name, value in values.items():
            if name not in known or not _is_time(value):
                message = f"latency {name!r} can't be {value!r}; there are {', '.join(known)}, in seconds"
                raise ValueError(message)
            setattr(self, name, float(str(value)))


@dataclass(slots=True)
class Traits:
    """Behaviour that can be switched while the simulator runs. Times are vendor seconds.

    `list_lag`: how late lists show a VM's creation, change and deletion (a GET shows them at once); `nic_lag`: how long
    a new VM's NIC does not name its VM; `graph_lag`: how long ago what Resource Graph shows was true; `deleting`: how
    long a VM is `Deleting`; `denied`: resource groups and NICs (lower case) that the caller may not read: lists and
    Resource Graph omit them, a GET there is a 403; `unidentified`: VMs (lower case) whose rows of the VM list lack the
    vmId; `demanded_tags`: resource group (lower case) -> names of tags that an Azure Policy demands of every resource
    that is created there; `page_size`: how many VMs a page of a list has at most, 1 at least; `lacking`: actions (lower
    case) that the caller's role does not have in any resource group; `exhausted`: subscriptions (lower case) whose
    limits of the resource providers somebody else uses up: 429.
    """

    list_lag: float = 0.0
    nic_lag: float = 0.0
    graph_lag: float = 0.0
    deleting: float = 30.0
    denied: set[str] = field(default_factory=set)
    unidentified: set[str] = field(default_factory=set)
    demanded_tags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    page_size: float = 50.0
    lacking: set[str] = field(default_factory=set)
    exhausted: set[str] = field(default_factory=set)

    def change(self, values: dict[str, object]) -> None:
        """Set traits by name; raises ValueError for an unknown name or a value of the wrong type."""
        for name, value in values.items():
            if name in _NAMES and isinstance(value, list):
                setattr(self, name, {str(each).lower() for each in value})
            elif name == "demanded_tags" and isinstance(value, dict):
                self.demanded_tags = {str(group).lower(): tuple(map(str, tags)) for group, tags in value.items()}
            elif name in {item.name for item in fields(self)} - {*_NAMES, "demanded_tags"} and _is_time(value):
                setattr(self, name, float(str(value)))
            else:
                known = ", ".join(item.name for item in fields(self))
                message = f"trait {name!r} can't be {value!r}; there are {known}"
                raise ValueError(message)

    def as_json(self) -> dict[str, object]:
        """Return all traits."""
        return {
            "list_lag": self.list_lag,
            "nic_lag": self.nic_lag,
            "graph_lag": self.graph_lag,
            "deleting": self.deleting,
            "denied": sorted(self.denied),
            "unidentified": sorted(self.unidentified),
            "demanded_tags": {group: list(tags) for group, tags in self.demanded_tags.items()},
            "page_size": self.page_size,
            "lacking": sorted(self.lacking),
            "exhausted": sorted(self.exhausted),
        }


_NAMES = {"denied", "unidentified", "lacking", "exhausted"}
"""Traits that are lists of names."""


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
