"""The management server's state and rules, without HTTP: objects, sessions, tasks, gateways, administrators.

Made by `create`; the commands and the control port act on it. `settle` does what is due by time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulators.checkpoint import errors, validation
from simulators.checkpoint.edits import Editor
from simulators.checkpoint.fields import ObjectSpec
from simulators.checkpoint.gateways import Firewalls, Installation, Installed
from simulators.checkpoint.objects import new_uid
from simulators.checkpoint.published import Published, Revision
from simulators.checkpoint.session import Admin, Application, Locks, Session, reset
from simulators.checkpoint.sessions import Login, Sessions
from simulators.checkpoint.tasks import Task, TaskKind, Tasks, task_uid
from simulators.checkpoint.traits import Durations, Traits
from simulators.environment import Environment

SYSTEM = "checkpoint"


class World:
    """One management server with one domain."""

    def __init__(self, environment: Environment, admins: Sequence[Admin], firewalls: Firewalls) -> None:
        self.environment = environment
        self.admins = {admin.name: admin for admin in admins}
        self.firewalls = firewalls
        self.published = Published()
        self.locks = Locks()
        self.sessions = Sessions(self.published, self.locks, environment.ledger.add_secret)
        self.tasks = Tasks()
        self.rules: dict[str, list[str]] = {}
        self.durations = Durations()
        self.traits = Traits()
        self._publishing_until = 0.0
        self._timed: list[tuple[float, Session]] = []

    def now(self) -> float:
        """Epoch seconds, by the server's clock."""
        return self.environment.clock.now() + self.traits.clock_ahead

    def settle(self) -> None:
        """Do what is due: end tasks, close consoles, expire idle sessions."""
        now = self.now()
        for task in self.tasks.due(now):
            task.free()
            task.effect(task)
            self._note("world.task-ended", task.user, f"{task.kind} {task.uid}", task.status)
        for due, session in [item for item in self._timed if item[0] <= now]:
            self._timed.remove((due, session))
            self.close_console(session)
        for session in self.sessions.expire(now):
            self._note("world.session-expired", session.admin.name, session.uid, "idle for too long")

    # Sessions

    def admin_of(self, user: str, password: str, api_key: str) -> Admin:
        """Return the administrator with these credentials; raises ApiError if there is none."""
        for admin in self.admins.values():
            by_key = bool(api_key) and admin.api_key == api_key
            if by_key or (bool(password) and admin.name == user and admin.password == password):
                return admin
        raise errors.login_failed(message="Authentication to server failed.")

    def add_admin(self, admin: Admin) -> None:
        """Add or replace an administrator."""
        self.environment.ledger.add_secret(admin.api_key)
        self.environment.ledger.add_secret(admin.password)
        self.admins[admin.name] = admin

    def editor(self, session: Session) -> Editor:
        """Return the editor of a session's objects."""
        return Editor(session, self.locks, self.now(), self.rules, makes_tags=self.traits.makes_tags)

    def discard(self, session: Session) -> int:
        """Drop a session's changes; return how many."""
        changes = self.sessions.discard(session)
        self.environment.ledger.append(
            SYSTEM, "world.discarded", who=session.admin.name, note=f"{session.uid} {changes}"
        )
        return changes

    def expire(self, session: Session) -> None:
        """Expire a session."""
        self.sessions.expire(self.now(), session)
        self._note("world.session-expired", session.admin.name, session.uid, "by order")

    # Long operations

    def publish(self, session: Session) -> Task:
        """Start to publish a session; publishes run one after the other."""
        if session.busy:
            raise errors.in_use()
        seconds = self.durations.publish + self.durations.publish_per_change * session.overlay.changes
        begins = max(self.now(), self._publishing_until)
        self._publishing_until = begins + self.environment.clock.latency(seconds)
        task = self._task("publish", "Publish operation", session, lambda done: self._published(session, done))
        task.ends = self._publishing_until
        return self._started(task, session)

    def batch(self, session: Session, name: str, steps: Sequence[Callable[[Editor], None]]) -> Task:
        """Start a batch. It stops at the first refused object and keeps those before it."""
        if session.busy:
            raise errors.in_use()

        def effect(task: Task) -> None:
            editor = self.editor(session)
            try:
                for step in steps[: len(steps) // 2 if task.half else None]:
                    step(editor)
            except errors.ApiError as refusal:
                task.fail(refusal.message, [{"status": refusal.message}])
                return
            if task.half:
                task.fail("Batch operation was interrupted", [{"status": "Management server failed"}])
                return
            task.status, task.description = "succeeded", "Operation Complete"
            task.details = [{"status": "Batch operation completed successfully"}]

        task = self._task("batch", name, session, effect)
        seconds = self.durations.batch + self.durations.batch_per_object * len(steps)
        task.ends = task.started + self.environment.clock.latency(seconds)
        return self._started(task, session)

    def ask(self, session: Session, name: str, effect: Callable[[Task], None]) -> Task:
        """Start a task that only reads: the session may continue meanwhile."""
        task = self._task("question", name, session, effect)
        task.ends = task.started + self.environment.clock.latency(self.durations.question)
        return self.tasks.start(task)

    def install(self, session: Session, order: Installation) -> Task:
        """Start an installation; its gateways are busy until it ends."""

        def record(taken: list[str], revision: Revision) -> None:
            self.environment.ledger.append(
                SYSTEM, "world.installed", who=session.admin.name, changed=taken, note=revision.uid
            )

        def free() -> None:
            for gateway in order.targets:
                gateway.busy = ""

        name = f"Policy installation - {order.package.name}"
        task = self._task("install", name, session, lambda done: self.firewalls.finish(done, order, self.now(), record))
        task.free = free
        task.ends = task.started + self.environment.clock.latency(self._install_seconds(order))
        for gateway in order.targets:
            gateway.busy = task.uid
        return self.tasks.start(task)

    def listed_tasks(self) -> list[Task]:
        """Tasks that show-tasks can list, the newest first."""
        if not self.traits.lists_tasks:
            return []
        latest = self.now() - self.environment.clock.latency(self.durations.task_listed)
        return [task for task in self.tasks.visible() if task.started <= latest]

    def commit(self, session: Session) -> Revision:
        """Publish a session's changes at once; return the revision.

        A publish of nothing is a revision too, with 0 changes (CheckPointSW/CheckPointAnsibleMgmtCollection#66).
        """
        overlay = session.overlay
        revision = Revision(
            number=len(self.published.revisions) + 1,
            uid=new_uid(),
            at=self.now(),
            user=session.admin.name,
            application=session.application,
            session_name=session.label,
            description=session.description,
            changes=overlay.changes,
        )
        removed = [self.published.objects[uid].name for uid in overlay.deleted if uid in self.published.objects]
        names = sorted([cp_object.name for cp_object in overlay.changed.values()] + removed)
        self.published.apply(overlay.changed, overlay.deleted, revision)
        reset(session, self.published, self.locks)
        self.environment.ledger.append(
            SYSTEM, "world.published", who=session.admin.name, changed=names, note=revision.uid
        )
        return revision

    # People

    def console(self, admin: str, application: Application = "SmartConsole") -> Session:
        """An administrator opens SmartConsole."""
        person = self.admins.setdefault(admin, Admin(admin))
        session = self.sessions.open(person, self.now(), application, Login(name=f"{admin}@console", timeout=86400))
        session.sid = _console_sid(session)
        return session

    def hold(self, admin: str, group: str, seconds: float) -> Session:
        """An administrator's console locks a group for `seconds` (real)."""
        session = self.console(admin)
        try:
            self.locks.claim(session, [self.editor(session).find(group, "group")])
        except errors.ApiError:
            self.close_console(session)
            raise
        self._timed.append((self.now() + seconds, session))
        self._note("world.locked", admin, group, session.uid)
        return session

    def close_console(self, session: Session) -> None:
        """An administrator leaves without publishing; a session that somebody took over stays open."""
        self._timed = [item for item in self._timed if item[1] is not session]
        if session.sid != _console_sid(session):
            return
        if session.locks:
            self._note("world.unlocked", session.admin.name, *sorted(session.locks), session.uid)
        reset(session, self.published, self.locks)
        session.sid = ""
        self.sessions.leave(session, self.now())

    def edit(self, admin: str, change: Callable[[Editor], None]) -> Revision:
        """An administrator changes objects and publishes at once; raises ApiError if an object is locked."""
        session = self.console(admin)
        try:
            change(self.editor(session))
            return self.commit(session)
        finally:
            self.close_console(session)

    def revert(self, revisions: int) -> Revision:
        """An administrator reverts so many revisions; sessions end, gateways keep their installed policy."""
        for session in self.sessions.listed():
            self.discard(session)
            self.expire(session)
        for _ in range(revisions):
            self._note("world.reverted", "admin", self.published.revert().uid)
        return self.published.revisions[-1]

    def make_groups(self, names: Sequence[str], admin: str = "admin") -> None:
        """An administrator creates missing groups and publishes them."""

        def change(editor: Editor) -> None:
            for name in names:
                if editor.session.view.find(name) is None:
                    editor.add(ObjectSpec("group", name))

        self.edit(admin, change)

    def install_everywhere(self, admin: str = "admin") -> None:
        """Install the newest revision on every gateway at once, as the initial state."""
        for package in self.firewalls.packages.values():
            for name in package.targets:
                latest = self.published.revisions[-1]
                self.firewalls.gateways[name].installed = Installed(package.name, latest, self.now())
        self.environment.ledger.append(SYSTEM, "world.begun", who=admin, changed=list(self.firewalls.gateways))

    def _note(self, operation: str, who: str, *about: str) -> None:
        """Add a change to the ledger; the last argument is the note."""
        *changed, note = about
        self.environment.ledger.append(SYSTEM, operation, who=who, changed=changed, note=note)

    def _published(self, session: Session, task: Task) -> None:
        issues = validation.judge(session.view)
        if issues.errors:
            text = "Publish failed because of validation errors"
            task.fail(text, [{"publishResponse": {"mode": "async"}, "errors": list(issues.errors)}])
            return
        changes = session.overlay.changes
        revision = self.commit(session)
        if not session.is_connected:
            self.sessions.leave(session, self.now())
        task.status, task.description = "succeeded", "Publish succeeded"
        detail: dict[str, object] = {"publishResponse": {"numberOfPublishedChanges": changes, "mode": "async"}}
        task.details = [detail | {"revision": revision.uid}]

    def _install_seconds(self, order: Installation) -> float:
        oldest = min((gateway.installed.revision.number if gateway.installed else 0) for gateway in order.targets)
        changes = sum(revision.changes for revision in self.published.revisions[oldest : order.revision.number])
        return self.durations.install + self.durations.install_per_change * changes

    def _task(self, kind: TaskKind, name: str, session: Session, effect: Callable[[Task], None]) -> Task:
        now = self.now()
        return Task(task_uid(), kind, name, session.admin.name, now, now, effect, lambda: None)

    def _started(self, task: Task, session: Session) -> Task:
        def free() -> None:
            session.busy = ""

        session.busy, task.free = task.uid, free
        return self.tasks.start(task)


def _console_sid(session: Session) -> str:
    """Return a pseudo sid: consoles do not use the API, but the session counts as connected."""
    return f"console-{session.uid}"
