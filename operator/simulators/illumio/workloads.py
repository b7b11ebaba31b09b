"""Workloads: what may be changed of which kind, labels by set or by key, bulk operations, deletion.

Called by the routes, the agent's side and the control port. Rules: the Terraform provider illumio-core (managed
update, issue 36), `brian1917/illumioapi`, illumio-pylo (bulk answers, `method_not_allowed_error`), the vendor's
REST manual 21.5 and 23.2. If one HREF is unknown, `set_labels` changes nothing here; what a real PCE does then is not
publicly known.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from simulators.illumio.bodies import BulkItem, Href, InterfaceBody, RemoveLabels, SetLabels, WorkloadBody, read
from simulators.illumio.context import Context, caller
from simulators.illumio.errors import PceError, refuse, refuse_invalid, refuse_missing
from simulators.illumio.labels import Label, Labels
from simulators.illumio.records import Interface, Ven, Workload
from simulators.illumio.references import References, pair_of

VEN_OWNED = ("hostname", "interfaces", "public_ip", "online", "os_id", "os_detail", "distinguished_name")
_SET_APART = {"href", "labels", "interfaces", "external_data_set", "external_data_reference"}
BULK_MOST = 1000
_Act = Callable[[msgspec.Raw], str]


class Workloads:
    """All workloads of the organisation, deleted ones too."""

    def __init__(self, context: Context, labels: Labels) -> None:
        self._context = context
        self._labels = labels
        self._references = References()
        self._by_href: dict[str, Workload] = {}
        self._agents = itertools.count(1001)
        self._half_fails = False
        labels.renamed.append(self._forget)

    def all(self) -> Collection[Workload]:
        """Every workload, deleted ones too, oldest first."""
        return self._by_href.values()

    def get(self, href: str) -> Workload:
        """Return the workload, deleted or not; 404."""
        workload = self._by_href.get(href)
        if workload is None:
            refuse_missing(href)
        return workload

    def peek(self, href: str) -> Workload | None:
        """Return the workload, deleted or not, or None."""
        return self._by_href.get(href)

    def active(self, href: str) -> Workload:
        """Return the workload that is not deleted; 404."""
        workload = self.get(href)
        if workload.deleted_at is not None:
            refuse_missing(href)
        return workload

    def create(self, body: WorkloadBody) -> Workload:
        """Create an unmanaged workload."""
        workload = self._made(body)
        self._context.event("workload.create", workload.href, change="create")
        return workload

    def enrol(
        self,
        hostname: str,
        os_id: str,
        interfaces: Sequence[InterfaceBody],
        labels: dict[str, Label],
        mode: str,
        *,
        settled: bool = False,
    ) -> Workload:
        """Create a managed workload for an activated agent. `settled`: it already has its first policy."""
        agent_href = f"{self._context.org}/agents/{next(self._agents)}"
        workload = self._new(agent_href)
        workload.hostname, workload.os_id, workload.online = hostname, os_id, True
        workload.interfaces = [interface_row(item) for item in interfaces]
        workload.enforcement_mode = mode
        now = workload.created_at
        ven_href = f"{self._context.org}/vens/{workload.uuid}"
        workload.ven = Ven(ven_href, agent_href, str(uuid.uuid4()), now, now, f"{self._context.traits.version}-1010")
        self._labels.replace_use(workload.href, {}, labels)
        workload.labels = dict(labels)
        self._by_href[workload.href] = workload
        if settled:
            self._synchronised(workload)
        else:
            self._context.later(self._context.traits.policy_seconds, lambda: self._synchronised(workload))
        self._context.event("agent.activate", agent_href, workload.href, change="create")
        return workload

    def update(self, href: str, body: WorkloadBody) -> None:
        """Change what was sent; `labels` replaces the whole set."""
        self._change(href, body)
        self._context.event("workload.update", href)

    def delete(self, href: str) -> None:
        """Delete an unmanaged workload (softly); a managed one has to be unpaired."""
        self._drop(href)
        self._context.event("workload.delete", href, change="delete")

    def mark_deleted(self, workload: Workload) -> None:
        """Mark as deleted, and free its labels and its reference."""
        workload.deleted_at = self._context.stamp()
        workload.online = False
        self._labels.replace_use(workload.href, workload.labels, {})
        self._references.release(workload)
        workload.row = None

    def touch(self, workload: Workload) -> None:
        """Render the workload again, because it changed."""
        workload.row = None

    def fail_half_of_next_bulk(self) -> None:
        """Make every second item of the next bulk operation fail."""
        self._half_fails = True

    def bulk_create(self, items: Sequence[msgspec.Raw]) -> list[dict[str, object]]:
        """Create many; return one result per item, in order."""
        results = self._each(items, self._create_raw, "created")
        self._context.event("workloads.bulk_create", *_succeeded(results), change="create")
        return results

    def bulk_update(self, items: Sequence[msgspec.Raw]) -> list[dict[str, object]]:
        """Change many; return one result per item, in order."""
        results = self._each(items, self._update_raw, "updated")
        self._context.event("workloads.bulk_update", *_succeeded(results))
        return results

    def bulk_delete(self, items: Sequence[Href]) -> list[dict[str, object]]:
        """Delete many; return one result per failed item."""
        failed: list[dict[str, object]] = []
        failures = self._failures()
        for item in items:
            try:
                _fail_if_planned(next(failures))
                self._drop(item.href)
            except PceError as error:
                failed.append({"href": item.href, "errors": [{"token": error.token, "message": error.message}]})
        kept = {item["href"] for item in failed}
        gone = [item.href for item in items if item.href not in kept]
        self._context.event("workloads.bulk_delete", *gone, change="delete")
        return failed

    def set_labels(self, body: SetLabels) -> None:
        """Set labels per key on all workloads, or on none if one HREF is unknown."""
        workloads = [self._known(item.href) for item in body.workloads]
        new = self._labels.resolve(body.labels)
        cleared = set(body.delete_existing_keys)
        for workload in workloads:
            kept = {key: label for key, label in workload.labels.items() if key not in cleared}
            self._relabel(workload, kept | new)
        self._context.changed(f"labels {sorted(new)} set, {sorted(cleared)} cleared on {len(workloads)} workloads")
        self._context.event("workloads.set_labels", *(workload.href for workload in workloads))

    def remove_labels(self, body: RemoveLabels) -> None:
        """Remove labels per key from all workloads."""
        workloads = [self._known(item.href) for item in body.workloads]
        for workload in workloads:
            kept = {key: label for key, label in workload.labels.items() if key not in body.label_keys}
            self._relabel(workload, kept)
        self._context.changed(f"labels {sorted(body.label_keys)} removed from {len(workloads)} workloads")
        self._context.event("workloads.remove_labels", *(workload.href for workload in workloads))

    def find_reference(self, data_set: str, reference: str) -> str | None:
        """Return the HREF of the workload with this pair."""
        return self._references.owner((data_set, reference))

    def _new(self, creator: str) -> Workload:
        identity, now = str(uuid.uuid4()), self._context.stamp()
        return Workload(identity, f"{self._context.org}/workloads/{identity}", now, creator, now, creator)

    def _made(self, body: WorkloadBody) -> Workload:
        if not isinstance(body.name, str) and not isinstance(body.hostname, str):
            refuse_invalid("name or hostname is required (schema WorkloadBody)")
        workload = self._new(caller.get().href)
        self._apply(workload, body)
        self._by_href[workload.href] = workload
        self._context.changed(f"workload {workload.href} made, unmanaged")
        return workload

    def _change(self, href: str, body: WorkloadBody) -> None:
        self._apply(self.active(href), body)
        self._context.changed(f"workload {href} changed: {', '.join(sent(body))}")

    def _drop(self, href: str) -> None:
        workload = self.active(href)
        if workload.ven is not None:
            refuse("method_not_allowed_error", "a managed workload can't be deleted: unpair it")
        self.mark_deleted(workload)
        self._context.changed(f"workload {href} deleted")

    def _apply(self, workload: Workload, body: WorkloadBody) -> None:
        """Check everything first, so that a refused body changes nothing."""
        if workload.ven is not None:
            owned = [name for name in VEN_OWNED if getattr(body, name) is not UNSET]
            if owned:
                refuse_invalid(
                    f"Object contains unknown field `{owned[0]}` (schema workloads_put of a managed workload)"
                )
        labels = workload.labels if isinstance(body.labels, UnsetType) else self._labels.resolve(body.labels)
        pair = self._references.check(body, workload.href, pair_of(workload))
        for name in sent(body):
            if name not in _SET_APART:
                setattr(workload, name, getattr(body, name))
        if not isinstance(body.interfaces, UnsetType):
            workload.interfaces = [interface_row(item) for item in body.interfaces]
        self._references.hold(workload, pair)
        self._relabel(workload, labels)

    def _relabel(self, workload: Workload, labels: dict[str, Label]) -> None:
        self._labels.replace_use(workload.href, workload.labels, labels)
        workload.labels = dict(labels)
        workload.updated_at, workload.updated_by = self._context.stamp(), caller.get().href
        workload.row = None

    def _known(self, href: str) -> Workload:
        workload = self._by_href.get(href)
        if workload is None or workload.deleted_at is not None:
            refuse_invalid(f"workload {href} does not exist")
        return workload

    def _create_raw(self, raw: msgspec.Raw) -> str:
        return self._made(read(raw, WorkloadBody)).href

    def _update_raw(self, raw: msgspec.Raw) -> str:
        item = read(raw, BulkItem)
        self._change(item.href, item)
        return item.href

    def _failures(self) -> Iterator[bool]:
        """Yield whether the next item of this bulk operation fails because a fault says so."""
        fails, self._half_fails = self._half_fails, False
        return itertools.cycle((False, fails))

    def _each(self, items: Sequence[msgspec.Raw], act: _Act, status: str) -> list[dict[str, object]]:
        return [self._one(item, act, status, fails=fails) for item, fails in zip(items, self._failures(), strict=False)]

    def _one(self, raw: msgspec.Raw, act: _Act, status: str, *, fails: bool) -> dict[str, object]:
        try:
            _fail_if_planned(fails)
            return {"href": act(raw), "status": status}
        except PceError as error:
            href = _href_of(raw)
            known: dict[str, object] = {} if href is None else {"href": href}
            if self._context.traits.terse_bulk_errors:
                return known
            kind = "validation_failure" if error.token == "input_validation_error" else "error"  # noqa: S105
            return known | {"status": kind, "token": error.token, "message": error.message}

    def _synchronised(self, workload: Workload) -> None:
        if workload.ven is None or workload.deleted_at is not None:
            return
        now = self._context.stamp()
        workload.ven.sync_state, workload.ven.received_at, workload.ven.applied_at = "active", now, now
        workload.row = None

    def _forget(self, hrefs: Iterable[str]) -> None:
        """Rows that show a renamed label have to be rendered again."""
        for href in hrefs:
            if href in self._by_href:
                self._by_href[href].row = None


def _fail_if_planned(fails: bool) -> None:  # noqa: FBT001 - the row's failure
    if fails:
        raise PceError(500, "internal_error", "the item could not be processed")


def sent(body: WorkloadBody) -> list[str]:
    """Return the properties that a body really carries."""
    return [name for name in body.__struct_fields__ if name != "href" and getattr(body, name) is not UNSET]


def interface_row(item: InterfaceBody) -> Interface:
    """Return an interface as the PCE shows it."""
    row: Interface = {
        name: value
        for name in item.__struct_fields__
        if name != "network" and (value := getattr(item, name)) is not UNSET and value is not None
    }
    return {"link_state": "up", "loopback": False} | row


def _href_of(raw: msgspec.Raw) -> str | None:
    data = msgspec.json.decode(raw)
    href = data.get("href") if isinstance(data, dict) else None
    return href if isinstance(href, str) else None


def _succeeded(results: Sequence[dict[str, object]]) -> list[str]:
    return [str(item["href"]) for item in results if item.get("status") in ("created", "updated")]
