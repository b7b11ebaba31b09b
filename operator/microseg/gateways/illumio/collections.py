"""Whole collections of the PCE: up to 500 rows in one answer, more by a job that writes all rows to a file.

`illumio/gateway.py` reads every list through it.

Sources: the vendor's REST manual (Core 23.5, "asynchronous GET collections"), the `illumio` SDK 1.1.3 (`get_all`,
jobs), harry10148/illumio-ops src/api_client.py (measured on PCE 25.2.40: the cap stays 500, and X-Total-Count of
managed workloads counts unmanaged ones too).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from microseg.gateways.http import tls
from microseg.gateways.http.client import HttpResponse, retry_after, sanitize
from microseg.gateways.http.json_access import get_object, get_text, get_value
from microseg.gateways.http.rows import Rows
from microseg.gateways.http.volume import Volume
from microseg.gateways.illumio.errors import error_of
from microseg.gateways.ports import Reading, Unreachable, Wait
from microseg.gateways.readings import in_turn

T = TypeVar("T")
_MOST_ROWS = 500
"""In one answer: the PCE cuts off the rest."""
_JOB_TIMEOUT = 300.0
_SHORTEST_POLL_PAUSE = 0.2
_LONGEST_POLL_PAUSE = 10.0
"""Seconds; the pauses are between two looks at a job."""
_RUNNING = {"running", "queued", "working", "pending", "new", ""}
_DONE = {"done", "completed"}


class SendGet(Protocol):
    """A GET of a path below /api/v2."""

    def __call__(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        into: object = object,
    ) -> HttpResponse:
        """Send the GET; the answer whatever its status. `into`: see `decode_response`."""


class CollectionReader:
    """Reads collections of one organisation. Safe to use from several threads."""

    def __init__(self, get: SendGet, origin: tuple[str, str, int], org: int, volume: Callable[[], Volume]) -> None:
        """`volume`: for what is read of one list."""
        self._get = get
        self._origin = origin
        self._org = org
        self._volume = volume
        self._large: set[str] = set()
        """Collections that needed a job: the next time there is no try without one."""

    def read_all(self, name: str, params: Mapping[str, str]) -> Reading[Rows]:
        """All rows of `/orgs/{org}/{name}`; complete, or a GatewayError."""
        path, key = f"/orgs/{self._org}/{name}", f"{name} {sorted(params.items())}"
        if key not in self._large:
            rows = yield from in_turn(partial(self._read_at_once, path, params), self._volume())
            if rows is not None:
                return rows
        whole = yield from self._read_by_job(path, params)
        if len(whole) < _MOST_ROWS:
            self._large.discard(key)
        else:
            self._large.add(key)
        return whole

    def _read_at_once(self, path: str, params: Mapping[str, str]) -> Rows | None:
        """The rows; None if the PCE cut some off. Fewer rows than it allows are all, whatever X-Total-Count is."""
        response = self._get(path, {**params, "max_results": str(_MOST_ROWS)}, into=Rows)
        rows = self._rows(response)
        total = response.header("X-Total-Count")
        if len(rows) < _MOST_ROWS or (total.isdigit() and int(total) <= len(rows)):
            return rows
        return None

    def _read_by_job(self, path: str, params: Mapping[str, str]) -> Reading[Rows]:
        """Request a job, look at it until it is done, read its file. A job changes nothing: another one is harmless."""
        volume = self._volume()
        job, wait = yield from in_turn(partial(self._begin_job, path, params), volume)
        deadline = time.monotonic() + _JOB_TIMEOUT
        while time.monotonic() < deadline:
            yield Wait(min(max(wait, _SHORTEST_POLL_PAUSE), _LONGEST_POLL_PAUSE))
            if (file := (yield from in_turn(partial(self._file_of, job), volume))) is not None:
                return (yield from in_turn(lambda: self._rows(self._get(file, into=Rows)), volume))
        message = "The PCE did not finish the job of a list in time"
        raise Unreachable(message)

    def _begin_job(self, path: str, params: Mapping[str, str]) -> tuple[str, float]:
        """The path of a new job, and the seconds between two looks at it."""
        response = self._get(path, params, {"Prefer": "respond-async"})
        if response.status == 200:
            message = "The PCE cut off a long list and offers no job that reads it whole"
            raise Unreachable(message)
        if response.status != 202:
            raise error_of(response, effect=False)
        asked = response.header("Retry-After")
        return self._own_path(response.header("Location"), "jobs"), retry_after(asked, time.time(), 1.0)

    def _file_of(self, job: str) -> str | None:
        """The path of the job's file; None while the job runs."""
        response = self._get(job)
        if not response.ok:
            # A job that the PCE forgot is no wrong request of ours: the next reading requests a new one.
            raise _unusable("lost the job of a list") if response.status == 404 else error_of(response, effect=False)
        body = get_object(response.data)
        status, result = get_text(body, "status"), body.get("result")
        if status in _RUNNING:
            return None
        if status not in _DONE:
            raise _unusable("could not finish the job of a list")
        href = get_text(result) or get_text(result, "href")
        return self._own_path(href, "datafiles")

    def _own_path(self, location: str, kind: str) -> str:
        """The path below /api/v2 of a Location or href, which is relative, or absolute and of the configured origin.

        Versions of the manual disagree about which; every known client expects a relative one.
        """
        parts = urlsplit(location)
        if parts.scheme or parts.netloc:
            try:
                own = tls.origin(location) == self._origin
            except ValueError:
                own = False
            if not own:
                raise _unusable("answered with a link of another origin")
        path = parts.path.removeprefix("/api/v2")
        if not re.fullmatch(rf"/orgs/{self._org}/{kind}/[A-Za-z0-9_-]+", path) or parts.query:
            raise _unusable("answered with an unexpected link for the job of a list")
        return path

    def _rows(self, response: HttpResponse) -> Rows:
        if not response.ok:
            raise error_of(response, effect=False)
        if not isinstance(response.data, list):
            raise _unusable("answered with something that is not a list")
        return response.data


def parsed(
    kind: str, items: Iterable[object], parse_item: Callable[[object], T | None]
) -> tuple[tuple[T, ...], list[str]]:
    """The items that can be parsed, and a sentence for each other one, named by its href: the rest is free text."""
    results: list[T] = []
    problems: list[str] = []
    for item in items:
        result = parse_item(item)
        if result is not None:
            results.append(result)
            continue
        href = sanitize(get_value(item, "href"), limit=160) or "missing"
        problems.append(f"A listed {kind} cannot be read; its href is {href}")
    return tuple(results), problems


def _unusable(what: str) -> Unreachable:
    return Unreachable(f"The PCE {what}")
