"""What is held because its system accepted it and does not show it (L6): the verdict `Blocked NotTaking` instead.

A person reads what is desired and what is shown, in both spellings. It is tried again when either changes, else after
the hour that `HostFacts.untaken` names. Called by `decide`, on verdicts whose effects are allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from microseg.model.checkpoint_facts import HostObject
from microseg.model.condition import Reason
from microseg.model.facts import Seen
from microseg.model.illumio_facts import Workload
from microseg.model.plan import (
    Action,
    CreateLabel,
    DropObject,
    PutObject,
    RaiseEnforcement,
    ReleaseAddress,
    SetLabels,
    StampWorkload,
    UnpairWorkload,
)
from microseg.model.spelling import same_name
from microseg.model.verdict import Act, Blocked, Done, LabelDifference, Verdict
from microseg.stages.context import HostContext

AGAIN = "It is tried again when either changes, else every hour."
_FIREWALL = PutObject | DropObject | ReleaseAddress


def judge(verdict: Done | Act, context: HostContext) -> Verdict:
    """The verdict without the effects that do not take; Blocked where nothing is left to do.

    An old holder's release and the new holder's object belong into one publish (S2): they are held together.
    """
    times = {action: at for action in verdict.actions if (at := _held_until(action, context)) is not None}
    if not times:
        return verdict
    left = tuple(action for action in verdict.actions if action not in times)
    if left and isinstance(verdict, Act) and not any(isinstance(action, ReleaseAddress) for action in times):
        return replace(verdict, actions=left)
    texts = " ".join(dict.fromkeys(text for action in times for text in _describe(action, verdict, context)))
    notice = "" if any(isinstance(action, _FIREWALL) for action in times) else context.refusal_notice
    message = f"{texts}{notice} {AGAIN}"
    return Blocked(Reason.NOT_TAKING, message, min(times.values()), differences=verdict.differences)


def _held_until(action: Action, context: HostContext) -> datetime | None:
    """When a held action is tried again; None: it is not held."""
    return next((each.until for each in context.facts.untaken if each.holds(action, context.now)), None)


def _describe(action: Action, verdict: Verdict, context: HostContext) -> Iterator[str]:
    """What is desired, and what is shown instead."""
    match action:
        case CreateLabel(_, key, value):
            alike = sorted(each for kind, each in context.estate.labels if kind == key and same_name(each, value))
            yield f"The PCE was asked to create label {key}={value} and lists {' and '.join(alike) or 'no such label'}."
        case SetLabels(_, workload, _, clear):
            for each in verdict.differences:
                if isinstance(each, LabelDifference):
                    shown = f"{each.key}={each.carried}" if each.carried is not None else f"no label {each.key}"
                    yield f"The PCE was asked to set {each.key}={each.desired} on {workload} and shows {shown}."
            for key in clear:
                yield f"The PCE was asked to take label {key} off {workload} and still shows it."
        case StampWorkload() | RaiseEnforcement() | UnpairWorkload():
            yield _describe_workload(action, context)
        case PutObject() | DropObject() | ReleaseAddress():
            yield _describe_object(action, context)
        case _:  # the others are not counted here
            pass


def _describe_workload(action: StampWorkload | RaiseEnforcement | UnpairWorkload, context: HostContext) -> str:
    match action:
        case StampWorkload(vm_id, workload):
            found = next((each for each in _workloads(context) if each.href == workload), None)
            reference = found.external_reference if found is not None else ""
            return f"The PCE was asked to stamp {workload} with {vm_id} and shows {reference or 'no stamp'}."
        case RaiseEnforcement(_, workload, mode):
            found = next((each for each in _workloads(context) if each.href == workload), None)
            shown = found.enforcement_mode if found is not None else "no such workload"
            return f"The PCE was asked for enforcement {mode} of {workload} and shows {shown}."
        case UnpairWorkload(_, ven):
            return f"The PCE was asked to unpair {ven} and still lists it."


def _describe_object(action: PutObject | DropObject | ReleaseAddress, context: HostContext) -> str:
    found = next((each for each in _objects(context) if each.uid == action.uid or each.name == action.name), None)
    shown = "no such object"
    if found is not None:
        groups = f"in {', '.join(sorted(found.groups))}" if found.groups else "in no group"
        shown = f"{found.name} with {found.address} {groups}"
    match action:
        case PutObject(_, name, _, address, join, leave):
            desired = [f"object {name} with {address}"]
            desired += [f"in {', '.join(join)}"] if join else []
            desired += [f"out of {', '.join(leave)}"] if leave else []
            return f"Check Point published {' '.join(desired)} and shows {shown}."
        case DropObject(_, name):
            return f"Check Point published the deletion of object {name} and shows {shown}."
        case ReleaseAddress(_, name, _, leave):
            return f"Check Point published object {name} out of {', '.join(leave)} and shows {shown}."


def _workloads(context: HostContext) -> tuple[Workload, ...]:
    """The workloads that may be this host's."""
    matches = context.facts.illumio
    if not isinstance(matches, Seen):
        return ()
    known = (matches.value.stamped, matches.value.claimed, matches.value.recorded)
    return tuple(each for each in known if each is not None)


def _objects(context: HostContext) -> tuple[HostObject, ...]:
    """The objects that are this host's, or have one of its addresses."""
    matches = context.facts.check_point
    if not isinstance(matches, Seen):
        return ()
    clashes = (item for items in matches.value.address_clashes.values() for item in items)
    return (*matches.value.own, *clashes)
