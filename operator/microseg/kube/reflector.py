"""The reflector: follows every ManagedHost of one estate by a list and a watch, in one thread.

`engine/cluster/host_feed.py` runs it and writes what it delivers into the host table.

    no resourceVersion ──WatchList──▶ all hosts, end mark ──▶ Synced ──▶ changes ──▶ ...
            ▲  (refused: LIST in pages, then WATCH)                      │   connection ends: continue from there
            └──────────────────────────── 410: it is too old ◀───────────┘

Nothing reports what was deleted in a gap, so `Synced` has all names, and the reader removes the rest.
Streaming lists: https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from microseg.kube.client import Api, Watch
from microseg.kube.errors import Expired, Invalid, KubeError, Unavailable, error_from
from microseg.kube.hosts import decode_host
from microseg.kube.resources import MANAGED_HOSTS
from microseg.kube.serialization import Metadata
from microseg.model.host import ManagedHost
from microseg.model.names import ESTATE_LABEL

SILENCE = 70.0
"""Seconds without a byte after which a watch counts as broken: the server sends a bookmark every minute."""
LISTED = 30.0
"""Seconds in which a streamed list comes to its end mark; else it is read in pages."""
_PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds before the 1st, 2nd, ... try after a failure; every byte from the server resets them."""
_PAGE = 500
_BATCH = 256
_END_MARK = "k8s.io/initial-events-end"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upserted:
    """A host exists, or has changed."""

    host: ManagedHost


@dataclass(frozen=True, slots=True)
class Deleted:
    """The record of a host was deleted."""

    name: str
    vm_id: str


@dataclass(frozen=True, slots=True)
class Synced:
    """A list is complete: a host that is not in `names`, and was not created after `started_at`, no longer exists."""

    names: frozenset[str]
    started_at: float
    """Monotonic time before the list was requested."""


T = TypeVar("T")
Event = Upserted | Deleted | Synced
Deliver = Callable[[Sequence[Event]], None]


