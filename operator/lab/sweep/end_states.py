"""The state of the three systems and of the ManagedHosts in a form that is the same in every run, for comparison.

VM names stand for vmIds, and what differs between runs by nature is left out. Called by `recording.py` and `trial.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kubernetes import client

from lab.estate import NAME
from lab.evidence import digest
from lab.rig import Rig

EndState = dict[str, Any]
_TOMBSTONES = "microseg.dev/tombstones"


def names_of(rig: Rig) -> dict[str, str]:
    """Return vmId -> name of every VM that ever was."""
    made = rig.worlds.ledger("azure", "world.vm-created")
    return {entry.changed[0]: entry.changed[1] for entry in made}


def end_state(rig: Rig) -> EndState:
    """Return everything that must be the same in every run."""
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
    named: EndState = json.loads(_with_names(json.dumps(found), names_of(rig)))
    return named


def sessions(rig: Rig) -> list[str]:
    """Return the operator's Check Point sessions, each with its number of changes and its state."""
    prefix = f"microseg/{rig.namespace}/{NAME}/"
    found = [each for each in rig.worlds.get("/checkpoint/summary")["sessions"] if each["name"].startswith(prefix)]
    return [f"{each['name'].removeprefix(prefix)}: {each['changes']} changes, {each['state']}" for each in found]


def installs(rig: Rig) -> dict[str, int]:
    """Return VM name -> installers that started in it."""
    count = dict.fromkeys(names_of(rig).values(), 0)
    for run in rig.worlds.scripts():
        if run.mode == "install":
            count[names_of(rig)[run.vm_id]] += 1
    return count


def records(rig: Rig) -> EndState:
    """Return the ManagedHosts and the Estate, whole: equal twice means that nobody wrote, not even the same content."""
    objects = [*(host.raw for host in rig.hosts()), rig.estate()]
    return {each["metadata"]["name"]: _without_managers(each) for each in objects}


def differences(expected: object, found: object, place: str = "") -> list[str]:
    """Return one line per difference of two states."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        keys = sorted({*expected, *found}, key=str)
        return [line for key in keys for line in differences(expected.get(key), found.get(key), f"{place}/{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [line for number, (a, b) in pairs for line in differences(a, b, f"{place}/{number}")]
    return [] if expected == found else [f"{place}: {json.dumps(found)} instead of {json.dumps(expected)}"]


def _without_managers(record: dict[str, Any]) -> EndState:
    metadata = {key: value for key, value in record["metadata"].items() if key != "managedFields"}
    return record | {"metadata": metadata}


def _host(raw: dict[str, Any]) -> EndState:
    status = raw.get("status", {})
    conditions = {each["type"]: f"{each['status']} {each['reason']}" for each in status.get("conditions", ())}
    return {"stage": status.get("stage"), "conditions": conditions, "summary": status.get("summary")}


def _workload(each: dict[str, Any]) -> EndState:
    return {key: each[key] for key in ("hostname", "managed", "labels", "enforcement_mode", "external_data_reference")}


def _object(each: dict[str, Any]) -> EndState:
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
