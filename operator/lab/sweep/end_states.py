"""What is outside and in the records now, in words that are the same in every run: for comparing ends of lives.

Names of VMs stand for their vmIds, and whatever differs from run to run for no reason of ours is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubernetes import client

from lab.estate import NAME
from lab.evidence import digest
from lab.rig import Rig

Look = dict[str, Any]
OURS = f"microseg.dev/{NAME}"
_TOMBSTONES = "microseg.dev/tombstones"


def names_of(rig: Rig) -> dict[str, str]:
    """Return vmId -> name of every VM that ever was."""
    made = rig.worlds.ledger("azure", "world.vm-created")
    return {entry.changed[0]: entry.changed[1] for entry in made}


def look(rig: Rig) -> Look:
    """Everything that must be the same."""
    summary = rig.worlds.get("/checkpoint/summary")
    revision = summary["revision"]["number"]
    found = {
        "hosts": {host.vm: _host(host.raw) for host in rig.hosts()},
        "workloads": sorted(
            (_workload(each) for each in rig.worlds.get("/illumio/workloads")["workloads"] if not each["deleted"]),
            key=lambda each: str(each["hostname"]),
        ),
        "objects": {each["name"]: _object(each) for each in rig.worlds.get("/checkpoint/objects")["objects"]},
        "gateways": {
            name: {"current": gateway["revision"] == revision, "package": gateway["package"], "busy": gateway["busy"]}
            for name, gateway in summary["gateways"].items()
        },
        "tombstones": sorted(_tombstones(rig)),
    }
    named: Look = json.loads(_with_names(json.dumps(found), names_of(rig)))
    return named


def sessions(rig: Rig) -> list[str]:
    """Names of our Check Point sessions, with the number of changes they hold."""
    prefix = f"microseg/{rig.namespace}/{NAME}/"
    found = [each for each in rig.worlds.get("/checkpoint/summary")["sessions"] if each["name"].startswith(prefix)]
    return [f"{each['name'].removeprefix(prefix)}: {each['changes']} changes, {each['state']}" for each in found]


def installs(rig: Rig) -> dict[str, int]:
    """How many installers began in each VM, by its name."""
    count = dict.fromkeys(names_of(rig).values(), 0)
    for run in rig.worlds.scripts():
        if run.mode == "install":
            count[names_of(rig)[run.vm_id]] += 1
    return count


def records(rig: Rig) -> Look:
    """The records and the Estate, whole: the same twice means that nothing was written, not even the same again."""
    objects = [*(host.raw for host in rig.hosts()), rig.estate()]
    return {each["metadata"]["name"]: _without_managers(each) for each in objects}


def differences(wanted: object, found: object, place: str = "") -> list[str]:
    """Where two looks differ, a line each."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        keys = sorted({*wanted, *found}, key=str)
        return [line for key in keys for line in differences(wanted.get(key), found.get(key), f"{place}/{key}")]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [line for number, (a, b) in pairs for line in differences(a, b, f"{place}/{number}")]
    return [] if wanted == found else [f"{place}: {json.dumps(found)} instead of {json.dumps(wanted)}"]


def _without_managers(record: dict[str, Any]) -> Look:
    metadata = {key: value for key, value in record["metadata"].items() if key != "managedFields"}
    return record | {"metadata": metadata}


def _host(raw: dict[str, Any]) -> Look:
    status = raw.get("status", {})
    conditions = {each["type"]: f"{each['status']} {each['reason']}" for each in status.get("conditions", ())}
    return {"stage": status.get("stage"), "conditions": conditions, "summary": status.get("summary")}


def _workload(each: dict[str, Any]) -> Look:
    return {key: each[key] for key in ("hostname", "managed", "labels", "enforcement_mode", "external_data_reference")}


def _object(each: dict[str, Any]) -> Look:
    kept = ("type", "comments", "tags", "groups", "creator")
    return {key: each[key] for key in kept} | {"address": each.get("ipv4-address")}


def _tombstones(rig: Rig) -> list[str]:
    maps: Any = client.CoreV1Api(rig.api).list_namespaced_config_map(rig.namespace, label_selector=_TOMBSTONES)
    return [json.loads(stone)["vmId"] for each in maps.items for stone in (each.data or {}).values()]


def _with_names(text: str, names: Mapping[str, str]) -> str:
    """Replace vmIds, and the hashes of them that are in objects' names."""
    for vm_id, name in names.items():
        text = text.replace(vm_id, f"<{name}>").replace(digest(vm_id), f"<{name}>")
    return text
