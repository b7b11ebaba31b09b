"""The commands show-task and show-tasks: how long operations go on, by their ids or as a list.

Parameters as in the vendor's reference (chkp-antonr/checkpoint-api-ref `jmd/show-task.j.md`, `show-tasks.j.md`): the
list is filtered by who began a task, how it stands, and when it was updated last. That the newest comes first is in the
documentation of check_point.mgmt (`cp_mgmt_show_tasks`, parameter `order`).
"""

from __future__ import annotations

from simulators.checkpoint import errors, fields, rendering
from simulators.checkpoint.commands import PAGING, Call, Command, page
from simulators.checkpoint.rendering import Json
from simulators.checkpoint.tasks import Task

_STATUSES = {
    "all": None,
    "in-progress": ("in progress",),
    "failed": ("failed",),
    "successful": ("succeeded", "succeeded with warnings"),
}


def task_commands() -> list[Command]:
    """Both."""
    return [
        Command("show-task", _show_task, frozenset({"task-id", "details-level"}), ("task-id",)),
        Command("show-tasks", _show_tasks, PAGING | {"initiator", "status", "from-date", "to-date"}),
    ]


def _show_task(call: Call) -> Json:
    now, level = call.world.now(), call.level
    found = [call.world.tasks.find(uid) for uid in fields.names("task-id", call.body["task-id"])]
    return {"tasks": [rendering.task(task, now, level) for task in found]}


def _show_tasks(call: Call) -> Json:
    status = call.text("status", "all")
    if status not in _STATUSES:
        raise errors.invalid_parameter(name="status", why=f"[{status}] is not one of {', '.join(_STATUSES)}")
    initiator, statuses = call.text("initiator"), _STATUSES[status]
    since = call.moment("from-date") if "from-date" in call.body else None
    until = call.moment("to-date") if "to-date" in call.body else None
    now, level = call.world.now(), call.level

    def is_wanted(task: Task) -> bool:
        updated = task.updated(now)
        return (
            (not initiator or task.user == initiator)
            and (statuses is None or task.status in statuses)
            and (since is None or updated >= since)
            and (until is None or updated <= until)
        )

    found = sorted(filter(is_wanted, call.world.listed_tasks()), key=lambda task: task.updated(now), reverse=True)
    return page(
        call, found, lambda task: task.notification if level == "uid" else rendering.task(task, now, level), "tasks"
    )
