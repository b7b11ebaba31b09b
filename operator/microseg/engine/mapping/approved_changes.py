"""Which changes of which hosts persons approved, of a list that was shown: by an Approval or by the annotation.

A list stays approved for the hosts and the changes that it names when others join those that wait, for an hour, over a
restart too: an Approval brings its list along. One without a list, or an annotation, is good after a restart as long as
all that it was of, and nothing else, still waits. `engine.mapping.hourly_changes` asks before it judges.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from datetime import datetime

from microseg.engine.state.host_table import HostTable
from microseg.model.approval import Approval
from microseg.model.estate import Estate
from microseg.model.estate_status import UsedApproval
from microseg.planning import guard
from microseg.planning.approvals import listed
from microseg.planning.guard import PlanHold
from microseg.planning.hourly_guard import HOUR, covers, recorded

_LISTS = 32
"""Lists of those that wait that are remembered: a living fleet makes another one every few seconds."""

Changes = Mapping[str, frozenset[str]]
"""VmId -> kinds of change."""


class ApprovedChanges:
    """Keeps what was shown and what was approved."""

    def __init__(self, table: HostTable) -> None:
        """Begin with nothing shown; Approvals bring what was shown before."""
        self._table = table
        self._offered: dict[str, PlanHold] = {}
        """Digest -> a list that waited; a person may have looked at it since."""
        self._taken: set[tuple[str, str, int]] = set()
        """Approvals whose list was taken over: each lets a host through once."""
        self._open: dict[str, tuple[frozenset[str], datetime]] = {}
        """VmId -> the changes that a person let through and that have not begun, and since when."""

    def offer(self, hold: PlanHold) -> None:
        """This list is shown."""
        self._offered[hold.digest] = hold
        for digest in list(self._offered)[:-_LISTS]:
            del self._offered[digest]

    def take(self, used: UsedApproval, changes: Changes) -> None:
        """These may begin for an hour."""
        self._taken.add(_key(used))
        self._open |= {vm_id: (kinds, used.at) for vm_id, kinds in changes.items()}

    def resume(self, changing: Changes, estate: Estate, now: datetime) -> None:
        """Take over what was approved within the hour and a process before had begun."""
        for used in estate.status.approvals:
            if changing and _key(used) not in self._taken and abs(now - used.at) < HOUR:
                seen = self._seen(used, changing)
                since = recorded(self._table.hosts[vm_id].record for vm_id in seen if vm_id in self._table.hosts)
                seen = {vm_id: kinds for vm_id, kinds in seen.items() if vm_id not in since or since[vm_id] < used.at}
                if seen:  # a host that changed otherwise since then does so again only if a person says so again
                    self.take(used, seen)

    def begin(self, changing: Changes, now: datetime) -> frozenset[str]:
        """The hosts that change as a person approved. They begin now, so they do not wait any more."""
        self._open = {vm_id: each for vm_id, each in self._open.items() if abs(now - each[1]) < HOUR}
        begun = frozenset(
            vm_id for vm_id, kinds in changing.items() if vm_id in self._open and covers(self._open[vm_id][0], kinds)
        )
        for vm_id in begun:
            del self._open[vm_id]
        return begun

    def shown(
        self, hold: PlanHold, given: Mapping[str, Approval], annotated: Container[str]
    ) -> Iterator[tuple[PlanHold, PlanHold]]:
        """Each list that a person named, and what of `hold` is on it. `given`, `annotated`: by digest."""
        for approval in given.values():  # a list that was shown before this process began
            if (seen_before := guard.shown(approval.subject, listed(approval), "")) is not None:
                self._offered.setdefault(approval.subject, seen_before)
        for digest, offered in self._offered.items():
            if digest in given or digest in annotated:
                seen = offered.changes
                part = {
                    vm_id: kinds
                    for vm_id, kinds in hold.changes.items()
                    if vm_id in seen and covers(seen[vm_id], kinds)
                }
                if part:
                    yield offered, guard.hold_of("", part)

    def _seen(self, used: UsedApproval, changing: Changes) -> Changes:
        """The list of a used approval; empty: nobody knows it any more."""
        latest = self._table.latest
        approval = next((each for each in latest.approvals if used.uid and each.uid == used.uid), None)
        lists = (listed(approval), changing) if approval is not None else (changing,)
        revisions = ("", latest.mapping.digest) if latest.mapping is not None else ("",)
        return next(
            (each for each in lists for revision in revisions if guard.shown(used.digest, each, revision) is not None),
            {},
        )


def _key(used: UsedApproval) -> tuple[str, str, int]:
    return used.uid, used.digest, used.max_hosts
