"""The management server's JSON turned into facts, and the mark that makes a host object ours.

Pure; called by `checkpoint.py`. Shapes: chkp-antonr/checkpoint-api-ref jmd/show-hosts.j.md, show-groups.j.md,
show-gateways-and-servers.j.md, show-session.j.md, show-task.j.md; a publish task's details: demisto/content
Packs/CheckpointFirewall test_data; an installation's: CheckPointSW/sddc monitor.py; the words of locks:
tkoopman/CheckPoint.NET.
"""

from __future__ import annotations

from datetime import UTC, datetime

from microseg.gateways import shapes
from microseg.gateways.ports import Unreachable
from microseg.gateways.shapes import Json
from microseg.gateways.transport import clean
from microseg.model.facts import Gateway, Group, HostObject, Revision, Session, Task, TaskState
from microseg.model.host import clip

_PREFIX = "microseg.dev/"
_MESSAGES = 20
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

    A slash is among the characters that old servers refuse in names (support.checkpoint.com sk40179). Two owners may
    share a spelling; the comment says the owner exactly, and both must agree.
    """
    return f"microseg.dev-{owner.removeprefix(_PREFIX).replace('/', '.')}"


def comment(owner: str, vm_id: str) -> str:
    """The comment of an object of ours."""
    return f"{_PREFIX}{owner} {vm_id}"


def mark(body: Json) -> tuple[str, str]:
    """(owner, vmId) of a host object; empty unless its comment and one of its tags agree on the owner."""
    words = shapes.text(body.get("comments")).split()
    if len(words) < 2 or not words[0].startswith(_PREFIX):
        return "", ""
    owner = words[0].removeprefix(_PREFIX)
    tags = {_name(tag) for tag in shapes.listing(body.get("tags"))}
    return (owner, words[1].lower()) if owner and tag_name(owner) in tags else ("", "")


def hosts(body: Json) -> tuple[HostObject, ...]:
    """A host object, once for each of its addresses; empty where it has no uid, name or address."""
    uid, name = shapes.text(body.get("uid")), shapes.text(body.get("name"))
    found = (shapes.address(body.get(key)) for key in ("ipv4-address", "ipv6-address"))
    addresses = [address for address in found if address]
    if not uid or not name:
        return ()
    owner, vm_id = mark(body)
    groups = frozenset(group for group in map(_name, shapes.listing(body.get("groups"))) if group)
    return tuple(HostObject(uid, name, address, groups, owner, vm_id, modifier=modifier(body)) for address in addresses)


def group(body: Json) -> Group:
    """A group and the administrator of another session that locks it."""
    name, uid = shapes.text(body.get("name")), shapes.text(body.get("uid"))
    return Group(name=name, uid=uid, locked_by=holder(body), modifier=modifier(body))


def modifier(body: Json) -> str:
    """Who wrote an object last, published or in our session; empty where the server does not say."""
    return clean(shapes.within(body, "meta-info", "last-modifier"), limit=64)


def holder(body: Json) -> str:
    """Who locks an object from another session; empty: nobody does, or we do."""
    meta = shapes.mapping(body.get("meta-info"))
    if "other session" not in shapes.text(meta.get("lock")):
        return ""
    return clean(meta.get("locking-admin"), limit=64) or "another session"


def gateway(body: Json) -> Gateway:
    """A gateway and what it enforces; `policy` is empty where nothing was ever installed.

    Older servers show name and date only: then the revision is None.
    """
    policy = shapes.mapping(body.get("policy"))
    installed = policy.get("access-policy-installed") is not False
    return Gateway(
        name=shapes.text(body.get("name")),
        policy=clip(policy.get("access-policy-name")) if installed else "",
        revision=revision(shapes.mapping(policy.get("access-policy-revision"))),
        installed_at=moment(policy.get("access-policy-installation-date")),
    )


def revision(body: Json) -> Revision | None:
    """A published session; None without a uid or a time."""
    uid, at = shapes.text(body.get("uid")), moment(body.get("publish-time"))
    by = clean(body.get("user-name"), limit=64)
    return None if not uid or at is None else Revision(uid=clip(uid, 64), published_at=at, by=by)


def session(body: Json) -> Session:
    """A session; `open`: somebody is connected to it."""
    return Session(
        uid=shapes.text(body.get("uid")),
        name=clip(shapes.text(body.get("name"))),
        application=clip(shapes.text(body.get("application")), 64),
        user=clip(shapes.text(body.get("user-name"))),
        changes=shapes.number(body.get("changes")) or 0,
        locks=shapes.number(body.get("locks")) or 0,
        open=body.get("in-work") is not False and body.get("expired-session") is not True,
    )


def task(body: Json) -> Task:
    """A task in full. Partial success is not success; a word that is not known raises Unreachable.

    A publish's revision and an installation's targets stand in `task-details`, which only `details-level: full` shows.
    """
    status = shapes.text(body.get("status")).lower()
    state = _STATES.get(status)
    if state is None:
        message = "Check Point answered with an unknown state of a task"
        raise Unreachable(message)
    details = shapes.mappings(body.get("task-details"))
    revisions = (shapes.text(detail.get("revision")) for detail in details)
    return Task(
        id=shapes.text(body.get("task-id")),
        state=state,
        revision=clip(next((uid for uid in revisions if uid), ""), 64) if state is TaskState.SUCCEEDED else "",
        messages=_messages(body, details),
        failed_targets=tuple(
            clip(shapes.text(detail.get("gatewayName")))
            for detail in details
            if detail.get("gatewayName") and "succeeded" not in shapes.text(detail.get("statusCode")).lower()
        )
        if state is not TaskState.RUNNING
        else (),
    )


def moment(value: object) -> datetime | None:
    """A time as `{posix, iso-8601}`: posix in milliseconds, as the text has minutes only."""
    body = shapes.mapping(value)
    posix = shapes.number(body.get("posix"))
    if posix is None:
        return shapes.when(body.get("iso-8601"))
    try:
        return datetime.fromtimestamp(posix / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _messages(body: Json, details: list[Json]) -> tuple[str, ...]:
    """What is worth reading of a task: its own description, then its stages' warnings and errors."""
    found = [body.get("progress-description")]
    for detail in details:
        found += [detail.get(name) for name in ("statusDescription", "fault-message", "status")]
        for stage in shapes.mappings(detail.get("stagesInfo")):
            said = shapes.mappings(stage.get("messages"))
            found += [message.get("message") for message in said if message.get("type") != "info"]
    texts = [text for text in (clean(each) for each in found) if text]
    return tuple(dict.fromkeys(texts))[:_MESSAGES]


def _name(value: object) -> str:
    """The name of an object inside another one, which the lowest level of detail shows as a bare text."""
    return shapes.text(value) or shapes.text(shapes.mapping(value).get("name"))
