"""What is asked of the whole fleet: counts and sets that change with each row, so that nobody searches the table.

`HostTable` owns it and tells it of every record and decision. Each question that went through all rows at every reading
or publish made the operator's work grow with the square of the fleet.
"""

from __future__ import annotations

from collections import Counter

from microseg.model.condition import ConditionType
from microseg.model.host import ManagedHost
from microseg.model.spelling import lowered
from microseg.model.verdict import Done
from microseg.planning.decide import Decision, Standing
from microseg.planning.guard import was_commissioned


class FleetIndex:
    """All hosts of one estate, by what is asked of them."""

    def __init__(self) -> None:
        """Begin with no host."""
        self.standings: Counter[Standing] = Counter()
        """How the hosts stand, by their latest decisions."""
        self.commissioned: set[str] = set()
        """VmIds whose record says that they were commissioned once."""
        self.missing: set[str] = set()
        """VmIds whose record says that Azure's list lacks them."""
        self.workloads: dict[str, str] = {}
        """VmId -> href of the workload that the record names."""
        self.unpaired: set[str] = set()
        """VmIds whose recorded workload the latest reading of the PCE lacked."""
        self.firewall_bound: set[str] = set()
        """VmIds that a newer revision, published or installed, says something new about."""
        self.claims: dict[str, tuple[str, ...]] = {}
        """Workload's uuid in lower case -> vmIds whose script named it."""
        self._claims: dict[str, str] = {}

    def recorded(self, vm_id: str, record: ManagedHost) -> None:
        """The host's record is this now."""
        _put(self.commissioned, vm_id, there=was_commissioned(record))
        _put(self.missing, vm_id, there=record.status.missing_since is not None)
        if record.status.illumio is not None and record.status.illumio.workload:
            self.workloads[vm_id] = record.status.illumio.workload
        else:
            self.workloads.pop(vm_id, None)

    def decided(self, vm_id: str, before: Decision | None, decision: Decision) -> None:
        """The host is decided anew."""
        if before is not None:
            self.standings[before.standing] -= 1
        self.standings[decision.standing] += 1
        _put(self.firewall_bound, vm_id, there=_firewall_bound(decision))

    def claimed(self, vm_id: str, uuid: str) -> None:
        """The host's script names this workload; empty: none."""
        uuid, known = lowered(uuid), self._claims.pop(vm_id, "")
        if known and (others := tuple(each for each in self.claims.pop(known) if each != vm_id)):
            self.claims[known] = others
        if uuid:
            self._claims[vm_id] = uuid
            self.claims[uuid] = (*self.claims.get(uuid, ()), vm_id)

    def forget(self, vm_id: str, decision: Decision | None) -> None:
        """The host's record is gone."""
        if decision is not None:
            self.standings[decision.standing] -= 1
        for each in (self.commissioned, self.missing, self.unpaired, self.firewall_bound):
            each.discard(vm_id)
        self.workloads.pop(vm_id, None)
        self.claimed(vm_id, "")


def _put(into: set[str], vm_id: str, *, there: bool) -> None:
    if there:
        into.add(vm_id)
    else:
        into.discard(vm_id)


def _firewall_bound(decision: Decision) -> bool:
    """Whether the decision depends on which revision is published or installed.

    It does not where nothing is published for the host yet, and where its objects are published and installed: a later
    revision covers them too.
    """
    if decision.status.retirement is not None:
        return True
    stages = (ConditionType.GROUPED, ConditionType.POLICY_INSTALLED)
    settled = all(isinstance(decision.verdicts.get(kind), Done) for kind in stages)
    return decision.status.check_point is not None and not settled
