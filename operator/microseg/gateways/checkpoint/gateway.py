"""One Check Point management domain, through one session of ours.

The Check Point lane calls it from worker threads. Commands and parameters: chkp-antonr/checkpoint-api-ref jmd/*.j.md
(a machine copy of the vendor's reference, API 2.0.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from microseg.gateways.checkpoint import parse
from microseg.gateways.checkpoint.errors import NOT_FOUND, SYSTEM
from microseg.gateways.checkpoint.lists import read_all
from microseg.gateways.checkpoint.objects import ObjectWriter, new_host
from microseg.gateways.checkpoint.refused_logins import LoginMemory
from microseg.gateways.checkpoint.session import Credential, SessionClient
from microseg.gateways.http import tls
from microseg.gateways.http.client import HttpClient, sanitize
from microseg.gateways.http.json_access import Json, get_number, get_objects, get_text
from microseg.gateways.http.proxy import Proxy
from microseg.gateways.http.wire import Observe
from microseg.gateways.ports import ObjectForm, OutcomeUnknown, Reading, Rejected, Unreachable, Validations
from microseg.gateways.problems import bounded_problems
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
from microseg.model.checkpoint_tasks import TaskList

_FULL = {"details-level": "full"}
_LISTED = timedelta(days=1)
"""How far back tasks are listed: longer than any doubt, and long enough that one of ours is there to be seen."""
_LIMITS = tls.Limits(read=90.0, total=180.0)
"""A page of 500 hosts in full detail takes long, and a busy server takes longer."""


class CheckPointManagementGateway:
    """`CheckPointGateway` over the web API."""

    def __init__(  # noqa: PLR0913 - where and how to connect, each by its name
        self,
        url: str,
        domain: str,
        credential: Credential,
        *,
        ca_file: str | None = None,
        fingerprint: str = "",
        limits: tls.Limits | None = None,
        observe: Observe | None = None,
        memory: LoginMemory | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        """`url`: https, with a path for a server in the vendor's cloud. `fingerprint`: SHA-256 in place of a CA.

        `memory`: what is remembered of refused log-ins with this credential.

        ValueError: not an https URL; OSError: no such CA file.
        """
        trust = tls.Trust(ca_file, fingerprint)
        self._http_client = HttpClient(
            SYSTEM, url, trust=trust, limits=limits or _LIMITS, connections=1, observe=observe, proxy=proxy
        )
        self._session_client = SessionClient(self._http_client, credential, domain, memory or LoginMemory())
        self._objects = ObjectWriter(self._session_client)
        self._problems: tuple[str, ...] = ()

    # Session

    def open(self, name: str) -> Session:
        """Log in, or keep the open session of this name (jmd/login.j.md). Throttled or Busy: try again later."""
        return self._session_client.open(name)

    def close(self) -> None:
        """Discard what is not published and log out; without an open session nothing happens."""
        self._session_client.close()

    def sessions(self) -> Reading[tuple[Session, ...]]:
        """All sessions that are not published, those of people too (jmd/show-sessions.j.md)."""
        sessions = tuple((yield from read_all(self._session_client, "show-sessions", _FULL, parse.session)))
        for session in sessions:
            self._session_client.update_session(session)
        return sessions

    def discard_session(self, uid: str) -> None:
        """Discard an earlier session of ours with its locks, and disconnect it (repeatable); an absent one is fine.

        That needs the same administrator, or the permission to manage sessions (jmd/discard.j.md, disconnect.j.md).
        """
        for command in ("discard", "disconnect"):
            self._call_unless_absent(command, {"uid": uid})

    def discard(self) -> None:
        """Discard the session's unpublished changes and release their locks (jmd/discard.j.md; repeatable)."""
        self._session_client.call("discard", {}, effect=True)

    # Reads

    def last_published(self) -> Revision | None:
        """The newest revision (jmd/show-last-published-session.j.md: 404 if nothing was ever published)."""
        try:
            body = self._session_client.call("show-last-published-session", {}, effect=False)
        except Rejected as error:
            if error.code == NOT_FOUND:
                return None
            raise
        revision = parse.revision(body)
        if revision is None:
            raise _unexpected("a revision without uid and time")
        return revision

    def hosts(self) -> Reading[tuple[HostObject, ...]]:
        """All host objects as published, with our session's changes; 500 per page (jmd/show-hosts.j.md)."""
        options = {**_FULL, "show-membership": True, "order": [{"ASC": "name"}]}
        parsed = yield from read_all(
            self._session_client, "show-hosts", options, lambda body: parse.host_objects(body) or _problem(body)
        )
        self._problems = bounded_problems([each for each in parsed if isinstance(each, str)])
        return tuple(host for each in parsed if not isinstance(each, str) for host in each)

    def problems(self) -> tuple[str, ...]:
        """What the latest complete `hosts` left out, one sentence per item; bounded."""
        return self._problems

    def groups(self) -> Reading[tuple[Group, ...]]:
        """All groups, and who locks them from another session (jmd/show-groups.j.md; only full detail shows locks)."""
        return tuple((yield from read_all(self._session_client, "show-groups", _FULL, parse.group)))

    def packages(self) -> Reading[tuple[Package, ...]]:
        """All policy packages (jmd/show-packages.j.md)."""
        packages = yield from read_all(self._session_client, "show-packages", {}, _package, key="packages")
        return tuple(packages)

    def gateways(self) -> Reading[tuple[EnforcementPoint, ...]]:
        """All firewalls and servers, what they enforce, and their groups (jmd/show-gateways-and-servers.j.md)."""
        options = {**_FULL, "show-membership": True}
        points = yield from read_all(
            self._session_client, "show-gateways-and-servers", options, parse.enforcement_point
        )
        return tuple(points)

    def validations(self) -> Validations:
        """What would block the publish, and what only warns (jmd/show-validations.j.md).

        An incident with `current-session: false` is somebody else's, often old and published, and blocks no publish of
        ours. Of errors beyond the page nothing is said: the publish itself judges them.
        """
        body = self._session_client.call("show-validations", {"limit": 500}, effect=False)
        found = [item for name in ("errors", "blocking-errors") for item in get_objects(body, name)]
        errors = tuple(sanitize(item.get("message")) for item in parse.of_this_session(found))
        total = sum(get_number(body, f"{name}-total") or 0 for name in ("errors", "blocking-errors"))
        if total and not found:
            errors = (f"{total} errors that the server does not show",)
        warnings = parse.of_this_session(get_objects(body, "warnings"))
        return Validations(errors=errors, warnings=tuple(sanitize(item.get("message")) for item in warnings))

    def pending_changes(self) -> int | None:
        """How many changes our session has that are not published (jmd/show-session.j.md); None: it does not say."""
        return get_number(self._session_client.call("show-session", {}, effect=False), "changes")

    def task(self, task_id: str) -> Task:
        """The state of a task (jmd/show-task.j.md). Rejected with `generic_err_object_not_found`: no such task."""
        body = self._session_client.call("show-task", {"task-id": task_id, **_FULL}, effect=False)
        tasks = get_objects(body, "tasks")
        if len(tasks) != 1:
            raise _unexpected("none or several tasks for one task id")
        return parse.task({**tasks[0], "task-id": task_id})

    def own_tasks(self) -> Reading[TaskList]:
        """Tasks that our administrator began, and that went on in the last day (jmd/show-tasks.j.md).

        `initiator` is the administrator's name, and `from-date` is compared with a task's last update; a date without a
        time zone would be read in the server's. Refused or Rejected: this server does not list them for us.
        """
        since = (self._time() - _LISTED).isoformat(timespec="seconds")
        options = {"initiator": self._administrator(), "status": "all", "from-date": since}
        begun = yield from read_all(
            self._session_client, "show-tasks", options, parse.begun_task, key="tasks", uid="task-id"
        )
        return TaskList(tuple(begun), self._time())

    def _time(self) -> datetime:
        """Now, by the server's clock."""
        now = self._session_client.clock.now()
        if now is None:
            raise _unexpected("no date")
        return now

    def _administrator(self) -> str:
        """Our administrator's name, which an API key does not show."""
        session = self._session_client.session
        name = session.user if session is not None else ""
        name = name or get_text(self._session_client.call("show-session", {}, effect=False), "user-name")
        if not name:
            raise _unexpected("a session without its administrator")
        return name

    # Changes

    def ensure_tag(self, name: str) -> None:
        """Make sure that the tag of an owner exists (named). `name`: `microseg.dev/<ownerId>`."""
        tag = parse.tag_name(name)
        try:
            self._session_client.call("show-tag", {"name": tag}, effect=False)
        except Rejected as error:
            if error.code != NOT_FOUND:
                raise
            self._session_client.call("add-tag", {"name": tag}, effect=True)

    def put_host(self, form: ObjectForm) -> str:
        """Create a host object with its groups, or change one of ours (named); returns its uid.

        Rejected with `duplicate-name` or `duplicate-address` if another object has them, `foreign-object` if the object
        to change is not this owner's. jmd/add-host.j.md, set-host.j.md.
        """
        return self._objects.put(form)

    def put_hosts(self, forms: Sequence[ObjectForm]) -> Task:
        """Start creating new hosts, without groups, in one batch; follow the task (jmd/add-objects-batch.j.md).

        A batch ignores warnings and errors: ask `validations` before publishing.
        """
        batch = {"objects": [{"type": "host", "list": [new_host(form) for form in forms]}]}
        return Task(id=self._start_task("add-objects-batch", batch), state=TaskState.RUNNING)

    def join_group(self, group: str, names: Sequence[str]) -> None:
        """Add members by name (jmd/set-group.j.md; repeatable). Busy names who locks the group."""
        self._objects.add_members(group, names)

    def leave_groups(self, uid: str, owner: str, groups: Sequence[str]) -> None:
        """Take an object with this owner's mark out of groups (jmd/set-host.j.md; repeatable); an absent one is fine.

        Rejected: `foreign-object` without the mark. Busy names who locks a group.
        """
        self._objects.leave(uid, owner, groups)

    def delete_host(self, uid: str, owner: str, vm_id: str) -> None:
        """Delete a host object with this mark, out of its groups (jmd/delete-host.j.md; repeatable).

        An absent one is fine. Rejected: `foreign-object` with another mark, or none, `generic_err_object_deletion`
        while a rule uses it.
        """
        if self._objects.leave(uid, owner, None, vm_id):
            self._call_unless_absent("delete-host", {"uid": uid})

    def publish(self) -> str:
        """Start a publish (jmd/publish.j.md; once); returns its task id."""
        return self._start_task("publish", {})

    def install(self, package: str, targets: Sequence[str]) -> str:
        """Start installing the access policy (jmd/install-policy.j.md; once); returns its task id.

        No targets: the package's own. Only published data is installed.
        """
        body: dict[str, object] = {"policy-package": package, "access": True, "threat-prevention": False}
        if targets:
            body["targets"] = list(targets)
        return self._start_task("install-policy", body)

    def _start_task(self, command: str, body: Json) -> str:
        task_id = get_text(self._session_client.call(command, body, effect=True).get("task-id"))
        if not task_id:
            message = f"Check Point accepted {command} and did not name its task"
            raise OutcomeUnknown(message)
        return task_id

    def _call_unless_absent(self, command: str, body: Json) -> None:
        try:
            self._session_client.call(command, body, effect=True)
        except Rejected as error:
            if error.code != NOT_FOUND:
                raise


def _package(body: Json) -> Package:
    return Package(get_text(body, "name"), get_text(body, "uid"))


def _problem(body: Json) -> str:
    name = sanitize(get_text(body, "uid") or get_text(body, "name"), limit=64)
    return f"A listed host object lacks its uid, its name or an IP address: {name or 'it has neither uid nor name'}"


def _unexpected(what: str) -> Unreachable:
    return Unreachable(f"Check Point answered with {what}")
