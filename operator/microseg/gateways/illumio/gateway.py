"""One PCE organisation: workloads, labels and pairing profiles are read whole; keys, labels and stamps are written.

The Illumio lane and the script attempts call it from worker threads.

Paths and bodies: the `illumio` SDK 1.1.3 (PyPI), the vendor's REST manual (product-docs-repo.illumio.com, Core 21.5 to
25.1, REST-APIs), and boons1215/auto-label for set_labels and remove_labels.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from microseg.gateways.http import tls
from microseg.gateways.http.client import HttpClient, HttpResponse
from microseg.gateways.http.json_access import get_object, get_text, get_value
from microseg.gateways.http.proxy import Proxy, basic
from microseg.gateways.http.rows import decoded
from microseg.gateways.http.server_clock import ServerClock
from microseg.gateways.http.wire import Observe, operation, steps
from microseg.gateways.illumio import parse
from microseg.gateways.illumio.collections import CollectionReader, parsed
from microseg.gateways.illumio.errors import SYSTEM, content, error_of, is_gone
from microseg.gateways.ports import OutcomeUnknown, Reading, Rejected, Unreachable, WorkloadChange
from microseg.gateways.problems import bounded_problems
from microseg.gateways.readings import in_turn, whole
from microseg.model.illumio_facts import Label, PairingProfile, Workload
from microseg.model.secret import Secret
from microseg.model.spelling import same_name

T = TypeVar("T")
_BULK_SIZE = 1000
"""Items of a bulk call at most (vendor's REST manual 23.5, bulk operations)."""


class IllumioPceGateway:
    """`IllumioGateway` over the REST API, version 2."""

    def __init__(  # noqa: PLR0913 - where and how to connect, each by its name
        self,
        url: str,
        org_id: int,
        user: str,
        secret: Secret,
        *,
        ca_file: str | None = None,
        limits: tls.Limits | None = None,
        observe: Observe | None = None,
        pause: Callable[[float], None] = time.sleep,
        proxy: Proxy | None = None,
    ) -> None:
        """`url`: https with port, without a path. `pause` waits where a list is read in the midst of an effect.

        ValueError: not an https URL; OSError: no such CA file.
        """
        trust = tls.Trust(ca_file)
        self._http_client = HttpClient(SYSTEM, url, trust=trust, limits=limits, observe=observe, proxy=proxy)
        self._authorization = basic(user, secret)
        self._org = org_id
        self._collections = CollectionReader(self._get, self._http_client.origin, org_id, self._http_client.volume)
        self._pause = pause
        self._write_lock = threading.Lock()
        self._labels: dict[str, Label] = {}
        self._has_set_labels = True
        self._clock = ServerClock()
        self._problems: dict[str, list[str]] = {}
        """Collection -> one sentence per item that its latest complete list left out."""

    def workloads(self) -> Reading[tuple[Workload, ...]]:
        """All managed workloads that are not deleted; complete, or an error."""
        rows = yield from steps("workloads", self._collections.read_all("workloads", {"managed": "true"}))
        now = self.time() or datetime.now(UTC)
        if any(parse.lacks_label_keys(decoded(row)) for row in rows):
            yield from self._read_labels()
        there = filter(parse.is_there, map(decoded, rows))
        return self._parsed("workload", there, lambda item: parse.workload(item, self._org, self._labels, now))

    def workload(self, href: str) -> Reading[Workload | None]:
        """One workload by its href; None: the PCE's own 404 for it, or it is deleted or unmanaged now.

        Unreachable: it is there and cannot be read.
        """
        self._check_href(href, "workloads")
        response = yield from steps("workload", in_turn(partial(self._one, href), self._http_client.volume()))
        if response is None or not parse.is_there(response):
            return None
        found = parse.workload(response, self._org, self._labels, self.time() or datetime.now(UTC))
        if found is None or found.href != href:
            message = "The PCE shows a workload by its href, and it cannot be read"
            raise Unreachable(message)
        return found

    def time(self) -> datetime | None:
        """Now, by the PCE's clock: the Date of its latest success and what passed since; None: it gives no Date."""
        return self._clock.now()

    def labels(self) -> Reading[tuple[Label, ...]]:
        """All labels that are not deleted; complete, or an error."""
        return (yield from self._read_labels())

    def problems(self) -> tuple[str, ...]:
        """What the latest complete lists left out, one sentence per item; bounded."""
        return bounded_problems([sentence for _, sentences in sorted(self._problems.items()) for sentence in sentences])

    def profiles(self) -> Reading[tuple[PairingProfile, ...]]:
        """All pairing profiles; complete, or an error."""
        rows = yield from steps("profiles", self._collections.read_all("pairing_profiles", {}))
        return self._parsed("pairing profile", map(decoded, rows), lambda item: parse.pairing_profile(item, self._org))

    def make_key(self, profile: PairingProfile) -> Secret:
        """Create a new activation code, which is shown only now (`POST {profile}/pairing_key`; once).

        How often and how long it can be used is the profile's. OutcomeUnknown: there may be a key that nobody has.
        """
        self._check_href(profile.href, "pairing_profiles")
        with operation("make-key"):
            response = self._write("POST", f"{profile.href}/pairing_key", {})
            code = get_text(response.data, "activation_code")
            if not code:
                message = "The PCE created a pairing key and did not show it"
                raise OutcomeUnknown(message)
            return Secret(code)

    def create_label(self, key: str, value: str) -> Label:
        """Create a label, or return the one that has this key and value in any letter case (named).

        The token for a duplicate is not published, so the label is looked for after every rejection
        (brian1917/illumioapi treats values as unique in any letter case).
        """
        with operation("create-label"):
            try:
                response = self._write("POST", f"/orgs/{self._org}/labels", {"key": key, "value": value})
            except Rejected:
                label = self._find_label(key, value)
                if label is None:
                    raise
                return label
            created = parse.label(response.data, self._org)
            if created is None:
                message = "The PCE created a label and did not show it"
                raise OutcomeUnknown(message)
            self._labels[created.href] = created
            return created

    def update_workloads(self, changes: Sequence[WorkloadChange]) -> Mapping[str, str]:
        """Write attributes (`PUT workloads/bulk_update`, 1,000 per call, one call at a time; repeatable).

        An empty text removes a stamp. Returns href -> reason for those that failed; a later reading shows the others.
        """
        bodies = [self._change_body(change) for change in changes]
        failures: dict[str, str] = {}
        with operation("update-workloads"), self._write_lock:
            for start in range(0, len(bodies), _BULK_SIZE):
                path = f"/orgs/{self._org}/workloads/bulk_update"
                response = self._write("PUT", path, bodies[start : start + _BULK_SIZE])
                failures |= parse.bulk_failures(response.data)
        return failures

    def unpair(self, vens: Sequence[str], restore: str) -> Mapping[str, str]:
        """Unpair VENs (`PUT vens/unpair`, 10 calls per minute; repeatable). Returns href -> reason for those refused.

        Source: illumio/terraform-provider-illumio-core, illumio-core/resource_illumio_vens_unpair.go.
        """
        for href in vens:
            self._check_href(href, "vens")
        body = {"vens": [{"href": href} for href in vens], "firewall_restore": restore}
        with operation("unpair"), self._write_lock:
            return parse.unpair_failures(self._write("PUT", f"/orgs/{self._org}/vens/unpair", body).data)

    def set_labels(self, workloads: Sequence[str], labels: Sequence[str], clear: Sequence[str]) -> None:
        """Set labels by key and remove keys, on workloads by href (repeatable). Other keys stay.

        On a PCE without `set_labels` and `remove_labels` (404 or 405 for the path) every workload is read, merged and
        written singly; Rejected then says how many failed, and the others are done.
        """
        for kind, hrefs in (("workloads", workloads), ("labels", labels)):
            for href in hrefs:
                self._check_href(href, kind)
        with operation("set-labels"), self._write_lock:
            for start in range(0, len(workloads), _BULK_SIZE):
                self._set_labels_of_chunk(list(workloads[start : start + _BULK_SIZE]), list(labels), list(clear))

    def close(self) -> None:
        """Close the connections."""
        self._http_client.close()

    def _set_labels_of_chunk(self, workloads: list[str], labels: list[str], clear: list[str]) -> None:
        if self._has_set_labels:
            try:
                self._set_labels_in_bulk(workloads, labels, clear)
            except Rejected as error:
                if error.code not in ("invalid_uri", "404", "405", "method_not_allowed_error"):
                    raise
                self._has_set_labels = False
            else:
                return
        self._set_labels_singly(workloads, labels, set(clear))

    def _set_labels_in_bulk(self, workloads: list[str], labels: list[str], clear: list[str]) -> None:
        references = [{"href": href} for href in workloads]
        base = f"/orgs/{self._org}/workloads"
        if clear:
            self._write("PUT", f"{base}/remove_labels", {"workloads": references, "label_keys": clear})
        if labels:
            to_set = [{"href": href} for href in labels]
            self._write("PUT", f"{base}/set_labels", {"workloads": references, "labels": to_set})

    def _set_labels_singly(self, workloads: list[str], labels: list[str], clear: set[str]) -> None:
        whole(self._read_labels(), self._pause)
        unknown = [href for href in labels if href not in self._labels]
        if unknown:
            message = "A label to set does not exist in the PCE"
            raise Rejected(message, "unknown-label", f"{len(unknown)} of {len(labels)}")
        desired = [self._labels[href] for href in labels]
        failed: list[Rejected] = []
        for href in workloads:
            try:
                self._write_labels(href, desired, clear)
            except Rejected as error:
                failed.append(error)
        if failed:
            message = f"The PCE rejected the labels of {len(failed)} of {len(workloads)} workloads"
            raise Rejected(message, failed[0].code, failed[0].detail)

    def _write_labels(self, href: str, desired: list[Label], clear: set[str]) -> None:
        body = get_object(content(self._get(href)))
        hrefs = parse.merged_labels(body, self._org, self._labels, desired, clear)
        if hrefs is None:
            message = "A label of the workload cannot be read, and would be lost"
            raise Rejected(message, "unreadable-label")
        self._write("PUT", href, {"labels": [{"href": each} for each in hrefs]})

    def _read_labels(self) -> Reading[tuple[Label, ...]]:
        rows = yield from steps("labels", self._collections.read_all("labels", {}))
        current = (item for item in map(decoded, rows) if get_value(item, "deleted") is not True)
        labels = self._parsed("label", current, lambda item: parse.label(item, self._org))
        self._labels = {label.href: label for label in labels}
        return labels

    def _parsed(self, kind: str, items: Iterable[object], parse_item: Callable[[object], T | None]) -> tuple[T, ...]:
        """The items of a complete list that can be parsed; the others become its problems."""
        results, self._problems[kind] = parsed(kind, items, parse_item)
        return results

    def _find_label(self, key: str, value: str) -> Label | None:
        """The filter `value` also matches parts of values (vendor's REST manual 23.5), so they are compared here."""
        for row in whole(self._collections.read_all("labels", {"key": key, "value": value}), self._pause):
            label = parse.label(decoded(row), self._org)
            if label is not None and label.key == key and same_name(label.value, value):
                return label
        return None

    def _change_body(self, change: WorkloadChange) -> dict[str, object]:
        self._check_href(change.href, "workloads")
        return parse.change_body(change)

    def _check_href(self, href: str, kind: str) -> None:
        """Raise Rejected for an href that may not become part of a path or a body."""
        if not parse.is_href(href, self._org, kind):
            message = f"The request was not sent: an href is not one of this organisation's {kind}"
            raise Rejected(message, "foreign-href")

    def _get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        into: object = object,
    ) -> HttpResponse:
        all_headers = {"Authorization": self._authorization.reveal(), **(headers or {})}
        response = self._http_client.send(
            "GET", f"/api/v2{path}", effect=False, params=params, headers=all_headers, into=into
        )
        self._clock.hear(response)
        return response

    def _one(self, href: str) -> object | None:
        """One object; None: there is none."""
        response = self._get(href)
        return None if is_gone(response) else content(response)

    def _write(self, method: str, path: str, body: object) -> HttpResponse:
        """Send an effect; raises unless the PCE accepted it, with JSON or without a body."""
        headers = {"Authorization": self._authorization.reveal()}
        response = self._http_client.send(method, f"/api/v2{path}", effect=True, headers=headers, body=body)
        if not response.ok:
            raise error_of(response, effect=True)
        if not response.is_json:
            message = "The PCE was asked for a change and the answer is not JSON"
            raise OutcomeUnknown(message)
        return response
