"""Whole collections of the PCE: at once up to 500 rows, beyond that by a job that makes a file of all rows.

`illumio.py` reads every list through it. Sources: the vendor's REST manual (Core 23.5, "asynchronous GET collections"),
the `illumio` SDK 1.1.3 (`get_all`, jobs), harry10148/illumio-ops src/api_client.py (measured on PCE 25.2.40: the cap
stays 500, and X-Total-Count of managed workloads counts unmanaged ones too).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from microseg.gateways import shapes, wire
from microseg.gateways.illumio_errors import error_of
from microseg.gateways.ports import Unreachable
from microseg.gateways.transport import Answer, retry_after

_CAP = 500
_LONGEST_JOB = 300.0
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_RUNNING = {"running", "queued", "working", "pending", "new", ""}
_DONE = {"done", "completed"}


class Read(Protocol):
    """A GET of a path below /api/v2."""

    def __call__(
        self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send it."""


class Collections:
    """Reads collections of one organisation. Safe to use from several threads."""

    def __init__(self, read: Read, origin: tuple[str, str, int], org: int, pause: Callable[[float], None]) -> None:
        self._read = read
        self._origin = origin
        self._org = org
        self._pause = pause
        self._large: set[str] = set()

    def all(self, name: str, params: Mapping[str, str]) -> list[object]:
        """All rows of `/orgs/{org}/{name}`; complete, or Unreachable and its siblings."""
        path, key = f"/orgs/{self._org}/{name}", f"{name} {sorted(params.items())}"
        if key not in self._large:
            rows = self._at_once(path, params)
            if rows is not None:
                return rows
        rows = self._by_job(path, params)
        if len(rows) < _CAP:
            self._large.discard(key)
        else:
            self._large.add(key)
        return rows

    def _at_once(self, path: str, params: Mapping[str, str]) -> list[object] | None:
        """The rows; None where the cap cut them. Fewer than the cap are all, whatever the total says."""
        answer = self._read(path, {**params, "max_results": str(_CAP)})
        rows = self._rows(answer)
        total = answer.header("X-Total-Count")
        if len(rows) < _CAP or (total.isdigit() and int(total) <= len(rows)):
            return rows
        return None

    def _by_job(self, path: str, params: Mapping[str, str]) -> list[object]:
        """Order a job, look at it until it is done, read its file. A read: to order it twice does no harm."""
        answer = self._read(path, params, {"Prefer": "respond-async"})
        if answer.status == 200:
            message = "the PCE cut a long list short and makes no job for it"
            raise Unreachable(message)
        if answer.status != 202:
            raise error_of(answer, effect=False)
        job = self._local(answer.header("Location"), "jobs")
        until = time.monotonic() + _LONGEST_JOB
        wait = retry_after(answer.header("Retry-After"), time.time(), 1.0) if answer.header("Retry-After") else 1.0
        while time.monotonic() < until:
            self._pause(min(max(wait, _SHORTEST_PAUSE), _LONGEST_PAUSE))
            if (file := self._finished(job)) is not None:
                return self._rows(self._read(file))
        message = "the PCE did not finish a list's job in time"
        raise Unreachable(message)

    def _finished(self, job: str) -> str | None:
        """The file's path once the job is done."""
        answer = self._read(job)
        if not answer.ok:
            # A job that was forgotten is not a wrong request of ours: the list is ordered anew at the next poll.
            raise _broken("lost a list's job") if answer.status == 404 else error_of(answer, effect=False)
        body = shapes.mapping(answer.data)
        status, result = shapes.text(body.get("status")), body.get("result")
        if status in _RUNNING:
            return None
        if status not in _DONE:
            raise _broken("could not finish a list's job")
        href = shapes.text(result) or shapes.text(shapes.within(result, "href"))
        return self._local(href, "datafiles")

    def _local(self, place: str, kind: str) -> str:
        """The path below /api/v2 of a Location or href: relative, or absolute with the configured origin.

        Versions of the manual disagree on which; every known client takes it for relative.
        """
        parts = urlsplit(place)
        if parts.scheme or parts.netloc:
            try:
                own = wire.origin(place) == self._origin
            except ValueError:
                own = False
            if not own:
                raise _broken("named an address of another origin")
        path = parts.path.removeprefix("/api/v2")
        if not re.fullmatch(rf"/orgs/{self._org}/{kind}/[A-Za-z0-9_-]+", path) or parts.query:
            raise _broken("named an unknown address for a list's job")
        return path

    def _rows(self, answer: Answer) -> list[object]:
        if not answer.ok:
            raise error_of(answer, effect=False)
        if not isinstance(answer.data, list):
            raise _broken("answered a list with something else")
        return answer.data


def _broken(what: str) -> Unreachable:
    return Unreachable(f"the PCE {what}")
