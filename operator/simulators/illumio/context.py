"""What all parts of one PCE share: environment, organisation, traits, timers, audit events.

Made by `world.py`; every rule reports its changes here, so that the ledger and the PCE's events agree.
"""

from __future__ import annotations

import heapq
import itertools
import uuid
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

from simulators.environment import Environment

_EVENTS_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a change: `href` of a user or an agent ("": the PCE itself), and the request, if any."""

    href: str = ""
    method: str = ""
    path: str = ""
    changed: list[str] | None = None

    def reference(self) -> dict[str, object]:
        """Return the `created_by` of an event."""
        if "/agents/" in self.href:
            return {"agent": {"href": self.href}}
        return {"user": {"href": self.href}} if self.href else {"system": {}}


caller: ContextVar[Caller] = ContextVar("caller", default=Caller())  # noqa: B039 - frozen, nothing is added to it


@dataclass(slots=True)
class Traits:
    """Behaviour that differs between PCEs, or is not publicly known. Times are vendor seconds.

    `has_*` and `labels_with_key_value` off: an older PCE. `unfiltered_total`: X-Total-Count counts all workloads, as
    one field report measured. `absolute_location`: as some versions of the manual say. `terse_bulk_errors`: a failed
    item is its href alone. `offline_seconds` and `goodbye_seconds`: a VEN is offline so long after its last
    heartbeat (-1: never), or its goodbye. `retry_after`: seconds sent with a 429, None for no header.
    `list_lag_seconds`: how often lists are refreshed, 0: at once.
    """

    version: str = "24.2.0"
    build: int = 312
    has_set_labels: bool = True
    has_label_dimensions: bool = True
    labels_with_key_value: bool = True
    unfiltered_total: bool = False
    absolute_location: bool = False
    terse_bulk_errors: bool = False
    retry_after: int | None = None
    collection_cap: int = 500
    live_keys_per_profile: int = 5000
    pairing_seconds: float = 90.0
    policy_seconds: float = 30.0
    job_seconds: float = 3.0
    job_fails: bool = False
    bulk_seconds: float = 1.0
    unpair_ack_seconds: float = 60.0
    unpair_timeout_seconds: float = 900.0
    heartbeat_seconds: float = 300.0
    offline_seconds: float = 3600.0
    goodbye_seconds: float = 900.0
    list_lag_seconds: float = 0.0

    def change(self, values: dict[str, object]) -> None:
        """Set traits by name; raises ValueError for an unknown name or a value of the wrong type."""
        known = {item.name for item in fields(self)}
        for name, value in values.items():
            if name not in known:
                message = f"unknown trait {name!r}; there are {', '.join(sorted(known))}"
                raise ValueError(message)
            old = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            fits = (
                number if isinstance(old, int | float) and not isinstance(old, bool) else isinstance(value, type(old))
            )
            if not fits and not (name == "retry_after" and (value is None or isinstance(value, int))):
                message = f"trait {name!r} can't be {value!r}"
                raise ValueError(message)
            setattr(self, name, value)


@dataclass(slots=True)
class Context:
    """The shared parts of one PCE. `host`: `name:port` as clients reach it."""

    environment: Environment
    org_id: int
    host: str
    traits: Traits = field(default_factory=Traits)
    events: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=_EVENTS_KEPT))
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def org(self) -> str:
        """The organisation's HREF."""
        return f"/orgs/{self.org_id}"

    @property
    def fqdn(self) -> str:
        """The PCE's name without the port."""
        return self.host.rpartition(":")[0] or self.host

    def now(self) -> float:
        """Epoch seconds."""
        return self.environment.clock.now()

    def stamp(self) -> str:
        """Return the time as the PCE writes it."""
        return iso(self.now())

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do `act` after `seconds` of the vendor's time."""
        heapq.heappush(self._due, (self.now() + self.environment.clock.latency(seconds), next(self._order), act))

    def advance(self) -> None:
        """Do what is due by now. Called before every request and by a slow ticker."""
        now = self.now()
        while self._due and self._due[0][0] <= now:
            act = heapq.heappop(self._due)[2]
            token = caller.set(Caller())
            try:
                act()
            finally:
                caller.reset(token)

    def changed(self, text: str, operation: str = "world.changed") -> None:
        """Add a change to the ledger: to the entry of its request, else as an entry of its own."""
        noted = caller.get().changed
        if noted is None or operation != "world.changed":
            self.environment.ledger.append("illumio", operation, changed=(text,))
        else:
            noted.append(text)

    def event(self, kind: str, *hrefs: str, change: str = "update", severity: str = "info") -> None:
        """Append an audit event for these objects."""
        who = caller.get()
        event: dict[str, object] = {
            "href": f"{self.org}/events/{uuid.uuid4()}",
            "timestamp": self.stamp(),
            "pce_fqdn": self.fqdn,
            "created_by": who.reference(),
            "event_type": kind,
            "status": "success",
            "severity": severity,
            "resource_changes": [
                {"uuid": str(uuid.uuid4()), "resource": {_kind(href): {"href": href}}, "change_type": change}
                for href in hrefs
            ],
            "notifications": [],
        }
        if who.method:
            event["action"] = {"api_endpoint": who.path, "api_method": who.method, "http_status_code": 200}
        self.events.append(event)


def iso(at: float) -> str:
    """RFC 3339 with milliseconds and Z."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _kind(href: str) -> str:
    """Return the type of an object by its HREF: `/orgs/1/labels/2` is a label."""
    parts = href.split("/")
    return parts[-2].removesuffix("s") if len(parts) > 1 else "object"
