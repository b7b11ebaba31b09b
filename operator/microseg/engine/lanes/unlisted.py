"""Asks the PCE by href for the recorded workloads that its list lacks: a list with a gap unpairs nobody (S5).

A key whose role was narrowed, a database that is being restored and a row that cannot be read make the list shorter,
with a 200. Only the PCE's own 404 for the href, or a workload that it shows as deleted, means that it is gone. The
Illumio lane calls it after each list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from microseg.gateways.ports import GatewayError, IllumioGateway, Reading, Refused, Rejected
from microseg.model.illumio_facts import Workload

MOST = 100
"""Requests after one list: 13 seconds of the PCE's budget. The other hosts stay in doubt meanwhile."""
_SETTLED = 2
"""Answers that a workload is gone, of two readings: then it is not asked for again while the list lacks it."""
Read = Callable[[Reading[Workload | None]], Awaitable[Workload | None]]
"""Reads it in its turn. Raises GatewayError."""


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What came of it."""

    shown: tuple[Workload, ...] = ()
    """Workloads that the list lacks and the PCE shows by their href."""
    lost: frozenset[str] = frozenset()
    """VmIds whose recorded workload is gone."""
    doubtful: frozenset[str] = frozenset()
    """VmIds of whose recorded workload nothing is known."""

    def sentences(self) -> tuple[str, ...]:
        """What a person should know of the list."""
        told = []
        if self.shown:
            told.append(
                f"The list of workloads lacks {len(self.shown)} that the PCE shows by their href: the list has gaps"
            )
        if self.doubtful:
            told.append(
                f"The list of workloads lacks those of {len(self.doubtful)} hosts, and the PCE does not say that they "
                "are gone: look at the role and scope of the API key"
            )
        return tuple(told)


class UnlistedWorkloads:
    """Remembers which of them were found gone."""

    def __init__(self, illumio: IllumioGateway, read: Read) -> None:
        self._illumio, self._read = illumio, read
        self._gone: dict[str, int] = {}
        """Href -> answers in a row that it is gone."""

    async def ask(self, listed: Collection[Workload], recorded: Mapping[str, str], urgent: Collection[str]) -> Unlisted:
        """What of the recorded workloads is missing. `recorded`: vmId -> href; `urgent`: vmIds that are asked first."""
        there = {workload.href for workload in listed}
        missing = {vm_id: href for vm_id, href in recorded.items() if href not in there}
        self._gone = {href: times for href, times in self._gone.items() if href in missing.values()}
        shown, answered = await self._ask(to_ask(missing, self._gone, set(urgent)))
        for href in answered:
            self._gone[href] = self._gone.get(href, 0) + 1
        for workload in shown:
            self._gone.pop(workload.href, None)
        found = {workload.href for workload in shown}
        lost = frozenset(vm_id for vm_id, href in missing.items() if href in self._gone)
        return Unlisted(
            tuple(shown),
            lost,
            frozenset(vm_id for vm_id, href in missing.items() if vm_id not in lost and href not in found),
        )

    async def _ask(self, hrefs: Collection[str]) -> tuple[list[Workload], list[str]]:
        """The workloads that are there, and the hrefs that are gone. Once the PCE does not answer, nothing is asked."""
        shown, gone = [], []
        for href in hrefs:
            try:
                workload = await self._read(self._illumio.workload(href))
            except (Refused, Rejected):
                self._gone.pop(href, None)
                continue
            except GatewayError:
                self._gone.pop(href, None)
                break
            if workload is None:
                gone.append(href)
            else:
                shown.append(workload)
        return shown, gone


def to_ask(missing: Mapping[str, str], gone: Mapping[str, int], urgent: Collection[str]) -> list[str]:
    """The hrefs to ask for, at most `MOST`: those of VMs that Azure lacks first, else always the same ones."""
    open_ = sorted((vm_id not in urgent, href) for vm_id, href in missing.items() if gone.get(href, 0) < _SETTLED)
    return [href for _, href in open_[:MOST]]
