"""One PCE organisation: workloads, labels and pairing profiles read whole, keys made, labels and stamps written.

The Illumio lane calls it from worker threads. Paths and bodies: the `illumio` SDK 1.1.3 (PyPI), the vendor's REST
manual (product-docs-repo.illumio.com, Core 21.5 to 25.1, REST-APIs), and boons1215/auto-label for set_labels and
remove_labels.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from microseg.gateways import illumio_reading as reading
from microseg.gateways import shapes, wire
from microseg.gateways.illumio_collections import Collections
from microseg.gateways.illumio_errors import SYSTEM, error_of
from microseg.gateways.ports import OutcomeUnknown, Rejected, Unreachable, WorkloadChange
from microseg.gateways.transport import Answer, Observe, Transport, clean
from microseg.model.facts import Label, PairingProfile, Workload
from microseg.model.secret import Secret

_MOST = 1000
"""Items of a bulk call (vendor's REST manual 23.5, bulk operations)."""


class Pce:
    """`IllumioGateway` over the REST API, version 2."""

    def __init__(
        self,
        url: str,
        org_id: int,
        user: str,
        secret: Secret,
        *,
        ca_file: str | None = None,
        limits: wire.Limits | None = None,
        observe: Observe | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`url`: https with port, without a path. `pause` waits between two looks at a collection's job.

        ValueError: not an https URL; OSError: no such CA file.
        """
        self._transport = Transport(SYSTEM, url, trust=wire.Trust(ca_file), limits=limits, observe=observe)
        token = base64.b64encode(f"{user}:{secret.reveal()}".encode()).decode()
        self._authorization = Secret(f"Basic {token}")
        self._org = org_id
        self._collections = Collections(self._read, self._transport.origin, org_id, pause)
        self._writing = threading.Lock()
        self._labels: dict[str, Label] = {}
        self._has_set_labels = True
        self._skipped: dict[str, int] = {}

    def product_version(self) -> str:
        """The PCE's version such as `24.2.0` (`GET /product_version`, first call of cpainchaud/pylo)."""
        with self._transport.watch("product-version"):
            answer = self._read("/product_version")
            version = shapes.text(shapes.within(_ok(answer), "version"))
            if not version:
                raise _unusual("no version")
            return clean(version, limit=64)

    def workloads(self) -> tuple[Workload, ...]:
        """All managed workloads that are not deleted; complete, or an error."""
        with self._transport.watch("workloads"):
            items = self._collections.all("workloads", {"managed": "true"})
            if reading.lacks_keys(items):
                self._all_labels()
            managed = [item for item in items if reading.is_managed(item)]
            found = [reading.workload(item, self._org, self._labels) for item in managed]
            self._skipped["workloads"] = sum(workload is None for workload in found)
            return tuple(workload for workload in found if workload is not None)

    def labels(self) -> tuple[Label, ...]:
        """All labels that are not deleted; complete, or an error."""
        with self._transport.watch("labels"):
            return self._all_labels()

    def problems(self) -> tuple[str, ...]:
        """What the latest complete lists left out, a sentence a kind."""
        return tuple(
            f"{count} of the PCE's {kind} cannot be read" for kind, count in sorted(self._skipped.items()) if count
        )

    def profiles(self) -> tuple[PairingProfile, ...]:
        """All pairing profiles; complete, or an error."""
        with self._transport.watch("profiles"):
            items = self._collections.all("pairing_profiles", {})
            found = [reading.profile(item, self._org) for item in items]
            return tuple(profile for profile in found if profile is not None)

    def make_key(self, profile: PairingProfile) -> Secret:
        """A new activation code, shown this once (`POST {profile}/pairing_key`; effect of kind 3).

        Its uses and life are the profile's. A lost answer is a key that nobody has: OutcomeUnknown.
        """
        self._check(profile.href, "pairing_profiles")
        with self._transport.watch("make-key"):
            answer = self._write("POST", f"{profile.href}/pairing_key", {})
            code = shapes.text(shapes.within(answer.data, "activation_code"))
            if not code:
                message = "the PCE made a key and did not show it"
                raise OutcomeUnknown(message)
            return Secret(code)

    def create_label(self, key: str, value: str) -> Label:
        """Create a label, or find the one that has this key and value in any letter case (effect of kind 2).

        Which token a duplicate has is not published, so after any 406 the label is looked for
        (brian1917/illumioapi treats values as unique in any case).
        """
        with self._transport.watch("create-label"):
            try:
                answer = self._write("POST", f"/orgs/{self._org}/labels", {"key": key, "value": value})
            except Rejected:
                found = self._find_label(key, value)
                if found is None:
                    raise
                return found
            made = reading.label(answer.data, self._org)
            if made is None:
                message = "the PCE made a label and did not show it"
                raise OutcomeUnknown(message)
            self._labels[made.href] = made
            return made

    def update_workloads(self, changes: Sequence[WorkloadChange]) -> Mapping[str, str]:
        """Write attributes (`PUT workloads/bulk_update`, 1,000 at a time, one call at a time; repeatable).

        An empty text clears a stamp. Returns href -> why for those that failed; a later read confirms the others.
        """
        bodies = [self._change(change) for change in changes]
        failures: dict[str, str] = {}
        with self._transport.watch("update-workloads"), self._writing:
            for start in range(0, len(bodies), _MOST):
                path = f"/orgs/{self._org}/workloads/bulk_update"
                answer = self._write("PUT", path, bodies[start : start + _MOST])
                failures |= reading.bulk_failures(answer.data)
        return failures

    def unpair(self, vens: Sequence[str], restore: str) -> Mapping[str, str]:
        """Unpair VENs (`PUT vens/unpair`, 10 calls a minute; repeatable). Returns href -> why for those refused.

        Source: illumio/terraform-provider-illumio-core, illumio-core/resource_illumio_vens_unpair.go.
        """
        for href in vens:
            self._check(href, "vens")
        body = {"vens": [{"href": href} for href in vens], "firewall_restore": restore}
        with self._transport.watch("unpair"), self._writing:
            return reading.unpair_failures(self._write("PUT", f"/orgs/{self._org}/vens/unpair", body).data)

    def set_labels(self, workloads: Sequence[str], labels: Sequence[str], clear: Sequence[str]) -> None:
        """Set labels by key and take keys off, on workloads by href (repeatable). Other keys stay.

        On a PCE without `set_labels` and `remove_labels` (404 or 405 for the path) every workload is read, merged and
        written by itself; Rejected then names how many failed, and the others are done.
        """
        for kind, hrefs in (("workloads", workloads), ("labels", labels)):
            for href in hrefs:
                self._check(href, kind)
        with self._transport.watch("set-labels"), self._writing:
            for start in range(0, len(workloads), _MOST):
                self._set_chunk(list(workloads[start : start + _MOST]), list(labels), list(clear))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _set_chunk(self, workloads: list[str], labels: list[str], clear: list[str]) -> None:
        if self._has_set_labels:
            try:
                self._set_many(workloads, labels, clear)
            except Rejected as error:
                if error.code not in ("invalid_uri", "404", "405", "method_not_allowed_error"):
                    raise
                self._has_set_labels = False
            else:
                return
        self._set_one_by_one(workloads, labels, set(clear))

    def _set_many(self, workloads: list[str], labels: list[str], clear: list[str]) -> None:
        references = [{"href": href} for href in workloads]
        base = f"/orgs/{self._org}/workloads"
        if clear:
            self._write("PUT", f"{base}/remove_labels", {"workloads": references, "label_keys": clear})
        if labels:
            wanted = [{"href": href} for href in labels]
            self._write("PUT", f"{base}/set_labels", {"workloads": references, "labels": wanted})

    def _set_one_by_one(self, workloads: list[str], labels: list[str], clear: set[str]) -> None:
        self._all_labels()
        unknown = [href for href in labels if href not in self._labels]
        if unknown:
            message = "a label to set does not exist"
            raise Rejected(message, "unknown-label", f"{len(unknown)} of {len(labels)}")
        wanted = [self._labels[href] for href in labels]
        failed: list[Rejected] = []
        for href in workloads:
            try:
                body = shapes.mapping(_ok(self._read(href)))
                hrefs = reading.merged(body, self._org, self._labels, wanted, clear)
                self._write("PUT", href, {"labels": [{"href": each} for each in hrefs]})
            except Rejected as error:
                failed.append(error)
        if failed:
            message = f"{len(failed)} of {len(workloads)} workloads could not be labelled"
            raise Rejected(message, failed[0].code, failed[0].detail)

    def _all_labels(self) -> tuple[Label, ...]:
        items = self._collections.all("labels", {})
        live = [item for item in items if shapes.mapping(item).get("deleted") is not True]
        found = [reading.label(item, self._org) for item in live]
        self._skipped["labels"] = sum(label is None for label in found)
        labels = tuple(label for label in found if label is not None)
        self._labels = {label.href: label for label in labels}
        return labels

    def _find_label(self, key: str, value: str) -> Label | None:
        """The list's `value` matches in part (vendor's REST manual 23.5), so equality is looked at here."""
        for item in self._collections.all("labels", {"key": key, "value": value}):
            found = reading.label(item, self._org)
            if found is not None and found.key == key and found.value.casefold() == value.casefold():
                return found
        return None

    def _change(self, change: WorkloadChange) -> dict[str, object]:
        self._check(change.href, "workloads")
        body: dict[str, object] = {"href": change.href}
        if change.external_set is not None:
            body["external_data_set"] = change.external_set or None
        if change.external_reference is not None:
            body["external_data_reference"] = change.external_reference or None
        if change.enforcement_mode is not None:
            body["enforcement_mode"] = change.enforcement_mode
        return body

    def _check(self, href: str, kind: str) -> None:
        """Refuse an href that is not one of ours to use: it becomes part of a path or a body."""
        if not reading.is_href(href, self._org, kind):
            message = f"the request was not sent: not an href of this organisation's {kind}"
            raise Rejected(message, "foreign-href")

    def _read(
        self, path: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        all_headers = {"Authorization": self._authorization.reveal(), **(headers or {})}
        return self._transport.send("GET", f"/api/v2{path}", effect=False, params=params, headers=all_headers)

    def _write(self, method: str, path: str, body: object) -> Answer:
        """An effect; raises unless it was accepted and, where it says something, says it in JSON."""
        headers = {"Authorization": self._authorization.reveal()}
        answer = self._transport.send(method, f"/api/v2{path}", effect=True, headers=headers, body=body)
        if not answer.ok:
            raise error_of(answer, effect=True)
        if not answer.is_json:
            message = "the PCE answered a change with something that is not JSON"
            raise OutcomeUnknown(message)
        return answer


def _ok(answer: Answer) -> object:
    """The JSON of a successful read."""
    if not answer.ok:
        raise error_of(answer, effect=False)
    if not answer.is_json:
        raise _unusual("something that is not JSON")
    return answer.data


def _unusual(what: str) -> Unreachable:
    return Unreachable(f"the PCE answered with {what}")
