"""The management server's JSON parsed into facts, and the mark that makes a host object ours.

Pure; `checkpoint/gateway.py` and `checkpoint/objects.py` call it. Shapes: chkp-antonr/checkpoint-api-ref
jmd/show-hosts.j.md, show-groups.j.md, show-gateways-and-servers.j.md, show-session.j.md, show-task.j.md; a publish
task's details: demisto/content Packs/CheckpointFirewall test_data; an installation's: CheckPointSW/sddc monitor.py; the
words of locks: tkoopman/CheckPoint.NET.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
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
from microseg.gateways.ports import Unreachable
from microseg.model import names
from microseg.model.checkpoint_facts import EnforcementPoint, Group, HostObject, Revision, Session, Task, TaskState
from microseg.model.checkpoint_tasks import BegunTask
from microseg.model.fields import clip
from microseg.model.spelling import fold

_MOST_MESSAGES = 20
"""Of one task."""
_STATES = {
    "in progress": TaskState.RUNNING,
    "pending": TaskState.RUNNING,
    "queued": TaskState.RUNNING,
    "succeeded": TaskState.SUCCEEDED,
    "succeeded with warnings": TaskState.SUCCEEDED,
    "partially succeeded": TaskState.PARTIAL,
    "failed": TaskState.FAILED,
    "aborted": TaskState.FAILED,
}


def tag_name(owner: str) -> str:
    """The tag of an owner: `microseg.dev/a/b` is spelled `microseg.dev-a.b`.

    Old servers refuse a slash in names (support.checkpoint.com sk40179). Two owners may have the same tag; the comment
    names the owner exactly, and both must agree.
    """
    return names.check_point_tag(owner)


def owner_comment(owner: str, vm_id: str) -> str:
    """The comment of an object of ours."""
    return f"{names.mark(owner)} {vm_id}"


def owner_mark(body: Json) -> tuple[str, str]:
    """(owner, vmId) of a host object; both empty unless its comment and one of its tags name the same owner."""
    words = get_text(body, "comments").split()
    if len(words) < 2 or not words[0].startswith(names.PREFIX):
        return "", ""
    owner = words[0].removeprefix(names.PREFIX)
    tags = {fold(_name(tag)) for tag in get_list(body, "tags")}  # an older tag may have another letter case
    return (owner, words[1].lower()) if owner and fold(tag_name(owner)) in tags else ("", "")


def host_objects(body: Json) -> tuple[HostObject, ...]:
    """A host object, once for each of its addresses; nothing if it has no uid, name or address."""
    uid, name = get_text(body, "uid"), get_text(body, "name")
    candidates = (get_address(body, key) for key in ("ipv4-address", "ipv6-address"))
    addresses = [address for address in candidates if address]
    if not uid or not name:
        return ()
    owner, vm_id = owner_mark(body)
    groups, modifier = _same_groups(tuple(groups_of(body))), intern(last_modifier(body))
    return tuple(HostObject(uid, name, address, groups, intern(owner), vm_id, modifier) for address in addresses)


@lru_cache(maxsize=1024)
def _same_groups(names: tuple[str, ...]) -> frozenset[str]:
    """One set for all the objects that are in the same groups."""
    return frozenset(names)


def groups_of(body: Json) -> list[str]:
    """Names of the groups of an object."""
    return [group for group in map(_name, get_list(body, "groups")) if group]


def group(body: Json) -> Group:
    """A group and the administrator of another session that locks it."""
    name, uid = get_text(body, "name"), get_text(body, "uid")
    return Group(name=name, uid=uid, locked_by=lock_holder(body), modifier=last_modifier(body))


def last_modifier(body: Json) -> str:
    """Who changed an object last, published or in our session; empty if the server does not show it."""
    return sanitize(get_value(body, "meta-info", "last-modifier"), limit=64)


def lock_holder(body: Json) -> str:
    """Who locks an object from another session; empty: nobody, or our own session."""
    meta = get_object(body, "meta-info")
    if "other session" not in get_text(meta, "lock"):
        return ""
    return sanitize(meta.get("locking-admin"), limit=64) or "another session"


def enforcement_point(body: Json) -> EnforcementPoint:
    """A firewall gateway and what it enforces; `policy` is empty if nothing was ever installed.

    Older servers show only name and date: then the revision is None.
    """
    policy = get_object(body, "policy")
    installed = policy.get("access-policy-installed") is not False
    return EnforcementPoint(
        name=get_text(body, "name"),
        policy=clip(policy.get("access-policy-name")) if installed else "",
        revision=revision(get_object(policy, "access-policy-revision")),
        installed_at=timestamp(policy.get("access-policy-installation-date")),
        uid=get_text(body, "uid"),
        groups=frozenset(name for name in map(_name, get_list(body, "groups")) if name),
    )


def revision(body: Json) -> Revision | None:
    """A published session; None if it has no uid or no time."""
    uid, published_at = get_text(body, "uid"), timestamp(body.get("publish-time"))
    by = sanitize(body.get("user-name"), limit=64)
    return None if not uid or published_at is None else Revision(uid=clip(uid, 64), published_at=published_at, by=by)


def session(body: Json) -> Session:
    """A session; `open`: a client is connected to it."""
    return Session(
        uid=get_text(body, "uid"),
        name=clip(get_text(body, "name")),
        application=clip(get_text(body, "application"), 64),
        user=clip(get_text(body, "user-name")),
        changes=get_number(body, "changes") or 0,
        locks=get_number(body, "locks") or 0,
        open=body.get("in-work") is not False and body.get("expired-session") is not True,
    )


def task(body: Json) -> Task:
    """A task in full detail. Partial success is not success. Raises Unreachable for an unknown status.

    The revision of a publish and the targets of an installation are in `task-details`, shown at full detail only.
    """
    status = get_text(body, "status").lower()
    state = _STATES.get(status)
    if state is None:
        message = "Check Point answered with an unknown status of a task"
        raise Unreachable(message)
    details = get_objects(body, "task-details")
    revisions = (get_text(detail, "revision") for detail in details)
    return Task(
        id=get_text(body, "task-id"),
        state=state,
        revision=clip(next((uid for uid in revisions if uid), ""), 64) if state is TaskState.SUCCEEDED else "",
        messages=_messages(body, details),
        failed_targets=tuple(
            clip(get_text(detail, "gatewayName"))
            for detail in details
            if detail.get("gatewayName") and "succeeded" not in get_text(detail, "statusCode").lower()
        )
        if state is not TaskState.RUNNING
        else (),
        targets=tuple(clip(name) for detail in details if (name := get_text(detail, "gatewayName"))),
    )


def begun_task(body: Json) -> BegunTask:
    """A task in the list of tasks (jmd/show-tasks.j.md). Raises Unreachable for one without its id.

    Its name alone tells what it does. "Publish operation" and "add-objects-batch" are in examples (demisto/content
    Packs/CheckpointFirewall test_data/show_task.json; jmd/add-objects-batch.j.md, where a deletion has the name of
    another batch). "Policy installation - <package>" is in no reference; public scripts pick live tasks by it.
    """
    uid = get_text(body, "task-id")
    if not uid:
        message = "Check Point listed a task without its id"
        raise Unreachable(message)
    name = get_text(body, "task-name").strip()
    installs = re.fullmatch(r"policy installation - (.+)", name, re.IGNORECASE)
    known = re.fullmatch(r"publish operation|[a-z]+-objects-batch", name, re.IGNORECASE)
    package = installs[1] if installs else "" if known else None
    return BegunTask(id=uid, package=package, started=timestamp(body.get("start-time")))


def of_this_session(incidents: Iterable[Json]) -> list[Json]:
    """Incidents of a validation that are not said to be of other sessions (`current-session`; old servers say nothing).

    Source: chkp-antonr/checkpoint-api-ref jmd/show-validations.j.md.
    """
    return [incident for incident in incidents if incident.get("current-session") is not False]


def timestamp(value: object) -> datetime | None:
    """The time of `{posix, iso-8601}`: by posix, in milliseconds, because the text has whole minutes only."""
    body = get_object(value)
    posix = get_number(body, "posix")
    if posix is None:
        return get_time(body, "iso-8601")
    try:
        return datetime.fromtimestamp(posix / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _messages(body: Json, details: list[Json]) -> tuple[str, ...]:
    """The messages of a task: its own description, then the warnings and errors of its stages."""
    candidates = [body.get("progress-description")]
    for detail in details:
        candidates += [detail.get(name) for name in ("statusDescription", "fault-message", "status")]
        for stage in get_objects(detail, "stagesInfo"):
            stage_messages = get_objects(stage, "messages")
            candidates += [message.get("message") for message in stage_messages if message.get("type") != "info"]
    texts = [text for text in (sanitize(each) for each in candidates) if text]
    return tuple(dict.fromkeys(texts))[:_MOST_MESSAGES]


def _name(value: object) -> str:
    """The name of an object inside another one; the lowest level of detail shows the bare name."""
    return get_text(value) or get_text(value, "name")
