"""The PCE's JSON parsed into facts: workloads, labels, pairing profiles, and the answers to bulk updates.

Pure; `illumio/gateway.py` calls it. Shapes: the `illumio` SDK 1.1.3 (PyPI), illumio/terraform-provider-illumio-core,
brian1917/illumioapi v2 (managed means a VEN or an agent) and the fixture of demisto/content Packs/Illumio.
The PCE often leaves out what is null, so every field but the href may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from sys import intern

from microseg.gateways.http.client import sanitize
from microseg.gateways.http.json_access import (
    Json,
    get_address,
    get_list,
    get_number,
    get_object,
    get_objects,
    get_text,
    get_time,
    get_value,
)
from microseg.gateways.ports import WorkloadChange
from microseg.model.fields import clip
from microseg.model.illumio_facts import Label, PairingProfile, Workload

_NO_REASON = "the PCE gave no reason"
SILENT_AFTER = timedelta(minutes=90)
"""Without a heartbeat for so long a VEN is silent. It sends one every five minutes, and a PCE with its default timers
takes it offline after an hour; one whose timer is set to never does not (vendor's manual 25.2, offline timers)."""
_FUTURE = timedelta(days=1)
"""A heartbeat that is further ahead of the PCE's own clock is none: that clock was put back, or the field is wrong."""
_HREF = re.compile(r"/orgs/(?P<org>[0-9]+)/(?P<kind>[a-z_]+)/(?P<id>[A-Za-z0-9-]+)")


def is_href(text: str, org: int, kind: str) -> bool:
    """Whether it is the href of one object of this kind in this organisation, and so may become part of a path."""
    match = _HREF.fullmatch(text)
    return match is not None and match["org"] == str(org) and match["kind"] == kind


def label(item: object, org: int) -> Label | None:
    """A label; None if it is deleted, or has no key, no value or no usable href."""
    body = get_object(item)
    href, key, value = (get_text(body, name) for name in ("href", "key", "value"))
    if body.get("deleted") is True or not key or not value or not is_href(href, org, "labels"):
        return None
    return Label(key=clip(key, 64), value=clip(value), href=href)


def workload(item: object, org: int, labels: Mapping[str, Label], now: datetime) -> Workload | None:
    """A managed workload; None if it has no usable href, or neither VEN nor agent.

    `labels`: by href, since PCEs before 22.3 show hrefs only. `now`: the time by the PCE's clock.
    """
    body = get_object(item)
    href = get_text(body, "href")
    if not is_href(href, org, "workloads") or not _ven_of(body):
        return None
    created_at, heartbeat_at = get_time(body, "created_at"), get_time(body, "agent", "status", "last_heartbeat_on")
    if heartbeat_at is not None and heartbeat_at - now > _FUTURE:
        heartbeat_at = None
    online = body.get("online")
    heard_at = heartbeat_at or (None if online is True else created_at)
    return Workload(
        href=href,
        ven=clip(get_value(body, "ven", "href")),
        agent=clip(get_value(body, "agent", "href")),
        hostname=clip(get_text(body, "hostname")),
        enforcement_mode=intern(clip(get_text(body, "enforcement_mode"), 32)),
        labels=_labels_of(body, org, labels),
        external_set=intern(get_text(body, "external_data_set")),
        external_reference=get_text(body, "external_data_reference"),
        addresses=_addresses(body),
        created_at=created_at,
        online=online if isinstance(online, bool) else None,
        ven_status=intern(clip(get_text(body, "ven", "status") or get_text(body, "agent", "status", "status"), 32)),
        silent=heard_at is not None and now - heard_at > SILENT_AFTER,
        heartbeat_at=heartbeat_at,
        updated_by=intern(sanitize(get_value(body, "updated_by", "href"), limit=64)),
    )


def is_there(item: object) -> bool:
    """Whether a row of the list of managed workloads is one: neither deleted, nor told to be unmanaged."""
    body = get_object(item)
    return body.get("deleted") is not True and (body.get("managed") is not False or bool(_ven_of(body)))


def _ven_of(body: Json) -> str:
    """Href of its VEN, else of its agent, which is the older form (brian1917/illumioapi GetMode); empty: neither."""
    return clip(get_value(body, "ven", "href") or get_value(body, "agent", "href"))


def lacks_label_keys(item: object) -> bool:
    """Whether a workload shows a label without its key and value."""
    return any("key" not in label for label in get_objects(item, "labels"))


def pairing_profile(item: object, org: int) -> PairingProfile | None:
    """A pairing profile; None if it has no usable href. A limit that is not a whole number counts as unlimited.

    Fields: illumio/terraform-provider-illumio-core, pairing_profile.
    """
    body = get_object(item)
    href = get_text(body, "href")
    if not is_href(href, org, "pairing_profiles") or not href.rsplit("/", 1)[-1].isdigit():
        return None
    return PairingProfile(
        name=clip(get_text(body, "name")),
        href=href,
        enabled=body.get("enabled") is True,
        uses_per_key=get_number(body, "allowed_uses_per_key"),
        key_life=get_number(body, "key_lifespan"),
    )


def bulk_failures(data: object) -> dict[str, str]:
    """Href -> reason, from the answer to a bulk update: `{href, status, token?, message?}` per item, always HTTP 200.

    An item with neither `updated` nor an error counts as failed: in a fixture of demisto/content a failed item is its
    href alone. An item that the answer lacks does not count as failed; only a later reading shows that it succeeded.
    """
    failures: dict[str, str] = {}
    for item in get_objects(data):
        href, status = get_text(item, "href"), get_text(item, "status")
        if not href or status in ("updated", "created"):
            continue
        nested = next(iter(get_objects(item, "errors")), item)
        failures[href] = _reason(nested) or status or _NO_REASON
    return failures


def unpair_failures(data: object) -> dict[str, str]:
    """Href -> reason, from the answer to an unpairing: `{"errors": [{token, message, hrefs: []}]}`."""
    failures: dict[str, str] = {}
    for item in get_objects(data, "errors"):
        reason = _reason(item) or _NO_REASON
        failures |= {str(href): reason for href in get_list(item, "hrefs")}
    return failures


def _reason(error: Json) -> str:
    """`token: message`, as far as the PCE gives them."""
    parts = [sanitize(error.get(name), limit=200) for name in ("token", "message")]
    return ": ".join(part for part in parts if part)


def change_body(change: WorkloadChange) -> dict[str, object]:
    """One item of a bulk update: what changes alone; an empty text removes a stamp."""
    body: dict[str, object] = {"href": change.href}
    if change.external_set is not None:
        body["external_data_set"] = change.external_set or None
    if change.external_reference is not None:
        body["external_data_reference"] = change.external_reference or None
    if change.enforcement_mode is not None:
        body["enforcement_mode"] = change.enforcement_mode
    return body


def merged_labels(
    body: Json, org: int, labels: Mapping[str, Label], desired: list[Label], clear: set[str]
) -> list[str] | None:
    """Hrefs of all labels that a workload has after a change by key: a PCE without `set_labels` needs them whole.

    One that neither it nor `labels` describes stays: it is somebody's. None: one has no usable href, so it could not.
    """
    replaced = clear | {label.key for label in desired}
    remaining = {label.href: None for label in _labels_of(body, org, labels) if label.key not in replaced}
    for item in get_objects(body, "labels"):
        href = get_text(item, "href")
        if not is_href(href, org, "labels"):
            return None
        if label(item, org) is None and href not in labels and get_text(item, "key") not in replaced:
            remaining[href] = None
    return [*remaining, *(label.href for label in desired)]


def _labels_of(body: Json, org: int, labels: Mapping[str, Label]) -> tuple[Label, ...]:
    """The labels of a workload, by key; one that neither it nor `labels` describes is left out."""
    labels_found = (_known_label(item, org, labels) for item in get_objects(body, "labels"))
    return tuple(sorted((each for each in labels_found if each is not None), key=lambda each: (each.key, each.value)))


def _known_label(item: Json, org: int, labels: Mapping[str, Label]) -> Label | None:
    """The label of a workload as it says itself, else as it is known; the known one where both say the same."""
    known, shown = labels.get(get_text(item, "href")), label(item, org)
    return known if shown is None or shown == known else shown


def _addresses(body: Json) -> frozenset[str]:
    """Addresses of the interfaces, without the loopback's. `public_ip` does not count: NAT shares it among many."""
    addresses = (
        get_address(interface, "address")
        for interface in get_objects(body, "interfaces")
        if interface.get("loopback") is not True
    )
    return frozenset(address for address in addresses if address)
