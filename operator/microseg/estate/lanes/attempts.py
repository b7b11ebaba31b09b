"""The effect protocol for scripts on VMs: intent, PUT at most once, then only looks (architecture: exactly-once).

An effect of kind 3: neither repeatable nor named. Everything here is written so that a crash between any two lines
leaves a state in which a look decides.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Concatenate, ParamSpec, TypeVar

from microseg import scripts
from microseg.estate.entry import Entry
from microseg.estate.lanes.budgets import Budgets
from microseg.estate.ledger import Ledger
from microseg.estate.ports import Clock, Term
from microseg.estate.recorder import Intent, Recorder
from microseg.estate.workers import Workers
from microseg.gateways.ports import (
    AzureGateway,
    Busy,
    GatewayError,
    IllumioGateway,
    OutcomeUnknown,
    Refused,
    Rejected,
    Script,
    Throttled,
    Unreachable,
)
from microseg.model.condition import Reason
from microseg.model.facts import ABSENT, UNREADABLE, Absent, PairingProfile, PutOff, RunCommand, Seen, Vm
from microseg.model.host import AgentOutcome, AgentRecord, GoneProof
from microseg.model.plan import ProveGone, ReadRunCommand, StartScript
from microseg.model.secret import Secret
from microseg.stages.agent import INSTALL, cause_digest, retry_wanted
from microseg.stages.attempt import command_name, command_prefix, nonce, under_way
from microseg.stages.situation import Timing

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)
_PUT_OFF = 30.0
"""Seconds before a start is tried again that Azure or the PCE would not let begin; twice as long each time after."""
_LONGEST_PUT_OFF = 900.0


@dataclass(frozen=True, slots=True)
class Pairing:
    """What an attempt needs of the PCE."""

    gateway: IllumioGateway
    """Makes the keys."""
    profiles: Callable[[str], PairingProfile | str | None]
    """OS -> checked profile, or why there is none."""
    endpoint: str
    """host:port."""
    path_version: str
    """Version in the pairing script's URL; `18` is what the vendor's own collection uses
    (illumio/illumio.core, roles/ven)."""
    owner_id: str


class Attempts:
    """Starts scripts and looks at their run-commands."""

    def __init__(
        self,
        pairing: Pairing,
        ledger: Ledger,
        recorder: Recorder,
        term: Term,
        clock: Clock,
        timing: Timing,
        workers: tuple[Workers, Workers],
        budgets: Budgets,
    ) -> None:
        """`workers`: Azure's threads and the PCE's."""
        self._pairing, self._ledger, self._recorder, self._term = pairing, ledger, recorder, term
        self._clock, self._timing = clock, timing
        self._azure, self._illumio = workers
        self._budgets = budgets

    async def start(self, gateway: AzureGateway, vm: Vm, action: StartScript) -> None:
        """One attempt, from the last checks to the PUT. Returns early wherever something stands in the way."""
        entry = self._ledger.entries.get(vm.vm_id)
        if entry is None:
            return
        try:
            if not await self._fit(gateway, vm, entry) or under_way(_known(entry)):
                return
            record = await self._next(gateway, vm, entry, action.mode)
        except GatewayError as error:
            self._refused(entry, error)
            return
        entry.starting = record.started_at is None
        try:
            if await self._recorder.intend(vm.vm_id, record) is Intent.COMMITTED and entry.starting:
                await self._send(gateway, vm, entry, record)
        finally:
            entry.starting = False

    async def look(self, gateway: AzureGateway, vm: Vm, action: ReadRunCommand) -> None:
        """Read one run-command; what it shows becomes a fact of the host."""
        entry = self._ledger.entries.get(vm.vm_id)
        if entry is None:
            return
        try:
            seen = await self._read(gateway.run_command, vm.record.resource_id, action.name)
        except GatewayError as error:
            log.info("run-command not read", extra={"host": entry.host.name, "error": str(error)})
            entry.looked_at, entry.look_failed = self._clock(), str(error)
            return
        entry.looked_at, entry.looks, entry.look_failed = self._clock(), entry.looks + 1, ""
        entry.run_command = ABSENT if isinstance(seen, Absent) else Seen(seen)

    async def prove_gone(self, gateway: AzureGateway | None, action: ProveGone) -> None:
        """Ask for one VM by its id. 404 or another vmId is Azure's word that it is gone; nothing else is (S5)."""
        entry = self._ledger.entries.get(action.vm_id)
        if entry is None or gateway is None:
            return
        entry.gone_asked = time.monotonic()
        try:
            seen = await self._read(gateway.vm, action.resource_id)
        except (Throttled, Unreachable) as error:
            log.info("vm not asked for", extra={"host": entry.host.name, "error": str(error)})
            await asyncio.sleep(self._timing.look_pause)
            return
        except GatewayError as error:
            log.warning("vm neither shown nor gone", extra={"host": entry.host.name, "error": str(error)})
            entry.gone = UNREADABLE
            return
        if isinstance(seen, Absent):
            entry.gone = GoneProof.NOT_FOUND
        elif seen.vm_id != action.vm_id:
            entry.gone = GoneProof.RECREATED
        else:
            entry.missed_polls, entry.gone = 0, None  # the list was wrong: the VM is there

    async def _fit(self, gateway: AzureGateway, vm: Vm, entry: Entry) -> bool:
        """Read the VM itself: still the same vmId, running, its agent ready."""
        detail = await self._read(gateway.vm, vm.record.resource_id)
        if isinstance(detail, Absent) or detail.vm_id != vm.vm_id:
            self._put_off(entry, Reason.START_PUT_OFF, "Azure shows no VM with this vmId under its id any more.", 60.0)
            return False
        self._ledger.saw_detail(vm.vm_id, detail)
        if detail.power_state != "running":
            return False
        if not detail.agent_ready:
            self._put_off(
                entry,
                Reason.AGENT_NOT_READY,
                "Azure's agent on the VM does not report ready yet.",
                self._timing.look_pause,
            )
            return False
        return True

    async def _next(self, gateway: AzureGateway, vm: Vm, entry: Entry, mode: str) -> AgentRecord:
        """The record of the next attempt; a record that was lost finds what an earlier one began."""
        known = _known(entry)
        now = self._clock().replace(microsecond=0)
        profile = self._pairing.profiles(vm.record.os_type)
        life = profile.key_life if isinstance(profile, PairingProfile) and profile.key_life else self._timing.key_life
        found = 0
        if known.attempt == 0:
            latest = await self._latest(gateway, vm)
            if latest is not None:
                found, seen = latest
                if isinstance(seen, RunCommand) and not self._over_in_vain(vm, found, seen, now):
                    return self._followed(vm, found, seen, now)
        number = max(found, known.attempt) + 1
        cause = cause_digest(vm, profile)
        again = retry_wanted(entry.host) or (known.cause and known.cause != cause)
        return AgentRecord(
            attempt=number,
            mode=mode,
            run_command=command_name(vm.vm_id, number),
            nonce=nonce(vm.vm_id, number),
            intended_at=now,
            seals_at=now + timedelta(seconds=life + self._timing.sealing),
            failures=0 if again else known.failures,
            cause=cause,
        )

    async def _latest(self, gateway: AzureGateway, vm: Vm) -> tuple[int, RunCommand | Absent] | None:
        """The newest run-command of ours on the VM, with its instance view; its number counts even if it just went."""
        pattern = re.compile(re.escape(command_prefix(vm.vm_id)) + r"([0-9]{1,6})")
        listed = await self._read(gateway.run_commands, vm.record.resource_id)
        numbers = sorted(int(match[1]) for item in listed if (match := pattern.fullmatch(item.name.lower())))
        if not numbers:
            return None
        seen = await self._read(gateway.run_command, vm.record.resource_id, command_name(vm.vm_id, numbers[-1]))
        return numbers[-1], seen

    def _over_in_vain(self, vm: Vm, number: int, seen: RunCommand, now: datetime) -> bool:
        """Whether a found attempt is over and has paired nothing: only then may the next one begin (S1).

        Without our result line a terminal state proves little: the pairing script can outlive the shell that Azure
        killed at its time-out, so the attempt's whole time must have passed.
        """
        if not seen.terminal or seen.ended_at is None:
            return False
        result = scripts.parse_result(seen.output, nonce(vm.vm_id, number))
        if result is not None:
            return result.workload is None
        return now >= seen.ended_at + timedelta(seconds=self._timing.script_timeout + self._timing.grace)

    def _followed(self, vm: Vm, number: int, seen: RunCommand, now: datetime) -> AgentRecord:
        """An attempt of a lost record runs still: follow it, with bounds that are late rather than early."""
        return AgentRecord(
            attempt=number,
            mode=INSTALL,
            run_command=seen.name,
            nonce=nonce(vm.vm_id, number),
            intended_at=seen.started_at or now,
            seals_at=now + timedelta(seconds=self._timing.key_life + self._timing.sealing),
            started_at=seen.started_at or now,
        )

    async def _send(self, gateway: AzureGateway, vm: Vm, entry: Entry, record: AgentRecord) -> None:
        """Read the vmId once more, make a key, PUT once. What is certain not to have begun is said so at once."""
        try:
            detail = await self._read(gateway.vm, vm.record.resource_id)
            if isinstance(detail, Absent) or detail.vm_id != vm.vm_id:
                entry.concluded = AgentOutcome.NEVER_BEGAN
                return
            script = await self._script(vm, record)
        except GatewayError as error:
            log.info("nothing was sent", extra={"host": entry.host.name, "error": str(error)})
            self._never_began(entry, error)
            return
        try:
            await self._write(gateway.start_run_command, vm.record.resource_id, script)
        except OutcomeUnknown as error:
            log.warning("start in doubt", extra={"host": entry.host.name, "error": str(error)})
            return
        except (Busy, Throttled, Unreachable, Refused) as error:
            log.info("start put off by Azure", extra={"host": entry.host.name, "error": str(error)})
            self._never_began(entry, error)
            return
        except Rejected as error:
            log.warning("start refused by Azure", extra={"host": entry.host.name, "code": error.code})
            entry.concluded = AgentOutcome.REFUSED
            return
        entry.refused_starts = 0
        entry.run_command = Seen(
            RunCommand(record.run_command, "Pending", started_at=self._clock().replace(microsecond=0))
        )
        log.info(
            "script started", extra={"host": entry.host.name, "run_command": record.run_command, "mode": record.mode}
        )
        await self._tidy(gateway, vm, record)

    async def _script(self, vm: Vm, record: AgentRecord) -> Script:
        """The constant script with this VM's parameters; a key is made for an installer only."""
        profile = self._pairing.profiles(vm.record.os_type)
        protected: dict[str, Secret] = {}
        number = 0
        if record.mode == INSTALL:
            if not isinstance(profile, PairingProfile):
                raise Rejected("the pairing profile may not be used any more")
            self._term.check()
            number = profile.number
            protected["MICROSEG_ACTIVATION_CODE"] = await self._illumio.call(self._pairing.gateway.make_key, profile)
        assert record.seals_at is not None  # noqa: S101 - `_next` sets it
        windows = vm.record.os_type == "Windows"
        return Script(
            name=record.run_command,
            location=vm.record.location,
            windows=windows,
            text=scripts.WINDOWS if windows else scripts.LINUX,
            parameters={
                "MICROSEG_MODE": record.mode,
                "MICROSEG_VM_ID": vm.vm_id,
                "MICROSEG_PCE": self._pairing.endpoint,
                "MICROSEG_PCE_PATH_VERSION": self._pairing.path_version,
                "MICROSEG_PROFILE_ID": str(number),
                "MICROSEG_NOT_AFTER": str(int(record.seals_at.timestamp())),
                "MICROSEG_NONCE": record.nonce,
            },
            protected=protected,
            timeout=int(self._timing.script_timeout),
            tags={"microseg.dev/owner": self._pairing.owner_id, "microseg.dev/vm-id": vm.vm_id},
        )

    async def _tidy(self, gateway: AzureGateway, vm: Vm, record: AgentRecord) -> None:
        """Delete the run-command before this one, which is over: Azure allows 25 a VM, the newest stays."""
        if record.attempt < 2:
            return
        name = command_name(vm.vm_id, record.attempt - 1)
        try:
            await self._write(gateway.delete_run_command, vm.record.resource_id, name)
        except GatewayError as error:
            log.info("old run-command stays", extra={"run_command": name, "error": str(error)})

    async def _read(
        self, function: Callable[Concatenate[str, P], R], resource_id: str, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """A read of Resource Manager, within the budget."""
        await asyncio.sleep(self._budgets.of(resource_id).reads.reserve())
        return await self._azure.call(function, resource_id, *args, **kwargs)

    async def _write(
        self, function: Callable[Concatenate[str, P], R], resource_id: str, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """An effect on Resource Manager, within the budget and only with the Lease."""
        await asyncio.sleep(self._budgets.of(resource_id).writes.reserve())
        self._term.check()
        return await self._azure.call(function, resource_id, *args, **kwargs)

    def _never_began(self, entry: Entry, error: GatewayError) -> None:
        """The intended attempt is over before it began: say why, and begin the next after a pause."""
        entry.concluded = AgentOutcome.NEVER_BEGAN
        self._refused(entry, error)

    def _refused(self, entry: Entry, error: GatewayError) -> None:
        """A system did not let it begin: try when it says, or else later and later, and never give up (L3)."""
        if isinstance(error, Throttled):
            pause = error.retry_after
        else:
            pause = min(_PUT_OFF * 2 ** min(entry.refused_starts, 8), _LONGEST_PUT_OFF)
            entry.refused_starts += 1
        self._put_off(entry, Reason.START_PUT_OFF, f"{error}.", pause)

    def _put_off(self, entry: Entry, reason: Reason, message: str, pause: float) -> None:
        """Nothing was intended: say why, and try again after the pause."""
        entry.put_off = PutOff(reason, message, self._clock() + timedelta(seconds=pause))


def _known(entry: Entry) -> AgentRecord:
    """The latest attempt: as it was decided to have ended, else as it is recorded."""
    recorded = entry.host.status.agent or AgentRecord()
    decided = entry.decision.status.agent if entry.decision else None
    return decided if decided is not None and decided.attempt >= recorded.attempt else recorded
