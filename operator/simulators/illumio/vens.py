"""VENs: their state, and unpairing (acknowledged by the agent, or given up).

Called by the routes, the agent's side and the control port. Rules: the Terraform provider illumio-core and
illumio-pylo (`vens/unpair` answers an `errors` list), the vendor's manual 25.2 (a suspended VEN can't be unpaired),
the event catalogue's `system_task.agent_uninstall_timeout`. How long a PCE waits for that is not publicly known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import UnsetType

from simulators.illumio.bodies import UnpairVens, UnpairWorkloads, VenBody
from simulators.illumio.context import Context
from simulators.illumio.errors import refuse_missing
from simulators.illumio.records import Ven, Workload
from simulators.illumio.workloads import Workloads

Unpaired = Callable[[Workload], None]


class Vens:
    """The VENs of all workloads. `unpaired` listeners get each unpaired workload, to remove its machine's VEN."""

    def __init__(self, context: Context, workloads: Workloads) -> None:
        self._context = context
        self._workloads = workloads
        self.unpaired: list[Unpaired] = []

    def all(self) -> Iterator[tuple[Workload, Ven]]:
        """Every VEN with its workload, uninstalled ones too."""
        return ((workload, workload.ven) for workload in self._workloads.all() if workload.ven is not None)

    def get(self, href: str) -> tuple[Workload, Ven]:
        """Return the VEN and its workload; 404."""
        found = self._find(href)
        if found is None:
            refuse_missing(href)
        return found

    def update(self, href: str, body: VenBody) -> None:
        """Change what may be changed; `status` only marks."""
        workload, ven = self.get(href)
        for name in ("name", "description", "target_pce_fqdn"):
            value = getattr(body, name)
            if not isinstance(value, UnsetType):
                setattr(ven, name, value)
        if not isinstance(body.status, UnsetType):
            ven.status = body.status
        self._workloads.touch(workload)
        self._context.changed(f"VEN {href} changed")
        self._context.event("agent.update", href)

    def unpair(self, body: UnpairVens) -> list[dict[str, object]]:
        """Accept what can be unpaired; return errors with the HREFs of the others."""
        return self._unpair([item.href for item in body.vens], body.firewall_restore)

    def unpair_workloads(self, body: UnpairWorkloads) -> None:
        """Unpair by workload, as older clients do; nothing is reported."""
        vens = [f"{self._context.org}/vens/{item.href.rpartition('/')[2]}" for item in body.workloads]
        self._unpair(vens, body.ip_table_restore)

    def unpair_at_once(self, workload: Workload) -> None:
        """Unpair without delay, as when a person unpairs on the machine."""
        self._leave(workload, "agent.deactivate")

    def acknowledge(self, agent_number: int, uuid: str) -> None:
        """Record that an agent uninstalled itself; 404 if number and workload do not match."""
        workload = self._workloads.active(f"{self._context.org}/workloads/{uuid}")
        if workload.ven is None or workload.ven.agent_href != f"{self._context.org}/agents/{agent_number}":
            refuse_missing(f"agent {agent_number}")
        self._leave(workload, "agent.deactivate")

    def goodbye(self, workload: Workload) -> None:
        """Record the shutdown of the machine: it is offline after the PCE's goodbye time."""
        ven = self._managed(workload)
        ven.last_goodbye, ven.beats = self._context.stamp(), False
        self._workloads.touch(workload)
        self._context.event("agent.goodbye", ven.agent_href)
        self._context.later(self._context.traits.goodbye_seconds, lambda: self._still_gone(workload, ven))

    def set_online(self, workload: Workload, *, online: bool) -> None:
        """Set whether heartbeats arrive, or have been missing for long enough."""
        ven = self._managed(workload)
        workload.online = ven.beats = online
        if online:
            ven.last_heartbeat, ven.last_goodbye = self._context.stamp(), None
        self._workloads.touch(workload)
        kind = "workload.online" if online else "system_task.agent_offline_check"
        self._context.event(kind, workload.href, severity="info" if online else "warning")
        word = "online" if online else "offline"
        self._context.changed(f"workload {workload.href} {word}", f"world.workload-{word}")

    def machine(self, uuid: str, *, runs: bool, goodbye: bool = True) -> None:
        """A VM starts or stops: its VEN's heartbeats begin, or end with a goodbye or (disk wiped) without."""
        workload = self._workloads.peek(f"{self._context.org}/workloads/{uuid}")
        ven = workload.ven if workload is not None else None
        if workload is None or ven is None or workload.deleted_at is not None or ven.beats == runs:
            return
        if runs:
            self.set_online(workload, online=True)
        elif goodbye:
            self.goodbye(workload)
        else:
            ven.beats = False
            seconds = self._context.traits.offline_seconds
            if seconds >= 0:
                self._context.later(seconds, lambda: self._still_silent(workload, ven))

    def _unpair(self, hrefs: Sequence[str], restore: str) -> list[dict[str, object]]:
        errors: list[dict[str, object]] = []
        accepted: list[str] = []
        for href in hrefs:
            reason = self._begin(href)
            if reason is None:
                accepted.append(href)
            else:
                errors.append({"token": reason[0], "message": reason[1], "hrefs": [href]})
        for href in accepted:
            self._context.changed(f"ven {href} to be unpaired, firewall {restore}")
        self._context.event("agents.unpair", *accepted, change="delete")
        return errors

    def _begin(self, href: str) -> tuple[str, str] | None:
        """Start to unpair one VEN, or return why not."""
        found = self._find(href)
        if found is None or found[0].deleted_at is not None:
            return "not_found_error", f"{href} does not exist"
        workload, ven = found
        if ven.status == "suspended":
            return "unpair_not_allowed", f"{href} is suspended"
        if not ven.unpairing:
            ven.unpairing = True
            traits = self._context.traits
            if ven.beats:
                self._context.later(traits.unpair_ack_seconds, lambda: self._answer(workload, ven))
            self._context.later(
                traits.unpair_timeout_seconds, lambda: self._leave(workload, "system_task.agent_uninstall_timeout")
            )
        return None

    def _answer(self, workload: Workload, ven: Ven) -> None:
        """Let the agent acknowledge the unpair, if its machine still runs."""
        if ven.beats and ven.unpairing:
            self._leave(workload, "agent.deactivate")

    def _leave(self, workload: Workload, kind: str) -> None:
        ven = workload.ven
        if ven is None or workload.deleted_at is not None:
            return
        ven.status, ven.unpairing = "uninstalled", False
        self._workloads.mark_deleted(workload)
        self._context.event(kind, ven.agent_href, workload.href, change="delete")
        self._context.changed(f"workload {workload.href} unpaired ({workload.hostname})", "world.workload-unpaired")
        for listener in self.unpaired:
            listener(workload)

    def _still_gone(self, workload: Workload, ven: Ven) -> None:
        if ven.last_goodbye is not None and workload.online and workload.deleted_at is None:
            self.set_online(workload, online=False)

    def _still_silent(self, workload: Workload, ven: Ven) -> None:
        if not ven.beats and workload.online and workload.deleted_at is None:
            self.set_online(workload, online=False)

    def _find(self, href: str) -> tuple[Workload, Ven] | None:
        prefix, _, identity = href.rpartition("/")
        if prefix != f"{self._context.org}/vens":
            return None
        workload = self._workloads.peek(f"{self._context.org}/workloads/{identity}")
        return (workload, workload.ven) if workload is not None and workload.ven is not None else None

    def _managed(self, workload: Workload) -> Ven:
        if workload.ven is None:
            message = f"workload {workload.href} is not managed"
            raise ValueError(message)
        return workload.ven
