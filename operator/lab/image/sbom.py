"""The software bill of materials: what the lock files pin, as CycloneDX 1.6 JSON.

It is made from the locks and not from the image, and a test compares it with the image. Every package that is not
ours has the hashes that the download is verified by. Source: https://cyclonedx.org/docs/1.6/json/
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from lab.image.debian import Package

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)(?: ; ([^\\]+?))?(?: \\)?$")
_HASH = re.compile(r"^    --hash=sha256:([0-9a-f]{64})")
Component = dict[str, Any]


def wheels(lock: str) -> list[Component]:
    """Return the packages of a requirements file with hashes: one component each, for Linux and CPython."""
    found: list[Component] = []
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            found.append(_component("library", pin[1], pin[2], f"pkg:pypi/{pin[1].lower()}@{pin[2]}"))
        elif (checksum := _HASH.match(line)) and found:
            found[-1].setdefault("hashes", []).append({"alg": "SHA-256", "content": checksum[1]})
    # A wheel has one of these hashes, by platform and Python; CycloneDX has the place for "one of" in its properties.
    return [_one_of(component) for component in found]


def debs(packages: Iterable[Package]) -> list[Component]:
    """Return the Debian packages of the base."""
    found = []
    for package in packages:
        purl = f"pkg:deb/debian/{package.name}@{quote(package.version)}?arch={package.architecture}&distro=bookworm"
        component = _component("library", package.name, package.version, purl)
        component["hashes"] = [{"alg": "SHA-256", "content": package.sha256}]
        found.append(component)
    return found


def document(version: str, components: Iterable[Component], *, created: str) -> str:
    """Return the whole document; the same components give the same bytes."""
    product = _component("application", "microseg", version, f"pkg:pypi/microseg@{version}")
    body: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"timestamp": created, "component": product},
        "components": sorted(components, key=lambda each: str(each["bom-ref"])),
    }
    body["dependencies"] = [{"ref": product["bom-ref"], "dependsOn": [each["bom-ref"] for each in body["components"]]}]
    body["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))}"
    return json.dumps(body, indent=1, sort_keys=True) + "\n"


def _component(kind: str, name: str, version: str, purl: str) -> Component:
    return {"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _one_of(component: Component) -> Component:
    hashes = [each["content"] for each in component.pop("hashes", [])]
    if len(hashes) == 1:
        return component | {"hashes": [{"alg": "SHA-256", "content": hashes[0]}]}
    return component | {"properties": [{"name": "microseg:one-of-sha256", "value": each} for each in hashes]}
