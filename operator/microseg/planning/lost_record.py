"""A record that was lost, made again of what the systems show, before any rule is asked (S6). Pure.

The guard counts what records say. A new record says nothing, so whoever may delete ManagedHosts could let a held change
through: the host would be taken for a newcomer's. What is ours outside tells the difference: a newcomer has nothing
there. `engine.mapping.lost_records` finds these hosts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from microseg.model.checkpoint_facts import HostObject
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import ConditionType, Reason, find
from microseg.model.desired import Desired
from microseg.model.fields import clip
from microseg.model.host import ManagedHost, MappingRecord
from microseg.model.illumio_facts import Workload
from microseg.model.illumio_record import IllumioRecord
from microseg.model.spelling import fold
from microseg.planning.guard import is_made_again, was_commissioned
from microseg.planning.record import firewall_object, label_records


def is_open(host: ManagedHost) -> bool:
    """Whether the systems have to tell what the record does not: nothing decided about its VM since it was made."""
    return is_made_again(host) or is_blank(host)


def is_blank(host: ManagedHost) -> bool:
    """Whether nobody has looked in the PCE since the record was made: its VM may have had another record before."""
    if was_commissioned(host) or (host.status.agent is not None and host.status.agent.attempt):
        return False
    paired = find(host.status.conditions, ConditionType.AGENT_PAIRED)
    return paired is None or paired.reason == Reason.ILLUMIO_UNREADABLE


def is_ungrouped(host: ManagedHost) -> bool:
    """Whether nothing was decided about its groups since the record was made: its objects were there before."""
    grouped = find(host.status.conditions, ConditionType.GROUPED)
    return grouped is None or grouped.reason in _UNDECIDED


_UNDECIDED = {Reason.CHECK_POINT_UNREADABLE, Reason.ILLUMIO_UNREADABLE, Reason.AZURE_UNREADABLE, Reason.NO_MAPPING}


def has_something_to_lose(workload: Workload | None, objects: Sequence[HostObject] | None) -> bool:
    """Whether the VM of a new record is protected already: its own stamped workload has labels, or its objects groups.

    `objects` None: Check Point was not read yet, so it may be in groups.
    """
    return workload is not None and (objects is None or bool(workload.labels) or any(each.groups for each in objects))


def as_shown(
    host: ManagedHost, workload: Workload | None, objects: Sequence[HostObject] | None, answers: Sequence[Desired]
) -> ManagedHost:
    """The host with the record that the systems bear out, and that no rules decided about.

    `answers`: what the rules in force and those before ask for; they tell which labels and memberships are ours.
    """
    status = host.status
    illumio, check_point = status.illumio, status.check_point
    if illumio is None and workload is not None:
        keys = {key for answer in answers for key, _ in answer.labels}
        illumio = IllumioRecord(
            workload=clip(workload.href),
            labels=label_records(workload),
            owned_keys=tuple(sorted(keys & {label.key for label in workload.labels})),
        )
    if check_point is None and objects:
        hosts = tuple(firewall_object(item) for item in sorted(objects, key=lambda item: item.name))
        check_point = CheckPointRecord(hosts=hosts, groups=_own_groups(objects, answers))
    status = msgspec.structs.replace(status, illumio=illumio, check_point=check_point, mapping=MappingRecord())
    return msgspec.structs.replace(host, status=status)


def _own_groups(objects: Iterable[HostObject], answers: Iterable[Desired]) -> tuple[str, ...]:
    """The groups that the operator put these objects in: those that the rules know of; another one is a person's.

    Where the rules know none of them, an earlier answer did, such as of other tags: an object is made to be in groups.
    """
    shown = {group for item in objects for group in item.groups}
    asked = {fold(group) for answer in answers for group in (*answer.groups, *answer.pending_groups)}
    return tuple(sorted({group for group in shown if fold(group) in asked} or shown))
