"""Collections of the PCE: the parameters of lists, what they match, how many rows are returned.

Used by the routes. Parameters: the Terraform provider illumio-core, illumio-pylo, workloader and the vendor's REST
manual 21.5 to 24.5 (name, hostname, description, os_id, ip_address and a label's value match in part; `labels` is a
list of lists; at most 500 rows, `X-Total-Count` says how many there are). An unknown parameter is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from simulators.illumio.errors import refuse_invalid
from simulators.illumio.labels import BUILT_IN
from simulators.illumio.records import Ven, Workload

T = TypeVar("T")
Test = Callable[[T], bool]
TRUE, FALSE = {"true", "yes", "1"}, {"false", "no", "0"}
_ANYWHERE = {"max_results", "representation"}


def flag(value: str) -> bool:
    """Return a boolean as clients write it (`true`, `True`, `yes`)."""
    word = value.lower()
    if word not in TRUE | FALSE:
        refuse_invalid(f"{value!r} is not a boolean")
    return word in TRUE


def most(query: Mapping[str, str], cap: int) -> int:
    """Return how many rows the caller gets."""
    text = query.get("max_results", str(cap))
    if not text.isdigit():
        refuse_invalid(f"max_results must be a whole number, not {text!r}")
    return min(int(text), cap)


def select(rows: Iterable[T], query: Mapping[str, str], makers: Mapping[str, Callable[[str], Test[T]]]) -> list[T]:
    """Return the rows that pass every parameter; 406 for a parameter that this collection does not have."""
    found = list(rows)
    for name, value in query.items():
        if name in _ANYWHERE:
            continue
        maker = makers.get(name)
        if maker is None:
            refuse_invalid(f"unknown query parameter {name!r}")
        found = list(filter(maker(value), found))
    return found


def part(read: Callable[[T], str | None]) -> Callable[[str], Test[T]]:
    """Return matches in part, case ignored."""

    def make(value: str) -> Test[T]:
        wanted = value.lower()
        return lambda row: wanted in (read(row) or "").lower()

    return make


def same(read: Callable[[T], str | None]) -> Callable[[str], Test[T]]:
    """Return matches the whole value."""

    def make(value: str) -> Test[T]:
        return lambda row: read(row) == value

    return make


def is_flag(read: Callable[[T], bool]) -> Callable[[str], Test[T]]:
    """Return matches a boolean."""

    def make(value: str) -> Test[T]:
        wanted = flag(value)
        return lambda row: read(row) is wanted

    return make


def at_least(read: Callable[[T], str | None]) -> Callable[[str], Test[T]]:
    """Return times from the value on; RFC 3339 in UTC compares as text."""
    return lambda value: lambda row: (read(row) or "") >= value


def at_most(read: Callable[[T], str | None]) -> Callable[[str], Test[T]]:
    """Return times up to the value."""
    return lambda value: lambda row: "" < (read(row) or "") <= value


def anything(_: str) -> Test[object]:
    """Return a parameter that is accepted and ignored."""
    return lambda _row: True


def labels_filter(org: str, keys: Callable[[], set[str]]) -> Callable[[str], Test[Workload]]:
    """`labels`: outer list OR, inner list AND; `{org}/labels?key=env&exists=false` matches the lack of a key."""

    def make(value: str) -> Test[Workload]:
        groups = [[_one(text, f"{org}/labels?", keys) for text in group] for group in _two_levels(value)]
        return lambda workload: any(all(test(workload) for test in group) for group in groups)

    return make


def _one(text: str, prefix: str, keys: Callable[[], set[str]]) -> Test[Workload]:
    if not text.startswith(prefix):
        return lambda workload: any(label.href == text for label in workload.labels.values())
    parts = dict(item.partition("=")[::2] for item in text.removeprefix(prefix).split("&"))
    key = parts.get("key", "")
    if key not in keys() | set(BUILT_IN) or parts.get("exists") not in ("true", "false"):
        refuse_invalid(f"labels: {text!r} is neither a label nor a key's existence")
    wanted = parts["exists"] == "true"
    return lambda workload: (key in workload.labels) is wanted


def _two_levels(value: str) -> list[list[str]]:
    try:
        data = json.loads(value)
    except json.JSONDecodeError as error:
        refuse_invalid(f"labels is not JSON: {error}")
    shaped = isinstance(data, list) and all(
        isinstance(group, list) and all(isinstance(text, str) for text in group) for group in data
    )
    if not shaped:
        refuse_invalid("labels must be a list of lists of HREFs")
    return [list(group) for group in data]


def _has_address(value: str) -> Test[Workload]:
    return lambda workload: (
        value in (workload.public_ip or "")
        or any(value in str(item.get("address", "")) for item in workload.interfaces)
    )


def _of_ven(read: Callable[[Ven], str | None]) -> Callable[[Workload], str | None]:
    return lambda workload: None if workload.ven is None else read(workload.ven)


def workload_makers(org: str, keys: Callable[[], set[str]]) -> dict[str, Callable[[str], Test[Workload]]]:
    """Return the parameters of the workloads' list."""
    heartbeat = _of_ven(lambda ven: ven.last_heartbeat)
    return {
        "name": part(lambda row: row.name),
        "hostname": part(lambda row: row.hostname),
        "description": part(lambda row: row.description),
        "os_id": part(lambda row: row.os_id),
        "ip_address": _has_address,
        "managed": is_flag(lambda row: row.ven is not None),
        "online": is_flag(lambda row: row.online),
        "include_deleted": anything,
        "enforcement_mode": same(lambda row: row.enforcement_mode),
        "visibility_level": same(lambda row: row.visibility_level),
        "external_data_set": same(lambda row: row.external_data_set),
        "external_data_reference": same(lambda row: row.external_data_reference),
        "ven": same(_of_ven(lambda ven: ven.href)),
        "security_policy_sync_state": same(_of_ven(lambda ven: ven.sync_state)),
        "last_heartbeat_on[gte]": at_least(heartbeat),
        "last_heartbeat_on[lte]": at_most(heartbeat),
        "labels": labels_filter(org, keys),
    }


def ven_makers(org: str, keys: Callable[[], set[str]]) -> dict[str, Callable[[str], Test[Workload]]]:
    """Return the parameters of the VENs' list (a VEN is matched through its workload)."""
    heartbeat = _of_ven(lambda ven: ven.last_heartbeat)
    return {
        "name": part(_of_ven(lambda ven: ven.name)),
        "hostname": part(lambda row: row.hostname),
        "description": part(_of_ven(lambda ven: ven.description)),
        "ip_address": _has_address,
        "status": same(_of_ven(lambda ven: ven.status)),
        "activation_type": same(lambda _row: "pairing_key"),
        "include_deleted": anything,
        "last_heartbeat_at[gte]": at_least(heartbeat),
        "last_heartbeat_at[lte]": at_most(heartbeat),
        "labels": labels_filter(org, keys),
    }
