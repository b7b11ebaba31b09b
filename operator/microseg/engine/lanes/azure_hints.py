"""What Resource Graph hints at, and what follows from it. Pure: `azure_changes.py` reads the graph, and asks Azure.

A hint is a difference from what Resource Manager showed last. It is followed once: as long as the graph shows the same,
Resource Manager's answer stands, however long the graph lags behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from microseg.engine.lanes.budgets import subscription_of
from microseg.model.azure_facts import Vm
from microseg.model.azure_glimpse import Glimpse, Sighting

Shown = Mapping[str, Glimpse | None]
"""VmId -> what the graph shows of it; None: it lacks a VM that Resource Manager showed."""
Agreed = Mapping[str, tuple[bytes, Vm]]
"""VmId -> mark of what the graph showed, and the VM with which it agreed: no need to compare the same two again."""


@dataclass(frozen=True, slots=True)
class Hints:
    """All differences of one look."""

    open: Shown
    """Those that nobody answered yet."""
    answered: Shown
    """Those that Resource Manager answered already, and that the graph still shows in the same way."""
    agreed: Agreed = field(default_factory=dict, compare=False)
    """All others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read of Resource Manager."""

    reread: Mapping[str, str]
    """VmId -> ARM id of the VMs to read by themselves."""
    lists: bool
    """Whether the lists must tell: somebody may be absent, or too many VMs differ."""


def hints_in(shown: Iterable[Sighting], known: Mapping[str, Vm], answered: Shown, before: Agreed) -> Hints:
    """The differences. While a VM moves, the graph may show it twice: one that agrees is enough. `before`: what agreed.

    The VMs of two looks are the same objects as long as Resource Manager shows no difference.
    """
    agreed: dict[str, tuple[bytes, Vm]] = {}
    differing: dict[str, Glimpse | None] = {}
    for each in shown:
        vm, (mark, compared) = known.get(each.vm_id), before.get(each.vm_id, (b"", None))
        same = vm is not None and vm is compared and mark == each.mark
        glimpse = None if same else each.glimpse()
        if vm is not None and (same or (glimpse is not None and not glimpse.contradicts(vm))):
            agreed[vm.vm_id] = each.mark, vm
        elif glimpse is not None:
            differing.setdefault(each.vm_id, glimpse)
    for vm_id in agreed:
        differing.pop(vm_id, None)
    differing |= {vm_id: None for vm_id in known if vm_id not in agreed and vm_id not in differing}
    old = {vm_id for vm_id, glimpse in differing.items() if vm_id in answered and answered[vm_id] == glimpse}
    return Hints(
        open={vm_id: glimpse for vm_id, glimpse in differing.items() if vm_id not in old},
        answered={vm_id: differing[vm_id] for vm_id in old},
        agreed=agreed,
    )


def plan(hints: Shown, known: Mapping[str, Vm], waiting: Collection[str], most: Mapping[str, int]) -> Plan:
    """`waiting`: vmIds whose change counts once it is shown again.

    `most`: subscription in lower case -> requests that its lists need. Where its VMs would need more, or where it is
    not in there, its lists must tell; that holds up no other subscription's VMs.
    """
    lacking = any(glimpse is None for glimpse in hints.values())
    wanted = {vm_id: known[vm_id].record.resource_id for vm_id in waiting if vm_id in known}
    wanted |= {vm_id: glimpse.resource_id for vm_id, glimpse in hints.items() if glimpse is not None}
    requests = Counter[str]()
    for vm_id, resource_id in wanted.items():
        requests[subscription_of(resource_id)] += 1 + _nics(vm_id, hints, known)
    many = {name for name, number in requests.items() if number > most.get(name, 0)}
    few = {vm_id: resource_id for vm_id, resource_id in wanted.items() if subscription_of(resource_id) not in many}
    return Plan(few, lists=lacking or bool(many))


def _nics(vm_id: str, hints: Shown, known: Mapping[str, Vm]) -> int:
    glimpse = hints.get(vm_id)
    return len(glimpse.nics or ()) if glimpse is not None else len(known[vm_id].record.nics)
