"""The command show-changes: a task that lists what was published between two times or two sessions.

Parameters and answer as in the vendor's reference (chkp-antonr/checkpoint-api-ref `jmd/show-changes.j.md`).
"""

from __future__ import annotations

from collections.abc import Callable

from simulators.checkpoint import errors
from simulators.checkpoint.commands import Call, Command
from simulators.checkpoint.history import Changes
from simulators.checkpoint.objects import DOMAIN
from simulators.checkpoint.published import Revision
from simulators.checkpoint.rendering import Json, moment
from simulators.checkpoint.tasks import Task

_FROM_TO = frozenset({"from-date", "to-date", "from-session", "to-session"})
_MOST_SESSIONS = 500


def changes_command() -> Command:
    """Return the command."""
    return Command("show-changes", _show_changes, _FROM_TO | {"limit", "offset"})


def _show_changes(call: Call) -> Json:
    """Start the task. It covers revisions after the `from` session up to the `to` session, or between two times."""
    limit, offset = call.whole("limit", 10, 1, _MOST_SESSIONS), call.whole("offset", 0, 0, 2**31)
    chosen = _chosen(call)
    shown = [_shown(call, revision) for revision in chosen[offset : offset + limit]]

    def effect(task: Task) -> None:
        task.status, task.description = "succeeded", "Succeeded"
        task.details = [{"changes": shown, "total": len(chosen)}]

    return {"task-id": call.world.ask(call.session, "show-changes", effect).uid}


def _chosen(call: Call) -> list[Revision]:
    revisions = call.world.published.revisions
    begin, end = 0, len(revisions)
    if "from-session" in call.body:
        begin = _revision(revisions, call.text("from-session")).number
    elif "from-date" in call.body:
        since = call.moment("from-date")
        begin = sum(revision.at < since for revision in revisions)
    if "to-session" in call.body:
        end = _revision(revisions, call.text("to-session")).number
    elif "to-date" in call.body:
        until = call.moment("to-date")
        end = sum(revision.at <= until for revision in revisions)
    return revisions[begin:end]


def _revision(revisions: list[Revision], uid: str) -> Revision:
    found = next((revision for revision in revisions if revision.uid == uid), None)
    if found is None:
        raise errors.not_found(uid)
    return found


def _shown(call: Call, revision: Revision) -> Json:
    changes = call.world.published.history.of(revision.uid) or Changes(revision.uid, (), (), ())
    show: Callable[..., Json] = call.renderer.whole
    return {
        "session": {
            "session-uid": revision.uid,
            "name": revision.session_name,
            "user-name": revision.user,
            "publish-time": moment(revision.at),
            "domain": DOMAIN,
        },
        "operations": {
            "added-objects": [show(cp_object, "uid") for cp_object in changes.added],
            "modified-objects": [
                {"old-object": show(before, "uid"), "new-object": show(after, "uid")}
                for before, after in changes.modified
            ],
            "deleted-objects": [show(cp_object, "uid") for cp_object in changes.deleted],
        },
    }
