"""The PCE's JSON turned into facts: workloads, labels, pairing profiles, and the answers to bulk updates.

Pure; called by `illumio.py`. Shapes: the `illumio` SDK 1.1.3 (PyPI), illumio/terraform-provider-illumio-core,
brian1917/illumioapi v2 (managed means a VEN or an agent) and the fixture of demisto/content Packs/Illumio.
Keys that are null are often absent, so every field but the href may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from microseg.gateways import shapes
from microseg.gateways.shapes import Json
from microseg.gateways.transport import clean
from microseg.model.facts import Label, PairingProfile, Workload
from microseg.model.host import clip

_HREF = re.compile(r"/orgs/(?P<org>[0-9]+)/(?P<kind>[a-z_]+)/(?P<id>[A-Za-z0-9-]+)")


def is_href(text: str, org: int, kind: str) -> bool:
    """Whether it is the href of one object of this kind in this organisation: what may become part of a path."""
    found = _HREF.fullmatch(text)
    return found is not None and found["org"] == str(org) and found["kind"] == kind


def label(item: object, org: int) -> Label | None:
    """A label that is not deleted; None where it is deleted or has no key, value or usable href."""
    body = shapes.mapping(item)
    href, key, value = (shapes.text(body.get(name)) for name in ("href", "key", "value"))
    if body.get("deleted") is True or not key or not value or not is_href(href, org, "labels"):
        return None
    return Label(key=clip(key, 64), value=clip(value), href=href)


def workload(item: object, org: int, labels: Mapping[str, Label]) -> Workload | None:
    """A managed workload; None without a usable href. `labels` by href: PCEs before 22.3 show hrefs only."""
    body = shapes.mapping(item)
    href = shapes.text(body.get("href"))
    if not is_href(href, org, "workloads"):
        return None
    return Workload(
        href=href,
        ven=clip(shapes.within(body, "ven", "href")),
        hostname=clip(shapes.text(body.get("hostname"))),
        enforcement_mode=clip(shapes.text(body.get("enforcement_mode")), 32),
        labels=_worn(body, org, labels),
        external_set=shapes.text(body.get("external_data_set")),
        external_reference=shapes.text(body.get("external_data_reference")),
        addresses=_addresses(body),
        created_at=shapes.when(body.get("created_at")),
        online=body.get("online") is True,
        updated_by=clean(shapes.within(body, "updated_by", "href"), limit=64),
    )


def is_managed(item: object) -> bool:
    """Whether it is not deleted and an agent or VEN stands behind it (brian1917/illumioapi GetMode)."""
    body = shapes.mapping(item)
    behind = shapes.within(body, "ven", "href") or shapes.within(body, "agent", "href")
    return body.get("deleted") is not True and bool(behind)


def lacks_keys(items: list[object]) -> bool:
    """Whether any workload shows a label without its key and value."""
    return any("key" not in worn for item in shapes.mappings(items) for worn in shapes.mappings(item.get("labels")))


def profile(item: object, org: int) -> PairingProfile | None:
    """A pairing profile; None without a usable href. What is not a whole number counts as unlimited.

    Fields: illumio/terraform-provider-illumio-core, pairing_profile.
    """
    body = shapes.mapping(item)
    href = shapes.text(body.get("href"))
    if not is_href(href, org, "pairing_profiles") or not href.rsplit("/", 1)[-1].isdigit():
        return None
    return PairingProfile(
        name=clip(shapes.text(body.get("name"))),
        href=href,
        enabled=body.get("enabled") is True,
        uses_per_key=shapes.number(body.get("allowed_uses_per_key")),
        key_life=shapes.number(body.get("key_lifespan")),
    )


def bulk_failures(data: object) -> dict[str, str]:
    """Href -> why, of a bulk update's answer: `{href, status, token?, message?}` an item, HTTP 200 for all.

    An item with neither `updated` nor an error counts as failed: a fixture of demisto/content shows a failed item as
    its href alone. An item that is not in the answer does not count as failed; only a fact shows that it succeeded.
    """
    failures: dict[str, str] = {}
    for item in shapes.mappings(data):
        href, status = shapes.text(item.get("href")), shapes.text(item.get("status"))
        if not href or status in ("updated", "created"):
            continue
        nested = next(iter(shapes.mappings(item.get("errors"))), item)
        words = [clean(nested.get(name), limit=200) for name in ("token", "message")]
        failures[href] = ": ".join(word for word in words if word) or status or "the PCE gave no reason"
    return failures


def unpair_failures(data: object) -> dict[str, str]:
    """Href -> why, of an unpairing's answer: `{"errors": [{token, message, hrefs: []}]}`; empty: all were accepted."""
    failures: dict[str, str] = {}
    for item in shapes.mappings(shapes.within(data, "errors")):
        words = [clean(item.get(name), limit=200) for name in ("token", "message")]
        why = ": ".join(word for word in words if word) or "the PCE gave no reason"
        hrefs = item.get("hrefs")
        failures |= {str(href): why for href in hrefs} if isinstance(hrefs, list) else {}
    return failures


def merged(body: Json, org: int, index: Mapping[str, Label], wanted: list[Label], clear: set[str]) -> list[str]:
    """Label hrefs of a workload after a change by key: what a PCE without set_labels has to be sent whole."""
    gone = clear | {label.key for label in wanted}
    kept = [worn.href for worn in _worn(body, org, index) if worn.key not in gone]
    return kept + [label.href for label in wanted]


def _worn(body: Json, org: int, labels: Mapping[str, Label]) -> tuple[Label, ...]:
    found = (_worn_one(item, org, labels) for item in shapes.mappings(body.get("labels")))
    return tuple(sorted((worn for worn in found if worn is not None), key=lambda worn: (worn.key, worn.value)))


def _worn_one(item: Json, org: int, labels: Mapping[str, Label]) -> Label | None:
    return label(item, org) or labels.get(shapes.text(item.get("href")))


def _addresses(body: Json) -> frozenset[str]:
    """Addresses of the interfaces but the loopback's. `public_ip` is not one: NAT shares it among many."""
    found = (
        shapes.address(interface.get("address"))
        for interface in shapes.mappings(body.get("interfaces"))
        if interface.get("loopback") is not True
    )
    return frozenset(address for address in found if address)
