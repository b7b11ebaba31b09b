"""Check Point in memory: published objects, one session of ours, tasks and gateways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from lab.memory import samples as m
from lab.memory.scripted import Journal, Scripted
from microseg.gateways.ports import Busy, ObjectForm, Reading, Rejected, Validations, Wait
from microseg.model.checkpoint_facts import (
    EnforcementPoint,
    Group,
    HostObject,
    Package,
    Revision,
    Session,
    Task,
    TaskState,
)
from microseg.model.checkpoint_tasks import BegunTask, TaskList


class FakeCheckPoint(Scripted):
    """One domain with one session of ours: objects as published, and the session's unpublished ones beside them.

    `refused` names are refused by put_host; `poison` names let validations complain, by name if `telling`;
    objects of `never_shown` vmIds are published and not listed; `old_errors` are there without us, where
    the server does not say whose; `counts_changes`: it tells how many changes the session has. `locked` groups belong
    to somebody else's session.
    """

    system = "checkpoint"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.published: dict[str, HostObject] = {}
        self.pending: dict[str, HostObject] = {}
        self.known_groups = ["SO", "Web"]
        self.locked: dict[str, str] = {}
        self.refused: set[str] = set()
        self.poison: set[str] = set()
        self.poison_batch: set[str] = set()
        self.never_shown: set[str] = set()
        self.telling = True
        self.old_errors: tuple[str, ...] = ()
        self.counts_changes = True
        self.session: Session | None = None
        self.others: list[Session] = []
        self.revisions: list[Revision] = [m.PUBLISHED]
        self.tasks: dict[str, list[Task]] = {}
        self.shown = [EnforcementPoint("gw1", "Standard", None, None)]
        self.known_packages: list[Package] = []
        self.install_result = TaskState.SUCCEEDED
        self.begun: list[BegunTask] = []
        """What the list of tasks shows of ours."""
        self.ahead = timedelta()
        """Of its clock, before everybody else's."""

    def make_group(self, name: str) -> None:
        """A person makes a group, and publishes that."""
        self.known_groups.append(name)
        self.revisions.append(replace(self.revisions[-1], uid=f"by-hand-{len(self.revisions)}"))

    def problems(self) -> tuple[str, ...]:
        return self.left_out

    def open(self, name: str) -> Session:
        self.asked("open", name)
        if self.session is None:
            self.session = Session(f"session-{len(self.journal.lines)}", name)
            self.pending = dict(self.published)
        return self.session

    def close(self) -> None:
        self.asked("close")
        self.session = None
        self.pending = dict(self.published)

    def alive(self) -> Session | None:
        return self.session

    def sessions(self) -> Reading[tuple[Session, ...]]:
        yield Wait()
        self.asked("sessions")
        return (*self.others, *([self.session] if self.session else []))

    def discard_session(self, uid: str) -> None:
        self.asked("discard_session", uid)
        self.others = [session for session in self.others if session.uid != uid]

    def last_published(self) -> Revision | None:
        self.asked("last_published")
        return self.revisions[-1] if self.revisions else None

    def hosts(self) -> Reading[tuple[HostObject, ...]]:
        yield Wait()
        self.asked("hosts")
        return tuple(self.published.values())

    def groups(self) -> Reading[tuple[Group, ...]]:
        yield Wait()
        self.asked("groups")
        return tuple(Group(name, name, self.locked.get(name, "")) for name in self.known_groups)

    def packages(self) -> Reading[tuple[Package, ...]]:
        yield Wait()
        return tuple(self.known_packages)

    def gateways(self) -> Reading[tuple[EnforcementPoint, ...]]:
        yield Wait()
        self.asked("gateways")
        return tuple(self.shown)

    def ensure_tag(self, name: str) -> None:
        self.asked("ensure_tag", name)

    def put_host(self, form: ObjectForm) -> str:
        self.asked("put_host", form.name, form.join, form.leave)
        if form.name in self.refused:
            raise Rejected("refused", "err", f"{form.name} is refused.")
        self._unlocked([*form.join, *form.leave])
        before = next(iter(self._marked(form.uid, form.owner, form.vm_id)), None) or self.pending.get(form.name)
        groups = ((before.groups if before else frozenset()) | set(form.join)) - set(form.leave)
        self._put(form, groups)
        self.answered("put_host")
        return f"uid-{form.name}"

    def put_hosts(self, forms: Sequence[ObjectForm]) -> Task:
        self.asked("put_hosts", tuple(form.name for form in forms))
        bad = [form.name for form in forms if form.name in self.poison_batch]
        if bad:
            message = f"Object {bad[0]} is refused." if self.telling else "Some object is refused."
            return self._task(TaskState.FAILED, (message,))
        for form in forms:
            self._put(form, frozenset())
        return self._task(TaskState.SUCCEEDED)

    def join_group(self, group: str, names: Sequence[str]) -> None:
        self.asked("join_group", group, tuple(names))
        self._unlocked([group])
        for name in names:
            self.pending[name] = replace(self.pending[name], groups=self.pending[name].groups | {group})

    def leave_groups(self, uid: str, owner: str, groups: Sequence[str]) -> None:
        self.asked("leave_groups", uid, tuple(groups))
        for item in self._marked(uid, owner):
            self._unlocked(item.groups & set(groups))
            self.pending[item.name] = replace(item, groups=item.groups - set(groups))

    def delete_host(self, uid: str, owner: str, vm_id: str) -> None:
        self.asked("delete_host", uid)
        for item in self._marked(uid, owner, vm_id):
            self._unlocked(item.groups)
            del self.pending[item.name]

    def validations(self) -> Validations:
        self.asked("validations")
        bad = sorted(self.poison & self.pending.keys() - self.published.keys())
        told = tuple(f"Object {name} is not valid." if self.telling else "Something is not valid." for name in bad)
        return Validations(errors=self.old_errors + told[: 1 if not self.telling else None])

    def pending_changes(self) -> int | None:
        self.asked("pending_changes")
        if not self.counts_changes:
            return None
        return sum(self.pending.get(name) != self.published.get(name) for name in {*self.pending, *self.published})

    def discard(self) -> None:
        self.asked("discard")
        self.pending = dict(self.published)

    def publish(self) -> str:
        self.asked("publish")
        if self.takes("publish"):
            self.published = {n: item for n, item in self.pending.items() if item.vm_id not in self.never_shown}
        self.pending = dict(self.published)
        revision = Revision(f"rev-{len(self.revisions) + 2}", m.NOW + timedelta(seconds=len(self.revisions)))
        self.revisions.append(revision)
        task = self._listed(self._task(TaskState.SUCCEEDED, revision=revision.uid))
        self.answered("publish")
        return task.id

    def install(self, package: str, targets: Sequence[str]) -> str:
        self.asked("install", package, tuple(targets))
        messages = () if self.install_result is TaskState.SUCCEEDED else ("No memory.",)
        task = self._listed(self._task(self.install_result, messages, targets=tuple(targets)), package)
        if self.install_result is TaskState.SUCCEEDED and self.takes("install"):
            self.shown = [EnforcementPoint(name, package, self.revisions[-1], m.NOW) for name in targets]
        self.answered("install")
        return task.id

    def task(self, task_id: str) -> Task:
        self.asked("task", task_id)
        steps = self.tasks[task_id]
        return steps.pop(0) if len(steps) > 1 else steps[0]

    def own_tasks(self) -> Reading[TaskList]:
        yield Wait()
        self.asked("own_tasks")
        return TaskList(tuple(self.begun), datetime.now(UTC) + self.ahead)

    def _put(self, form: ObjectForm, groups: Iterable[str]) -> None:
        uid = form.uid or f"uid-{form.name}"
        self.pending = {name: item for name, item in self.pending.items() if item.uid != uid}
        self.pending[form.name] = HostObject(uid, form.name, form.address, frozenset(groups), form.owner, form.vm_id)

    def _marked(self, uid: str, owner: str, vm_id: str = "") -> list[HostObject]:
        """The object with this uid, if there is one; refused with another mark."""
        found = [item for item in self.pending.values() if item.uid == uid]
        if any(item.owner != owner or (vm_id and item.vm_id != vm_id) for item in found):
            raise Rejected("not ours", "foreign-object", "The host object does not carry this owner's mark")
        return found

    def _unlocked(self, groups: Iterable[str]) -> None:
        for group in groups:
            if group in self.locked:
                raise Busy(f"group {group} is locked", self.locked[group])

    def _listed(self, task: Task, package: str = "") -> Task:
        self.begun.append(BegunTask(task.id, package, datetime.now(UTC) + self.ahead))
        return task

    def _task(
        self, state: TaskState, messages: tuple[str, ...] = (), revision: str = "", targets: tuple[str, ...] = ()
    ) -> Task:
        """A task that is seen running once and then ends."""
        name = f"task-{len(self.tasks) + 1}"
        ended = Task(name, state, revision, messages, targets=targets)
        self.tasks[name] = [Task(name, TaskState.RUNNING), ended]
        return Task(name, TaskState.RUNNING)
