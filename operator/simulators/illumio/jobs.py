"""Asynchronous collections: a job that runs for a while, then a datafile with all rows.

Shapes: the `illumio` SDK 1.1.3 and the vendor's REST manual (202, `Location`, `Retry-After`, job, `result.href`).
"""

from __future__ import annotations

import uuid
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from simulators.faults import Outcome
from simulators.illumio.context import Context, caller
from simulators.illumio.errors import refuse_missing

_KEPT = 8


@dataclass(slots=True)
class Job:
    """One asynchronous collection. `rows` are shared with the lists' cache, so that a kept job costs little.

    `outcome` is the end that a fault decided: `lost`: a GET is 404; `failed`; `half`: half of the rows; `endless`.
    """

    href: str
    requested_at: str
    requested_by: str
    rows: Sequence[bytes]
    status: str = "running"
    terminated_at: str | None = None
    datafile: str | None = None
    outcome: Outcome | None = None


class Jobs:
    """The newest jobs; older ones are dropped, as in a PCE after a while."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._ordered: deque[Outcome] = deque()

    def order(self, outcome: Outcome) -> None:
        """Decide how the next job ends."""
        self._ordered.append(outcome)

    def start(self, rows: Sequence[bytes]) -> tuple[str, int]:
        """Start a job; return its HREF and the Retry-After seconds (vendor: 5)."""
        context = self._context
        job = Job(f"{context.org}/jobs/{uuid.uuid4()}", context.stamp(), caller.get().href, rows)
        job.outcome = self._ordered.popleft() if self._ordered else None
        self._jobs[job.href] = job
        while len(self._jobs) > _KEPT:
            self._jobs.popitem(last=False)
        context.later(context.traits.job_seconds, lambda: self._finish(job))
        return job.href, max(1, round(context.environment.clock.latency(5)))

    def status(self, href: str) -> dict[str, object]:
        """Return the answer to a poll of the job; 404 for a dropped one."""
        job = self._jobs.get(href)
        if job is None or job.outcome == "lost":
            refuse_missing(href)
        answer: dict[str, object] = {
            "href": job.href,
            "job_type": ":illumio/async_requests",
            "description": "",
            "status": job.status,
            "requested_at": job.requested_at,
            "requested_by": {"href": job.requested_by},
        }
        if job.terminated_at is not None:
            answer["terminated_at"] = job.terminated_at
        if job.status == "failed":
            answer["result"] = {"message": "the collection could not be read"}
        elif job.datafile is not None:
            answer["result"] = {"href": job.datafile}
        return answer

    def datafile(self, href: str) -> Sequence[bytes]:
        """Return the rows of a finished job; 404."""
        found = next((job for job in self._jobs.values() if job.datafile == href), None)
        if found is None:
            refuse_missing(href)
        return found.rows

    def _finish(self, job: Job) -> None:
        if job.outcome == "endless":
            return
        job.terminated_at = self._context.stamp()
        if self._context.traits.job_fails or job.outcome == "failed":
            job.status = "failed"
            return
        if job.outcome == "half":
            job.rows = job.rows[: len(job.rows) // 2]
        job.status = "done"
        job.datafile = f"{self._context.org}/datafiles/{uuid.uuid4()}"