class HostReflector:
    """Follows the hosts of one estate. `run` blocks one thread; `beat` may be read from any."""

    def __init__(
        self, api: Api, namespace: str, estate_name: str, *, silence: float = SILENCE, listed: float = LISTED
    ) -> None:
        """`silence`: seconds without a byte after which a watch counts as broken. `listed`: see `LISTED`."""
        self._api = api
        self._path = MANAGED_HOSTS.all(namespace)
        self._selector = {"labelSelector": f"{ESTATE_LABEL}={estate_name}"}
        self._silence, self._listed = silence, listed
        self._listing: _Listing | None = None
        self._resource_version = ""
        self._streams_lists = True
        self._failures = 0
        self._watch: Watch | None = None
        self._beat = time.monotonic()

    @property
    def beat(self) -> float:
        """Monotonic time of the last byte from the API server, which sends a bookmark every minute, or of the last try.

        For the probe: an API server that is away does not mean that this loop stands still.
        """
        return self._beat

    def run(self, deliver: Deliver, stop: threading.Event) -> None:
        """Deliver events in order until `stop` is set; returns within a second of it. `deliver` must be quick.

        No answer of the API server ends it; an error of `deliver` does.
        """
        finished = threading.Event()
        breaker = threading.Thread(target=self._break_off_at, args=(stop, finished), name="reflector-stop", daemon=True)
        breaker.start()
        try:
            while not stop.is_set():
                stop.wait(self._round(deliver, stop))
        finally:
            finished.set()
            breaker.join()

    def _round(self, deliver: Deliver, stop: threading.Event) -> float:
        """One connection from its beginning to its end; returns the seconds to wait before the next one."""
        began = self._beat = time.monotonic()
        try:
            self._follow(deliver, stop)
        except Expired:
            log.info("the resourceVersion of the watch is too old, listing again", extra={"path": self._path})
            self._resource_version = ""
        except KubeError as error:
            if not stop.is_set():
                log.warning("reflector: %s", error, extra={"path": self._path})
            if isinstance(error, Invalid) or self._failures >= len(_PAUSES) or self._silent():
                self._resource_version = ""  # the server may never know it again, after the restore of a backup
        else:
            return max(0.0, began + _PAUSES[0] - time.monotonic())
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        return pause

    def _follow(self, deliver: Deliver, stop: threading.Event) -> None:
        if not self._resource_version and not self._streams_lists:
            self._list(deliver)
        listing = None if self._resource_version else _Listing()
        query = self._selector | (
            {"resourceVersion": self._resource_version} if self._resource_version else _WATCH_LIST
        )
        self._listing = listing
        try:
            with self._api.watch(self._path, query | {"allowWatchBookmarks": "true"}, silence=self._silence) as watch:
                self._watch = watch
                self._read(watch, listing, deliver, stop)
        except Invalid:
            if self._resource_version:
                raise
            log.info("the API server does not stream lists, listing in pages", extra={"path": self._path})
            self._streams_lists = False
        finally:
            self._watch = None

    def _read(self, watch: Watch, listing: _Listing | None, deliver: Deliver, stop: threading.Event) -> None:
        pending: list[Event] = []
        for lines in watch.batches():
            self._note_received()
            for line in lines:
                pending += self._events(line, listing)
                if listing is not None and listing.complete:
                    listing = None
            # A list comes line by line and is delivered in batches. A change never waits.
            if pending and (listing is None or len(pending) >= _BATCH):
                deliver(pending)
                pending = []
            if stop.is_set():
                return

    def _events(self, line: bytes, listing: _Listing | None) -> list[Event]:
        change = _decode(line, _CHANGE)
        if change.type == "ERROR":
            raise error_from(0, bytes(change.object), "the watch")
        meta = _decode(change.object, _META).metadata
        if change.type == "BOOKMARK" and listing is not None and meta.annotations.get(_END_MARK) == "true":
            listing.complete = True
            self._resource_version = meta.resource_version
            return [Synced(frozenset(listing.names), listing.started_at)]
        event = self._event(change, meta)
        if listing is None:
            self._resource_version = meta.resource_version
        elif change.type == "DELETED":
            listing.names.discard(meta.name)
        elif meta.name:
            listing.names.add(meta.name)
        return [event] if event is not None else []

    def _event(self, change: _Change, meta: Metadata) -> Event | None:
        match change.type:
            case "ADDED" | "MODIFIED":
                return _upserted(change.object, meta.name)
            case "DELETED":
                return Deleted(meta.name, _SPEC.decode(change.object).spec.vm_id)
            case _:  # a bookmark has only a resourceVersion
                return None

    def _list(self, deliver: Deliver) -> None:
        """LIST in pages, for API servers that do not stream lists. Sets the resourceVersion to watch from."""
        listing, query = _Listing(), self._selector | {"limit": str(_PAGE)}
        while True:
            page = self._api.get(self._path, _Page, query=query, timeout=30.0)
            self._note_received()
            events: list[Event] = []
            for item in page.items:
                name = _META.decode(item).metadata.name
                listing.names.add(name)
                if (event := _upserted(item, name)) is not None:
                    events.append(event)
            deliver(events)
            if not page.metadata.token:
                break
            query = query | {"continue": page.metadata.token}
        deliver([Synced(frozenset(listing.names), listing.started_at)])
        self._resource_version = page.metadata.resource_version

    def _lacks_end_mark(self) -> bool:
        """Whether a streamed list does not come to its end: the mark may be lost, so the next one is read in pages."""
        listing = self._listing
        late = listing is not None and not listing.complete and time.monotonic() - listing.started_at > self._listed
        self._streams_lists = self._streams_lists and not late
        return late

    def _silent(self) -> bool:
        """Whether not even a bookmark came: from a resourceVersion that is still to come, nothing is sent for ever."""
        return time.monotonic() - self._beat >= self._silence

    def _note_received(self) -> None:
        self._beat = time.monotonic()
        self._failures = 0

    def _break_off_at(self, stop: threading.Event, finished: threading.Event) -> None:
        """Wake the reading thread once `stop` is set: it may wait for bytes that come only in a minute."""
        while not finished.is_set():
            if (stop.wait(0.5) or self._lacks_end_mark()) and (watch := self._watch) is not None:
                watch.break_off()
            if stop.is_set():
                finished.wait(0.2)


_WATCH_LIST = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


class _Listing:
    """A list that is being read."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.started_at = time.monotonic()
        self.complete = False


class _Change(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Meta(msgspec.Struct):
    metadata: Metadata


class _Identity(msgspec.Struct, rename="camel"):
    vm_id: str = ""


class _Spec(msgspec.Struct):
    spec: _Identity


class _PageMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    token: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _PageMeta
    items: list[msgspec.Raw]


_META = msgspec.json.Decoder(_Meta)
_SPEC = msgspec.json.Decoder(_Spec)
_CHANGE = msgspec.json.Decoder(_Change)


def _decode(line: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError:
        raise Unavailable("The watch sent something that is not a watch event") from None


def _upserted(item: msgspec.Raw, name: str) -> Upserted | None:
    """The event of one object; None if this version cannot decode it: it stays listed, so nobody creates it again."""
    try:
        return Upserted(decode_host(item))
    except msgspec.ValidationError as error:
        log.error("ManagedHost %s cannot be decoded and is left alone: %s", name, error)
        return None
