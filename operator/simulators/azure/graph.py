"""Azure Resource Graph: what its table of resources shows, which is what ARM had `graph_lag` ago, and its own limit.

`world.World` reports every change to it; the route `graph.query` asks it. It shows only what the caller may read, and
says nothing of what it leaves out. Sources: learn.microsoft.com/azure/governance/resource-graph, overview
("Permissions", "How Resource Graph is kept current"), concepts/guidance-for-throttled-requests and
concepts/paging-results; the refusals as quoted in Azure/aztfexport#264 and #410, MicrosoftDocs/azure-docs#107328.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from simulators.azure import kql, render_graph
from simulators.azure.errors import ArmError
from simulators.azure.lists import is_hidden
from simulators.azure.machine import Vm
from simulators.azure.render_graph import NICS, VMS, Row
from simulators.azure.timing import Traits
from simulators.clock import Clock

_QUERIES, _WINDOW = 15, 5.0
"""Queries of one caller in so many seconds."""
_USUAL_PAGE, _LARGEST_PAGE = 100, 1000
_READ = {VMS: "Microsoft.Compute/virtualMachines/read", NICS: "Microsoft.Network/networkInterfaces/read"}


@dataclass(frozen=True, slots=True)
class _Frozen:
    """Rows as they were at a revision of the VM."""

    revision: int
    rows: Mapping[str, tuple[Row, ...]]


@dataclass(frozen=True, slots=True)
class _Listed:
    """One row, not rendered yet."""

    id: str
    group: str
    subscription: str
    row: Callable[[], Row]


class ResourceGraph:
    """The table of all subscriptions. `enforced`: whether its limit refuses; `now`: the limit's clock."""

    def __init__(
        self,
        clock: Clock,
        traits: Traits,
        subscriptions: Iterable[str],
        enforced: Callable[[], bool],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._traits, self._enforced, self._now = clock, traits, enforced, now
        self._subscriptions = {each.lower() for each in subscriptions}
        self._vms: dict[str, Vm] = {}
        self._frozen: dict[str, _Frozen] = {}
        """VmId -> rows of a VM that changed while the table lags; the others are as they are."""
        self._pending: list[Callable[[], object]] = []
        """What the table does not show yet, in order."""
        self._windows: dict[str, tuple[float, int]] = {}
        """Caller -> when its window began, and its queries since."""

    # --- what happens -------------------------------------------------------------------------------------------

    def appear(self, vm: Vm) -> None:
        """A VM was created."""
        if self._lag:
            self._frozen[vm.vm_id] = _freeze(vm)
        self._later(lambda: self._vms.update({vm.vm_id: vm}))

    def keep(self, vm: Vm) -> None:
        """A VM is about to change."""
        if self._lag:
            self._frozen.setdefault(vm.vm_id, _freeze(vm))

    def changed(self, vm: Vm) -> None:
        """A VM has changed, and so has its revision."""
        if not self._lag:
            self._frozen.pop(vm.vm_id, None)
            return
        after = _freeze(vm)

        def show() -> None:
            before = self._frozen.get(vm.vm_id)
            if before is not None and before.revision < after.revision:
                self._frozen[vm.vm_id] = after

        self._later(show)

    def vanish(self, vm: Vm) -> None:
        """A VM was deleted."""

        def forget() -> None:
            self._vms.pop(vm.vm_id, None)
            self._frozen.pop(vm.vm_id, None)

        self._later(forget)

    @property
    def _lag(self) -> float:
        return self._clock.latency(self._traits.graph_lag)

    def _later(self, act: Callable[[], object]) -> None:
        if not self._lag:
            act()
            return

        def show() -> None:
            if act in self._pending:
                self._pending.remove(act)
                act()

        self._pending.append(act)
        asyncio.get_running_loop().call_later(self._lag, show)

    def _catch_up(self) -> None:
        """Show everything, because the lag was switched off."""
        for act in self._pending:
            act()
        self._pending.clear()
        self._frozen.clear()

    # --- what is asked ------------------------------------------------------------------------------------------

    def admit(self, who: str) -> dict[str, str]:
        """Count a query; return the headers of the quota, or raise ArmError 429 with Retry-After."""
        now = self._now()
        began, asked = self._windows.get(who, (now, 0))
        if now - began >= _WINDOW:
            began, asked = now, 0
        left = math.ceil(began + _WINDOW - now)
        refused = asked >= _QUERIES and self._enforced()
        self._windows[who] = began, asked if refused else asked + 1
        headers = {
            "x-ms-user-quota-remaining": str(max(_QUERIES - asked - 1, 0)),
            "x-ms-user-quota-resets-after": f"00:00:{left:02d}",
        }
        if refused:
            text = "Client application has been throttled and should not attempt to repeat the request until an amount "
            text += "of time has elapsed. Please see https://aka.ms/resourcegraph-throttling for help."
            raise _error(429, "RateLimiting", "RateLimiting", text, headers | {"Retry-After": str(left)})
        return headers

    def answer(self, text: str) -> dict[str, object]:
        """Answer the body of a query; raises ArmError."""
        if not self._lag:
            self._catch_up()
        body = _object(text)
        query, options = _query(body.get("query")), body.get("options") or {}
        subscriptions = {str(each).lower() for each in body.get("subscriptions") or ()} & self._subscriptions
        if not subscriptions:
            given = "There must be at least one subscription that is eligible to contain resources."
            raise _error(400, "BadRequest", "NoValidSubscriptionsInQueryRequest", given)
        top = options.get("$top", _USUAL_PAGE)
        if options.get("resultFormat") != "objectArray" or not isinstance(top, int) or not 0 < top <= _LARGEST_PAGE:
            raise _error(400, "BadRequest", "InvalidOptions", "The options of the query are not valid here.")
        rows = sorted(self._readable(query.type, subscriptions), key=lambda each: each.id)
        first = _read_token(options.get("$skipToken"))
        page = rows[first : first + top]
        answer: dict[str, object] = {
            "totalRecords": len(rows),
            "count": len(page),
            "data": [query.project(each.row()) for each in page],
            "facets": [],
            "resultTruncated": "false",
        }
        if first + top < len(rows):
            # Without a column that is neither null nor dynamic there is no way to the next page.
            more = {"$skipToken": _token(first + top)} if "id" in query.columns else {"resultTruncated": "true"}
            answer |= more
        return answer

    def _readable(self, kind: str, subscriptions: set[str]) -> Iterator[_Listed]:
        """The rows that the caller may read: of the others it is not told."""
        if _READ.get(kind, "").lower() in self._traits.lacking:
            return
        denied = self._traits.denied
        for vm in self._vms.values():
            if is_hidden(vm):
                continue
            frozen = self._frozen.get(vm.vm_id)
            for each in _frozen_rows(frozen, kind) if frozen is not None else _live_rows(vm, kind):
                name = each.id.rpartition("/")[2].lower()
                hidden = each.group in denied or (kind == NICS and name in denied)
                if each.subscription in subscriptions and not hidden:
                    yield each


def _freeze(vm: Vm) -> _Frozen:
    return _Frozen(vm.revision, {kind: tuple(each.row() for each in _live_rows(vm, kind)) for kind in (VMS, NICS)})


def _frozen_rows(frozen: _Frozen, kind: str) -> Iterator[_Listed]:
    for row in frozen.rows.get(kind, ()):
        yield _Listed(row["id"], row["resourceGroup"], row["subscriptionId"].lower(), partial(dict, row))


def _live_rows(vm: Vm, kind: str) -> Iterator[_Listed]:
    subscription = vm.subscription.lower()
    if kind == VMS:
        yield _Listed(render_graph.vm_id(vm), vm.group.lower(), subscription, partial(render_graph.vm_row, vm))
    elif kind == NICS:
        for number, nic in enumerate(vm.nics):
            group = (nic.group or vm.group).lower()
            row = partial(render_graph.nic_row, vm, number)
            yield _Listed(render_graph.nic_id(vm, nic), group, subscription, row)


def _object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except json.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise _error(400, "BadRequest", "InvalidRequest", "The body is not a query request.")
    return body


def _query(text: object) -> kql.Query:
    try:
        return kql.parse(str(text))
    except kql.UnknownQueryError:
        message = (
            "Query is invalid. Please refer to the documentation for the Azure Resource Graph service and fix the "
        )
        message += "error before retrying."
        raise _error(400, "BadRequest", "InvalidQuery", message) from None


def _error(status: int, code: str, inner: str, message: str, headers: Mapping[str, str] = {}) -> ArmError:
    """The reason is in the details; the error's own message has times and ids only."""
    moment = f"timestamp = {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
    text = f"Please provide below info when asking for support: {moment}, correlationId = none."
    return ArmError(status, code, text, details=[{"code": inner, "message": message}], headers=dict(headers))


def _token(first: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"r": first}).encode()).decode()


def _read_token(token: object) -> int:
    if token is None:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(str(token)))["r"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise _error(400, "BadRequest", "InvalidSkipToken", "The skip token is not valid.") from error
