"""Names of our host objects, and which of those that carry our mark are provably the ones that we made (S7).

Whoever clones an object at Check Point clones its tags and its comments, and with them our mark. So a mark alone proves
nothing: an object is ours where its uid is in the host's record, or where it has a name that we make for this host. Any
other one with our mark is a person's, and is neither changed nor deleted. Pure; `grouping` makes the names,
`engine/state/latest.py` tells the objects apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from microseg.model import names
from microseg.model.checkpoint_facts import HostObject
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.facts import ObjectMatches
from microseg.model.host import host_name
from microseg.model.spelling import fold

_NAME_LIMIT = 64
"""Check Point publishes no limit for names; longer ones were not seen in the wild."""
_DIGEST = 9
"""Characters at the end of a host's name: a hyphen, and a digest of its vmId."""


def object_name(prefix: str, host: str, address: str = "") -> str:
    """Name of the object of a host; further addresses of the VM get a digest of the address behind it."""
    suffix = _suffix(address)
    room = _NAME_LIMIT - len(prefix) - len(suffix)
    if len(host) > room:
        host = f"{host[: room - _DIGEST].rstrip('-')}{host[-_DIGEST:]}"
    return f"{prefix}{host}{suffix}"


def has_our_name(item: HostObject, prefix: str, vm_names: Iterable[str] = ()) -> bool:
    """Whether the object has a name that we make for the VM in its mark. `vm_names`: the names that Azure showed.

    Where nobody knows any, because the record is lost, the prefix and the digest of the vmId decide.
    """
    name, further = fold(item.name), _suffix(item.address)
    hosts = {host_name(vm_name, item.vm_id) for vm_name in vm_names if vm_name}
    if hosts:
        return any(name in _folded(prefix, host, item.address) for host in hosts)
    digest = host_name("", item.vm_id)[-_DIGEST:]
    return name.startswith(fold(prefix)) and name.endswith((digest, digest + further))


def made_by_us(
    marked: Collection[HostObject], prefix: str, vm_names: Iterable[str], uids: Iterable[str], wanted: Iterable[str]
) -> tuple[tuple[HostObject, ...], tuple[HostObject, ...]]:
    """Objects with one host's mark: those that we made, and the others. An object with two addresses is here twice.

    `uids`: of the objects in the record, which keep them when they are renamed; `wanted`: names that are desired now.
    """
    known, desired, vm_names = set(uids), {fold(name) for name in wanted}, tuple(vm_names)
    known |= {item.uid for item in marked if fold(item.name) in desired or has_our_name(item, prefix, vm_names)}
    ours = tuple(item for item in marked if item.uid in known)
    return ours, tuple(item for item in marked if item.uid not in known)


def without_mark(matches: ObjectMatches, record: CheckPointRecord | None) -> tuple[HostObject, ...]:
    """Objects of the record, with a name of ours, whose comment or tag was changed by hand: they are not touched."""
    recorded = {item.uid for item in record.hosts} if record is not None else set()
    return tuple(item for item in matches.name_clashes.values() if item.uid in recorded)


def mark_to_put_back(owner: str, vm_id: str) -> str:
    """What a person gives an object that lost its mark."""
    return f"the comment {names.mark(owner)} {vm_id} and the tag {names.check_point_tag(owner)}"


def left_alone(item: HostObject) -> str:
    """What a person is told of an object with our mark that we did not make."""
    return (
        f"Host object {item.name} carries this operator's mark, and the operator did not make it, as a clone does; it "
        "is left alone. Delete it, or take the tag and the comment off it"
    )


def _suffix(address: str) -> str:
    return f"-{hashlib.sha256(address.encode()).hexdigest()[:6]}" if address else ""


def _folded(prefix: str, host: str, address: str) -> tuple[str, str]:
    return fold(object_name(prefix, host)), fold(object_name(prefix, host, address))
