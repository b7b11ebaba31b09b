"""Our elector: one holder per estate, by a Lease that is renewed with compare-and-set.

The official client's elector goes on working when the API server is away or the process was stopped for a while, so
this one keeps a monotonic deadline that is checked before every effect outside (S11): a holder that cannot renew
stops before its Lease runs out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from microseg.engine.ground.ports import LeaseLost
from microseg.engine.ground.workers import Workers
from microseg.engine.leadership.fair_share import FairShare
from microseg.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from microseg.kube.leases import Lease

log = logging.getLogger(__name__)


class LeaseStore(Protocol):
    """The Leases (`kube.leases.Leases`)."""

    def get(self, namespace: str, name: str) -> Lease:
        """Read one."""

    def create(self, lease: Lease) -> Lease:
        """Make it."""

    def replace(self, lease: Lease) -> Lease:
        """Compare-and-set."""


@dataclass(frozen=True, slots=True)
class LeasePace:
    """Seconds."""

    duration: float = 15.0
    renew: float = 4.0
    retry: float = 2.0
    margin: float = 3.0
    """How long before its end a Lease counts as lost for effects."""


class LeaseTerm:
    """The time for which this process holds the Lease. `check` is cheap and called before every effect."""

    def __init__(self, number: int, monotonic: Callable[[], float]) -> None:
        """Begin a term; it is not valid before the first `extend`."""
        self.number = number
        self._monotonic = monotonic
        self._until = 0.0

    def extend(self, until: float) -> None:
        """Valid until this monotonic time."""
        self._until = until

    def end(self) -> None:
        """Over, from now on."""
        self._until = 0.0

    def check(self) -> None:
        """Raise LeaseLost if the Lease may have run out."""
        if self._monotonic() >= self._until:
            raise LeaseLost("the Lease was not renewed in time; nothing outside is touched any more")


class Elector:
    """Gets, renews and releases one Lease."""

    def __init__(
        self,
        store: LeaseStore,
        workers: Workers,
        *,
        namespace: str,
        name: str,
        identity: str,
        pace: LeasePace = LeasePace(),
        share: FairShare | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`identity`: who holds it, unique for this process. `share`: of its electors, where there are several."""
        self._store, self._workers, self._pace, self._monotonic = store, workers, pace, monotonic
        self._namespace, self._name, self._identity = namespace, name, identity
        self._key = f"{namespace}/{name}"
        self._share = share or FairShare(identity)
        self._lease: Lease | None = None
        self._seen: tuple[str, float] = ("", 0.0)
        self._runs_out = 0.0
        """Monotonic time at which another's Lease runs out, if nobody renews it."""

    async def acquire(self) -> LeaseTerm:
        """Wait until the Lease is ours; returns the term."""
        while True:
            try:
                term = await self._try()
            except KubeError as error:
                log.warning("lease not readable", extra={"lease": self._name, "error": str(error)})
                term = None
            if term is not None:
                return term
            left = self._runs_out - self._monotonic()
            await asyncio.sleep(min(left, self._pace.retry) if left > 0 else self._pace.retry)

    async def hold(self, term: LeaseTerm, report: Callable[[], str] = str) -> None:
        """Renew until it cannot be renewed in time; then end the term and raise LeaseLost.

        `report`: what the Lease says of its holder, asked for at each renewal.
        """
        renewed = True
        try:
            while True:
                await asyncio.sleep(self._pace.renew if renewed else self._pace.retry)
                renewed = await self._renew(term, report())
        finally:
            term.end()

    async def release(self, term: LeaseTerm) -> None:
        """Give it back, so that another replica takes over within one retry."""
        term.end()
        self._share.saw(self._key, "")
        if self._lease is None:
            return
        try:
            try:
                await self._write_release(self._lease)
            except Conflict:
                # The latest renewal may have been stored without an answer: only then is it still this term's.
                lease = await self._workers.call(self._store.get, self._namespace, self._name)
                if self._is_ours(lease, term):
                    await self._write_release(lease)
        except KubeError as error:
            log.info("lease not released", extra={"lease": self._name, "error": str(error)})

    async def _write_release(self, lease: Lease) -> None:
        await self._workers.call(self._store.replace, replace(lease, holder="", duration=1))

    def _is_ours(self, lease: Lease, term: LeaseTerm) -> bool:
        """Whether the stored Lease is of this process and this term."""
        return (lease.holder, lease.transitions) == (self._identity, term.number)

    async def _try(self) -> LeaseTerm | None:
        """One attempt to become the holder."""
        began, lease = self._monotonic(), await self._read()
        if not self._free(lease):
            self._share.is_taken(self._key)
            return None
        async with self._share.turn() as waited:
            if waited:
                began, lease = self._monotonic(), await self._read()
            if not self._free(lease) or self._share.is_for_others(self._key, lease.holder if lease else ""):
                return None
            return await self._take(lease, began)

    async def _read(self) -> Lease | None:
        """The Lease as it is; None: there is none."""
        try:
            lease = await self._workers.call(self._store.get, self._namespace, self._name)
        except NotFound:
            lease = None
        self._share.saw(self._key, lease.holder if lease is not None else "")
        return lease

    def _free(self, lease: Lease | None) -> bool:
        """Whether nobody else holds it."""
        return lease is None or lease.holder in {"", self._identity} or self._expired(lease)

    async def _take(self, lease: Lease | None, began: float) -> LeaseTerm | None:
        """Write that it is ours; None: somebody was faster."""
        desired = self._ours(lease)
        try:
            if lease is None:
                self._lease = await self._workers.call(self._store.create, desired)
            else:
                self._lease = await self._workers.call(self._store.replace, desired)
        except (Conflict, AlreadyExists):
            return None
        self._share.saw(self._key, self._identity)
        self._share.is_taken(self._key)
        term = LeaseTerm(self._lease.transitions, self._monotonic)
        term.extend(began + self._pace.duration - self._pace.margin)
        log.info("lease acquired", extra={"lease": self._name, "term": term.number})
        return term

    def _expired(self, lease: Lease) -> bool:
        """Whether nobody renewed it for its whole duration, by our own clock: others' clocks are not trusted."""
        if self._seen[0] != lease.resource_version:
            self._seen = (lease.resource_version, self._monotonic())
            self._runs_out = self._seen[1] + max(lease.duration, 1)
            return False
        return self._monotonic() > self._runs_out

    def _ours(self, lease: Lease | None) -> Lease:
        """The Lease as it is to be."""
        now = datetime.now(UTC)
        return Lease(
            name=self._name,
            namespace=self._namespace,
            holder=self._identity,
            transitions=lease.transitions + 1 if lease is not None else 1,
            renewed_at=now,
            duration=int(self._pace.duration),
            resource_version=lease.resource_version if lease is not None else "",
            acquired_at=now,
        )

    async def _look_who_wrote(self, term: LeaseTerm) -> None:
        """It may have been ourselves: a renewal whose answer was lost. Anybody else's writing ends the term."""
        try:
            lease = await self._workers.call(self._store.get, self._namespace, self._name)
        except NotFound as error:
            raise LeaseLost("another replica took the Lease, and it was deleted since") from error
        except KubeError as error:
            term.check()
            log.warning("lease not readable", extra={"lease": self._name, "error": str(error)})
            return
        if not self._is_ours(lease, term):
            raise LeaseLost("another replica took the Lease")
        self._lease = lease

    async def _renew(self, term: LeaseTerm, report: str = "") -> bool:
        """Try to renew once; return whether it worked. Failures are borne until the term's own deadline.

        A Lease that somebody deleted is made again by the PUT (kubernetes, registry/coordination/lease: create on
        update), unless another replica has made it meanwhile: that is a Conflict.
        """
        assert self._lease is not None  # noqa: S101 - acquired before held
        began = self._monotonic()
        try:
            self._lease = await self._workers.call(
                self._store.replace, replace(self._lease, renewed_at=datetime.now(UTC), report=report)
            )
        except Conflict:
            await self._look_who_wrote(term)
            return False
        except KubeError as error:
            term.check()
            log.warning("lease not renewed", extra={"lease": self._name, "error": str(error)})
            return False
        term.extend(began + self._pace.duration - self._pace.margin)
        return True
