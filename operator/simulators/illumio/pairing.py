"""The agent's side of the PCE: activation with a code, and planned failures of a machine's pairing.

This simulator's `pair.sh` and `pair.ps1` use it (by a protocol of their own: the real one is not public). The control
port plans failures here and adds machines that are already paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from simulators.illumio import heartbeats
from simulators.illumio.bodies import Guest, InterfaceBody
from simulators.illumio.context import Caller, Context, caller
from simulators.illumio.errors import PceError, refuse_missing
from simulators.illumio.labels import Label
from simulators.illumio.profiles import Profile, Profiles
from simulators.illumio.records import Workload
from simulators.illumio.workloads import Workloads

How = Literal["refuse", "error", "html", "hang"]
_OS_IDS = {"linux": "ubuntu-x86_64-jammy", "windows": "win-x86_64-server"}


@dataclass(slots=True)
class PairingFault:
    """The next `times` pairings of one hostname ("*": of any) fail.

    `refuse`: 403 with `token`; `error`: 500; `html`: a proxy's 503 page; `hang`: no answer for `seconds` (real), then
    503. None of them uses up the code.
    """

    times: int = 1
    how: How = "refuse"
    token: str = "activation_code_invalid"  # noqa: S105 - an error's name
    seconds: float = 600.0


class Pairing:
    """Admits agents and creates their workloads."""

    def __init__(self, context: Context, profiles: Profiles, workloads: Workloads) -> None:
        self._context = context
        self._profiles = profiles
        self._workloads = workloads
        self._faults: dict[str, PairingFault] = {}

    def order(self, hostname: str, fault: PairingFault) -> None:
        """Make the next pairings of a hostname fail; `times` 0 cancels it."""
        if fault.how not in get_args(How):
            message = f"'how' must be one of {', '.join(get_args(How))}, not {fault.how!r}"
            raise ValueError(message)
        self._faults.pop(hostname.lower(), None)
        if fault.times > 0:
            self._faults[hostname.lower()] = fault

    def take_fault(self, hostname: str) -> PairingFault | None:
        """Return the planned failure for this pairing, and count it."""
        for name in (hostname.lower(), "*"):
            fault = self._faults.get(name)
            if fault is not None:
                fault.times -= 1
                if fault.times <= 0:
                    del self._faults[name]
                return fault
        return None

    def admit(self, guest: Guest) -> Profile:
        """Check and use the code; 403 says why not. `enrol` creates the workload a pairing time later."""
        try:
            return self._profiles.admit(guest.activation_code)
        except PceError:
            self._context.event("agent.activate_failed", severity="err")
            raise

    def enrol(self, guest: Guest, profile: Profile) -> Workload:
        """Create the workload with the profile's labels and enforcement. A machine that pairs again gets a new one."""
        return self._paired(
            guest.hostname, guest.os, guest.interfaces, labels=profile.labels, mode=profile.enforcement_mode
        )

    def preload(
        self, hostname: str, interfaces: Sequence[InterfaceBody], os: str = "linux", profile: str | None = None
    ) -> Workload:
        """Add a machine that is already paired; return its workload, in sync and online. `profile` is an HREF."""
        labels: dict[str, Label] = {}
        mode = "visibility_only"
        if profile is not None:
            found = self._profiles.get(profile)
            labels, mode = found.labels, found.enforcement_mode
        return self._paired(hostname, os, interfaces, labels=labels, mode=mode, settled=True)

    def find(self, key: str) -> Workload:
        """Return the managed workload with a uuid, else the newest one with a hostname (case ignored); 404."""
        by_uuid = self._workloads.peek(f"{self._context.org}/workloads/{key}")
        if by_uuid is not None:
            return by_uuid
        named = [
            workload
            for workload in self._workloads.all()
            if workload.deleted_at is None and (workload.hostname or "").lower() == key.lower()
        ]
        if not named:
            refuse_missing(key)
        return named[-1]

    def _paired(
        self,
        hostname: str,
        os: str,
        interfaces: Sequence[InterfaceBody],
        *,
        labels: dict[str, Label],
        mode: str,
        settled: bool = False,
    ) -> Workload:
        token = caller.set(Caller())
        try:
            os_id = _OS_IDS.get(os.lower(), os)
            workload = self._workloads.enrol(hostname, os_id, interfaces, labels, mode, settled=settled)
            heartbeats.begin(self._context, workload)
            self._context.changed(f"workload {workload.href} paired ({hostname})", "world.workload-paired")
        finally:
            caller.reset(token)
        return workload
