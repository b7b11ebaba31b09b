"""Filters of the playbook: comparing whole lists in one step, as somebody who has waited for loops writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]


def not_paired(vms: Iterable[Json], workloads: Iterable[Json]) -> list[Json]:
    """Return the VMs whose computer name no workload has."""
    known = {each["hostname"] for each in workloads}
    return [vm for vm in vms if vm["properties"]["osProfile"]["computerName"] not in known]


def addresses(nics: Iterable[Json]) -> dict[str, str]:
    """Return the first address of each VM: name of the VM -> address."""
    found: dict[str, str] = {}
    for nic in nics:
        owner = nic["properties"]["virtualMachine"]["id"].rsplit("/", 1)[-1].lower()
        found.setdefault(owner, nic["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"])
    return found


def missing_labels(rows: Iterable[Json], labels: Iterable[Json]) -> list[dict[str, str]]:
    """Return the labels of the table that the PCE does not have yet."""
    known = {(each["key"], each["value"]) for each in labels}
    wanted = {pair for row in rows for pair in row["labels"].items()}
    return [{"key": key, "value": value} for key, value in sorted(wanted - known)]


def label_changes(rows: Iterable[Json], workloads: Iterable[Json], labels: Iterable[Json]) -> list[dict[str, Any]]:
    """Return the items of a bulk update: the workloads whose labels differ from the table."""
    hrefs = {(each["key"], each["value"]): each["href"] for each in labels}
    wanted = {row["hostname"]: {hrefs[pair] for pair in row["labels"].items()} for row in rows}
    return [
        {"href": each["href"], "labels": [{"href": href} for href in sorted(wanted[each["hostname"]])]}
        for each in workloads
        if each["hostname"] in wanted and {label["href"] for label in each["labels"]} != wanted[each["hostname"]]
    ]


def members(rows: Sequence[Json]) -> list[dict[str, Any]]:
    """Return each group of the table with the names of its hosts."""
    groups = sorted({group for row in rows for group in row["groups"]})
    return [{"name": name, "members": [row["name"] for row in rows if name in row["groups"]]} for name in groups]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {each.__name__: each for each in (not_paired, addresses, missing_labels, label_changes, members)}
