"""How long Azure takes for things, in vendor seconds: each is divided by the clock's scale when waited for."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class Timing:
    """The latencies of this world; what begins after a change takes the new time.

    `pickup`: from the PUT of a run-command until its script starts (learn.microsoft.com says about 20 s at least);
    `report`: from the script's end until Azure shows it; `agent_patience`: how long Azure waits for a silent agent
    (25 min in Azure/azure-powershell#5741).
    """

    pickup: float = 20.0
    report: float = 5.0
    remove: float = 15.0
    agent: float = 30.0
    agent_patience: float = 1500.0
    boot: float = 25.0
    stop: float = 20.0
    create: float = 20.0

    def change(self, values: dict[str, object]) -> None:
        """Set latencies by name; ValueError for an unknown one or what is no time."""
        known = [item.name for item in fields(self)]
        for name, value in values.items():
            if name not in known or not _is_time(value):
                message = f"latency {name!r} can't be {value!r}; there are {', '.join(known)}, in seconds"
                raise ValueError(message)
            setattr(self, name, float(str(value)))


@dataclass(slots=True)
class Traits:
    """What is switched on or off while the world runs. Times are vendor seconds.

    `list_lag`: how late lists show a VM's creation, change and end (a GET shows them at once); `nic_lag`: how long a
    new VM's NIC does not name its VM; `deleting`: how long a VM whose deletion was ordered is there as `Deleting`;
    `denied`: resource groups (lower case) that the caller may not read: missing in lists, 403 by themselves.
    """

    list_lag: float = 0.0
    nic_lag: float = 0.0
    deleting: float = 30.0
    denied: set[str] = field(default_factory=set)

    def change(self, values: dict[str, object]) -> None:
        """Set traits by name; ValueError for an unknown one or a value of the wrong type."""
        for name, value in values.items():
            if name == "denied" and isinstance(value, list):
                self.denied = {str(group).lower() for group in value}
            elif name in {item.name for item in fields(self)} - {"denied"} and _is_time(value):
                setattr(self, name, float(str(value)))
            else:
                message = f"trait {name!r} can't be {value!r}; there are list_lag, nic_lag, deleting and denied"
                raise ValueError(message)

    def as_json(self) -> dict[str, object]:
        """All of them."""
        return {
            "list_lag": self.list_lag,
            "nic_lag": self.nic_lag,
            "deleting": self.deleting,
            "denied": sorted(self.denied),
        }


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
