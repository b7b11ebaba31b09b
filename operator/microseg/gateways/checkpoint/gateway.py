"""One Check Point management domain, spoken to through one session of ours.

The Check Point lane calls it from worker threads. Commands and parameters: chkp-antonr/checkpoint-api-ref jmd/*.j.md
(a machine copy of the vendor's reference, API 2.0.1).
"""

from __future__ import annotations

from collections.abc import Sequence

from microseg.gateways import checkpoint_reading as reading
from microseg.gateways import shapes, wire
from microseg.gateways.checkpoint_errors import NOT_FOUND, SYSTEM
from microseg.gateways.checkpoint_lists import read_all
from microseg.gateways.checkpoint_objects import Objects, foreign, new_host
from microseg.gateways.checkpoint_session import Conversation, Credential
from microseg.gateways.ports import ObjectForm, OutcomeUnknown, Rejected, Unreachable, Validations
from microseg.gateways.shapes import Json
from microseg.gateways.transport import Observe, Transport, clean
from microseg.model.facts import Gateway, Group, HostObject, Revision, Session, Task, TaskState

_FULL = {"details-level": "full"}
_LIMITS = wire.Limits(read=90.0, total=180.0)
"""A page of 500 hosts in full detail takes its time, and so does a busy server."""


class Management:
    """`CheckPointGateway` over the web API."""

    def __init__(
        self,
        url: str,
        domain: str,
        credential: Credential,
        *,
        ca_file: str | None = None,
        fingerprint: str = "",
        limits: wire.Limits | None = None,
        observe: Observe | None = None,
    ) -> None:
        """`url`: https, with a path for a server in the vendor's cloud. `fingerprint`: SHA-256 in place of a CA.

        ValueError: not an https URL; OSError: no such CA file.
        """
        trust = wire.Trust(ca_file, fingerprint)
        self._transport = Transport(SYSTEM, url, trust=trust, limits=limits or _LIMITS, connections=1, observe=observe)
        self._talk = Conversation(self._transport, credential, domain)
        self._objects = Objects(self._talk)
        self._problems: tuple[str, ...] = ()

    # The session

    def open(self, name: str) -> Session:
        """Log in, or keep the living session of this name (jmd/login.j.md). Throttled or Busy: later."""
        return self._talk.open(name)

    def close(self) -> None:
        """Discard what is not published and log out; an already dead session is fine."""
        self._talk.close()

    def alive(self) -> Session | None:
        """The living session, from memory."""
        return self._talk.session

    def sessions(self) -> tuple[Session, ...]:
        """All sessions that are not published, of people too (jmd/show-sessions.j.md)."""
        bodies = read_all(self._talk, "show-sessions", _FULL)
        found = tuple(reading.session(body) for body in bodies)
        for session in found:
            self._talk.note(session)
        return found

    def discard_session(self, uid: str) -> None:
        """Discard an earlier session of ours with its locks, and disconnect it; absent is fine (effect of kind 1).

        It needs the same administrator, or the permission to manage sessions (jmd/discard.j.md, disconnect.j.md).
        """
        for command in ("discard", "disconnect"):
            self._absent_is_fine(command, {"uid": uid})

    def discard(self) -> None:
        """Throw away the session's unpublished changes and free their locks (jmd/discard.j.md)."""
        self._talk.call("discard", {}, effect=True)

    # Reading

    def last_published(self) -> Revision | None:
        """The newest revision (jmd/show-last-published-session.j.md: 404 where nothing was ever published)."""
        try:
            body = self._talk.call("show-last-published-session", {}, effect=False)
        except Rejected as error:
            if error.code == NOT_FOUND:
                return None
            raise
        found = reading.revision(body)
        if found is None:
            raise _unusual("a revision without uid and time")
        return found

    def hosts(self) -> tuple[HostObject, ...]:
        """All host objects as published plus our own session's, 500 a page (jmd/show-hosts.j.md)."""
        options = {**_FULL, "show-membership": True, "order": [{"ASC": "name"}]}
        bodies = read_all(self._talk, "show-hosts", options)
        found = [reading.hosts(body) for body in bodies]
        skipped = sum(not objects for objects in found)
        self._problems = (f"{skipped} of Check Point's host objects cannot be read",) if skipped else ()
        return tuple(host for objects in found for host in objects)

    def problems(self) -> tuple[str, ...]:
        """What the latest complete `hosts` left out, a sentence a kind."""
        return self._problems

    def groups(self) -> tuple[Group, ...]:
        """All groups with who locks them from another session (jmd/show-groups.j.md; locks only at full detail)."""
        return tuple(reading.group(body) for body in read_all(self._talk, "show-groups", _FULL))

    def gateways(self) -> tuple[Gateway, ...]:
        """All gateways and servers with what they enforce (jmd/show-gateways-and-servers.j.md)."""
        return tuple(reading.gateway(body) for body in read_all(self._talk, "show-gateways-and-servers", _FULL))

    def validations(self) -> Validations:
        """What would block the publish, and what would only be warned of (jmd/show-validations.j.md)."""
        body = self._talk.call("show-validations", {"limit": 500}, effect=False)

        def texts(name: str) -> tuple[str, ...]:
            return tuple(clean(item.get("message")) for item in shapes.mappings(body.get(name)))

        total = sum(shapes.number(body.get(f"{name}-total")) or 0 for name in ("errors", "blocking-errors"))
        errors = texts("errors") + texts("blocking-errors")
        if total and not errors:
            errors = (f"{total} errors that the server does not show",)
        return Validations(errors=errors, warnings=texts("warnings"))

    def task(self, task_id: str) -> Task:
        """Where a task stands (jmd/show-task.j.md). Rejected with `generic_err_object_not_found`: no such task."""
        body = self._talk.call("show-task", {"task-id": task_id, **_FULL}, effect=False)
        tasks = shapes.mappings(body.get("tasks"))
        if len(tasks) != 1:
            raise _unusual("another number of tasks than one")
        return reading.task({**tasks[0], "task-id": task_id})

    # Changing

    def ensure_tag(self, name: str) -> None:
        """Make sure that the tag of an owner exists; `name`: `microseg.dev/<ownerId>` (effect of kind 2)."""
        tag = reading.tag_name(name)
        try:
            self._talk.call("show-tag", {"name": tag}, effect=False)
        except Rejected as error:
            if error.code != NOT_FOUND:
                raise
            self._talk.call("add-tag", {"name": tag}, effect=True)

    def put_host(self, form: ObjectForm) -> str:
        """Create a host object with its groups in the call, or change one of ours (effect of kind 2); returns its uid.

        Rejected with `duplicate-name` or `duplicate-address` where another object has them, `foreign-object` where the
        object to change is not this owner's. jmd/add-host.j.md, set-host.j.md.
        """
        return self._objects.put(form)

    def put_hosts(self, forms: Sequence[ObjectForm]) -> Task:
        """Start creating new hosts, without groups, in one batch; follow the task (jmd/add-objects-batch.j.md).

        A batch ignores warnings and errors: ask `validations` before publishing.
        """
        batch = {"objects": [{"type": "host", "list": [new_host(form) for form in forms]}]}
        return Task(id=self._started("add-objects-batch", batch), state=TaskState.RUNNING)

    def join_group(self, group: str, names: Sequence[str]) -> None:
        """Add members by name (jmd/set-group.j.md; effect of kind 1). Busy names who locks the group."""
        self._objects.set_members(group, "add", names)

    def leave_group(self, group: str, names: Sequence[str]) -> None:
        """Remove members by name (jmd/set-group.j.md; effect of kind 1). Busy names who locks the group."""
        self._objects.set_members(group, "remove", names)

    def delete_host(self, uid: str) -> None:
        """Delete a host object that carries a mark; absent is fine (jmd/delete-host.j.md; effect of kind 1).

        Rejected: `foreign-object` without a mark, `generic_err_object_deletion` while a group or a rule uses it.
        """
        try:
            shown = self._talk.call("show-host", {"uid": uid}, effect=False)
        except Rejected as error:
            if error.code == NOT_FOUND:
                return
            raise
        if not reading.mark(shown)[0]:
            raise foreign()
        self._absent_is_fine("delete-host", {"uid": uid})

    def publish(self) -> str:
        """Start a publish (jmd/publish.j.md; effect of kind 3); returns its task id."""
        return self._started("publish", {})

    def install(self, package: str, targets: Sequence[str]) -> str:
        """Start installing the access policy (jmd/install-policy.j.md; effect of kind 3); returns its task id.

        No targets: the package's own. Only published data is installed.
        """
        body: dict[str, object] = {"policy-package": package, "access": True, "threat-prevention": False}
        if targets:
            body["targets"] = list(targets)
        return self._started("install-policy", body)

    def _started(self, command: str, body: Json) -> str:
        task_id = shapes.text(self._talk.call(command, body, effect=True).get("task-id"))
        if not task_id:
            message = f"Check Point did not say which task carries out {command}"
            raise OutcomeUnknown(message)
        return task_id

    def _absent_is_fine(self, command: str, body: Json) -> None:
        try:
            self._talk.call(command, body, effect=True)
        except Rejected as error:
            if error.code != NOT_FOUND:
                raise


def _unusual(what: str) -> Unreachable:
    return Unreachable(f"Check Point answered with {what}")
