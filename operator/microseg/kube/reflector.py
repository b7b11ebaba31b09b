"""The mirror: every ManagedHost of one estate, by one list and one watch in one thread. The ledger lives on it.

    no position ──WatchList──▶ all hosts, end mark ──▶ Synced ──▶ changes ──▶ ...
         ▲  (refused: LIST in pages, then WATCH)                    │   connection ends: go on from the position
         └───────────────────────── 410: the position is too old ◀──┘

Nobody reports what was deleted in a gap; `Synced` therefore carries all names, and the reader drops the rest.
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
from microseg.kube.resources import ESTATE_LABEL, MANAGED_HOSTS
from microseg.kube.wire import Metadata
from microseg.model.host import ManagedHost

SILENCE = 70.0
"""Seconds without a byte after which a watch counts as dead; the server sends a bookmark every minute."""
_PAUSES = (0.5, 1.0, 2.0, 5.0)
"""Seconds before the 1st, 2nd, ... try after something failed; hearing anything starts them anew."""
_PAGE = 500
_BATCH = 256
_END_MARK = "k8s.io/initial-events-end"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upserted:
    """A host is there, or changed."""

    host: ManagedHost


@dataclass(frozen=True, slots=True)
class Deleted:
    """A host's record was deleted."""

    name: str
    vm_id: str


@dataclass(frozen=True, slots=True)
class Synced:
    """A list is complete: what is not in `names`, and was not made after `began`, is gone."""

    names: frozenset[str]
    began: float
    """Monotonic time before the list was asked for."""


T = TypeVar("T")
Event = Upserted | Deleted | Synced
Deliver = Callable[[Sequence[Event]], None]


class Mirror:
    """Follows one estate's hosts. `run` blocks one thread; `last_heard` may be read from any."""

    def __init__(self, api: Api, namespace: str, estate_name: str, *, silence: float = SILENCE) -> None:
        """Take the client, where to look, and the seconds of silence that are too many."""
        self._api = api
        self._path = MANAGED_HOSTS.all(namespace)
        self._selector = {"labelSelector": f"{ESTATE_LABEL}={estate_name}"}
        self._silence = silence
        self._position = ""
        self._streams_lists = True
        self._failures = 0
        self._watch: Watch | None = None
        self._last_heard = time.monotonic()

    @property
    def last_heard(self) -> float:
        """Monotonic time of the last byte from the API server (bookmarks come every minute), for the probe."""
        return self._last_heard

    def run(self, deliver: Deliver, stop: threading.Event) -> None:
        """Deliver events in order until `stop`; returns within a second of it. `deliver` must be quick.

        Everything that the API can answer is survived; what `deliver` raises ends the mirror.
        """
        finished = threading.Event()
        breaker = threading.Thread(target=self._break_off_at, args=(stop, finished), name="mirror-stop", daemon=True)
        breaker.start()
        try:
            while not stop.is_set():
                stop.wait(self._round(deliver, stop))
        finally:
            finished.set()
            breaker.join()

    def _round(self, deliver: Deliver, stop: threading.Event) -> float:
        """One connection from beginning to end; the seconds to wait before the next."""
        began = time.monotonic()
        try:
            self._follow(deliver, stop)
        except Expired:
            log.info("the watch's position is too old, listing again", extra={"path": self._path})
            self._position = ""
        except KubeError as error:
            if not stop.is_set():
                log.warning("mirror: %s", error)
            if isinstance(error, Invalid) or self._failures >= len(_PAUSES):
                self._position = ""  # a position that the server does not know (a restored backup) would never heal
        else:
            return max(0.0, began + _PAUSES[0] - time.monotonic())
        pause = _PAUSES[min(self._failures, len(_PAUSES) - 1)]
        self._failures += 1
        return pause

    def _follow(self, deliver: Deliver, stop: threading.Event) -> None:
        if not self._position and not self._streams_lists:
            self._list(deliver)
        listing = None if self._position else _Listing()
        query = self._selector | ({"resourceVersion": self._position} if self._position else _WATCH_LIST)
        try:
            with self._api.watch(self._path, query | {"allowWatchBookmarks": "true"}, silence=self._silence) as watch:
                self._watch = watch
                self._read(watch, listing, deliver, stop)
        except Invalid:
            if self._position:
                raise
            log.info("the API server does not stream lists, listing in pages", extra={"path": self._path})
            self._streams_lists = False
        finally:
            self._watch = None

    def _read(self, watch: Watch, listing: _Listing | None, deliver: Deliver, stop: threading.Event) -> None:
        pending: list[Event] = []
        for lines in watch.batches():
            self._heard()
            for line in lines:
                pending += self._events(line, listing)
                if listing is not None and listing.complete:
                    listing = None
            # A list comes line by line: whole batches of it are worth waiting for. A change never waits.
            if pending and (listing is None or len(pending) >= _BATCH):
                deliver(pending)
                pending = []
            if stop.is_set():
                return

    def _events(self, line: bytes, listing: _Listing | None) -> list[Event]:
        change = _decoded(line, _CHANGE)
        if change.type == "ERROR":
            raise error_from(0, bytes(change.object), "the watch")
        meta = _decoded(change.object, _META).metadata
        if change.type == "BOOKMARK" and listing is not None and meta.annotations.get(_END_MARK) == "true":
            listing.complete = True
            self._position = meta.resource_version
            return [Synced(frozenset(listing.names), listing.began)]
        event = self._event(change, meta)
        if listing is None:
            self._position = meta.resource_version
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
            case _:  # bookmarks only move the position
                return None

    def _list(self, deliver: Deliver) -> None:
        """LIST in pages: what old or restricted API servers offer. Sets the position to watch from."""
        listing, query = _Listing(), self._selector | {"limit": str(_PAGE)}
        while True:
            page = self._api.get(self._path, _Page, query=query, timeout=30.0)
            self._heard()
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
        deliver([Synced(frozenset(listing.names), listing.began)])
        self._position = page.metadata.resource_version

    def _heard(self) -> None:
        self._last_heard = time.monotonic()
        self._failures = 0

    def _break_off_at(self, stop: threading.Event, finished: threading.Event) -> None:
        """Wake the reading thread once `stop` is set: it may be waiting for bytes that come in a minute."""
        while not finished.is_set():
            if stop.wait(0.5) and (watch := self._watch) is not None:
                watch.break_off()
            if stop.is_set():
                finished.wait(0.2)


_WATCH_LIST = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


class _Listing:
    """A list under way."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.began = time.monotonic()
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


def _decoded(line: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError:
        raise Unavailable("the watch sent something that is not a watch event") from None


def _upserted(item: msgspec.Raw, name: str) -> Upserted | None:
    """The event of one object; None for one that this version cannot hold: it stays listed, so it is never re-made."""
    try:
        return Upserted(decode_host(item))
    except msgspec.ValidationError as error:
        log.error("ManagedHost %s cannot be read and is left alone: %s", name, error)
        return None
