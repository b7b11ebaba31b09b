"""In-memory outside systems and stores for whole passes: small, stateful, and scriptable one call at a time.

Every fake writes what it was asked into one shared `Journal`, so that a test can see what came before what.
`fail` makes the next call raise before anything happened, `lose` after it happened, `meanwhile` does something first.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from tests.unit.stages import makers as m

from microseg.estate.ports import LeaseLost
from microseg.gateways.ports import Busy, ObjectForm, Rejected, Script, Validations, WorkloadChange
from microseg.kube.errors import AlreadyExists, Conflict, NotFound
from microseg.kube.leases import Lease
from microseg.kube.revisions import MappingRevision
from microseg.kube.secrets import ConfigMapData
from microseg.kube.tombstones import Tombstone
from microseg.model.estate import (
    AzureSpec,
    CheckPointSpec,
    Estate,
    EstateSpec,
    EstateStatus,
    Identity,
    IllumioSpec,
    MappingRef,
    PairingProfiles,
    PolicyTargets,
    SecretRef,
    Source,
)
from microseg.model.facts import (
    ABSENT,
    Absent,
    Gateway,
    Group,
    HostObject,
    Label,
    PairingProfile,
    Revision,
    RunCommand,
    Session,
    Task,
    TaskState,
    Vm,
    VmDetail,
    Workload,
)
from microseg.model.host import HostSpec, HostStatus, ManagedHost, host_name
from microseg.model.secret import Secret

CODE = "activation-code-5f2e"


@dataclass
class Journal:
    """What was asked of whom, in order."""

    lines: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    def names(self, *wanted: str) -> list[str]:
        """The operations, or only some of them."""
        return [name for name, _ in self.lines if not wanted or name in wanted]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of one operation."""
        return [args for found, args in self.lines if found == name]


class Scripted:
    """What all fakes share."""

    system = ""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal or Journal()
        self._fails: defaultdict[str, deque[BaseException]] = defaultdict(deque)
        self._loses: defaultdict[str, deque[BaseException]] = defaultdict(deque)
        self._hooks: defaultdict[str, deque[Callable[[], object]]] = defaultdict(deque)

    def fail(self, operation: str, *errors: BaseException) -> None:
        """The next calls raise these, and nothing happens."""
        self._fails[operation].extend(errors)

    def lose(self, operation: str, *errors: BaseException) -> None:
        """The next calls happen, and their answers are lost."""
        self._loses[operation].extend(errors)

    def meanwhile(self, operation: str, happens: Callable[[], object]) -> None:
        """Right before the next call somebody else does something."""
        self._hooks[operation].append(happens)

    def asked(self, operation: str, *args: Any) -> None:
        """Journal a call, and play what was scripted for before it."""
        self.journal.lines.append((f"{self.system}.{operation}", args))
        if self._hooks[operation]:
            self._hooks[operation].popleft()()
        if self._fails[operation]:
            raise self._fails[operation].popleft()

    def answered(self, operation: str) -> None:
        """Play what was scripted for after it."""
        if self._loses[operation]:
            raise self._loses[operation].popleft()


class FakeClock:
    """The wall clock, moved by hand."""

    def __init__(self, now: datetime = m.NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class FakeTerm:
    """A Lease that a test takes away; `checks` bears so many checks more."""

    def __init__(self, number: int = 3) -> None:
        self.number = number
        self.left: int | None = None

    def lose_after(self, checks: int) -> None:
        self.left = checks

    def check(self) -> None:
        if self.left is not None:
            if self.left <= 0:
                raise LeaseLost("lost")
            self.left -= 1


# the cluster ------------------------------------------------------------------------------------------------------


class FakeHosts(Scripted):
    """ManagedHosts with resourceVersions that count up, as the API server keeps them."""

    system = "hosts"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.stored: dict[str, ManagedHost] = {}
        self._version = 100

    def put(self, host: ManagedHost) -> ManagedHost:
        """Store it as the next version."""
        self._version += 1
        stored = msgspec.structs.replace(host, resource_version=str(self._version))
        self.stored[host.name] = stored
        return stored

    def annotate(self, name: str, **annotations: str) -> None:
        """What a person does."""
        host = self.stored[name]
        self.put(msgspec.structs.replace(host, annotations={**host.annotations, **annotations}))

    def create(self, vm_name: str, vm_id: str, estate_name: str) -> ManagedHost:
        self.asked("create", vm_name, vm_id)
        name = host_name(vm_name, vm_id)
        found = self.stored.get(name)
        made = found or self.put(
            ManagedHost(
                name=name, namespace="plant", spec=HostSpec(estate=estate_name, vm_id=vm_id), uid=f"uid-{self._version}"
            )
        )
        self.answered("create")
        return made

    def read(self, name: str) -> ManagedHost:
        self.asked("read", name)
        if name not in self.stored:
            raise NotFound(name)
        return self.stored[name]

    def patch_status(self, host: ManagedHost, status: HostStatus) -> ManagedHost:
        self.asked("patch_status", host.name, status)
        written = self.put(msgspec.structs.replace(self._current(host), status=status))
        self.answered("patch_status")
        return written

    def clear_annotation(self, host: ManagedHost, key: str) -> ManagedHost:
        self.asked("clear_annotation", host.name, key)
        kept = {name: value for name, value in self._current(host).annotations.items() if name != key}
        return self.put(msgspec.structs.replace(self.stored[host.name], annotations=kept))

    def delete(self, name: str, uid: str) -> None:
        self.asked("delete", name)
        if name in self.stored and self.stored[name].uid == uid:
            del self.stored[name]

    def _current(self, host: ManagedHost) -> ManagedHost:
        stored = self.stored.get(host.name)
        if stored is None:
            raise NotFound(host.name)
        if stored.resource_version != host.resource_version:
            raise Conflict(host.name)
        return stored


class FakeEstates(Scripted):
    """One Estate."""

    system = "estates"

    def __init__(self, estate: Estate, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.stored = estate

    def read(self, namespace: str, name: str) -> Estate:
        self.asked("read", namespace, name)
        return self.stored

    def patch_status(self, estate: Estate, status: EstateStatus) -> Estate:
        self.asked("patch_status", status)
        if estate.resource_version != self.stored.resource_version:
            raise Conflict(estate.name)
        self._put(status=status)
        self.answered("patch_status")
        return self.stored

    def annotate(self, annotations: dict[str, str]) -> None:
        """What a person does."""
        self._put(annotations=annotations)

    def _put(self, **changes: Any) -> None:
        version = str(int(self.stored.resource_version) + 1)
        self.stored = msgspec.structs.replace(self.stored, resource_version=version, **changes)


class FakeRevisions(Scripted):
    """Accepted documents, write-once."""

    system = "revisions"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.kept: list[MappingRevision] = []

    def list(self, mapping: str) -> tuple[MappingRevision, ...]:
        self.asked("list", mapping)
        return tuple(revision for revision in self.kept if revision.mapping == mapping)

    def create(self, revision: MappingRevision) -> MappingRevision:
        self.asked("create", revision.digest)
        if any(revision.name == kept.name for kept in self.kept):
            raise AlreadyExists(revision.name)
        self.kept.append(revision)
        return revision

    def prune(self, mapping: str, named: Collection[str]) -> tuple[str, ...]:
        self.asked("prune", mapping, frozenset(named))
        return ()


class FakeTombstones(Scripted):
    """Tombstones by vmId and day; only the latest of a vmId matters here."""

    system = "tombstones"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.kept: dict[str, Tombstone] = {}

    def all(self) -> tuple[Tombstone, ...]:
        self.asked("all")
        return tuple(self.kept.values())

    def write(self, stone: Tombstone) -> None:
        self.asked("write", stone)
        self.kept[stone.vm_id] = stone
        self.answered("write")

    def prune(self, before: datetime) -> tuple[str, ...]:
        self.asked("prune", before)
        return ()


class FakeEvents(Scripted):
    """Keeps what was posted."""

    system = "events"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.posted: list[tuple[str, str, bool]] = []

    def post(
        self,
        regarding: ManagedHost | Estate | ConfigMapData,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        action: str = "Reconcile",
    ) -> bool:
        self.asked("post", regarding.name, reason, action)
        self.posted.append((reason, message, warning))
        return True


class FakeLeases(Scripted):
    """One Lease."""

    system = "leases"

    def __init__(self, lease: Lease | None = None) -> None:
        super().__init__()
        self.stored = lease

    def get(self, namespace: str, name: str) -> Lease:
        self.asked("get", namespace, name)
        if self.stored is None:
            raise NotFound(name)
        return self.stored

    def create(self, lease: Lease) -> Lease:
        self.asked("create", lease)
        if self.stored is not None:
            raise AlreadyExists(lease.name)
        return self._store(lease)

    def replace(self, lease: Lease) -> Lease:
        self.asked("replace", lease)
        if self.stored is None:
            raise NotFound(lease.name)
        if lease.resource_version != self.stored.resource_version:
            raise Conflict(lease.name)
        stored = self._store(lease)
        self.answered("replace")
        return stored

    def _store(self, lease: Lease) -> Lease:
        version = int(self.stored.resource_version) if self.stored is not None else 0
        self.stored = replace(lease, resource_version=str(version + 1))
        return self.stored


def estate(**changes: Any) -> Estate:
    """An enforcing estate without anything in its status."""
    secret = SecretRef(name="s")
    spec = EstateSpec(
        azure=AzureSpec(sources=(Source(name="main", subscriptions=("S1",), identity=Identity()),)),
        illumio=IllumioSpec(
            url="https://pce:8443", org_id=50, secret_ref=secret, pairing_profiles=PairingProfiles(linux="linux")
        ),
        check_point=CheckPointSpec(
            url="https://mgmt", secret_ref=secret, policies=(PolicyTargets(package="Standard", targets=("gw1",)),)
        ),
        mapping=MappingRef(name="platform"),
        mode="Enforce",
    )
    known: dict[str, Any] = {"name": "respiro", "namespace": "plant", "spec": spec, "resource_version": "1"}
    return Estate(**(known | changes))


# Azure ------------------------------------------------------------------------------------------------------------


class FakeAzure(Scripted):
    """VMs and their run-commands."""

    system = "azure"

    def __init__(self, *vms: Vm, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.vms = list(vms)
        self.details: dict[str, VmDetail | Absent] = {
            vm.record.resource_id: VmDetail(vm.vm_id, vm.record.power_state, agent_ready=True) for vm in vms
        }
        self.commands: dict[str, RunCommand] = {}
        self.scripts: list[Script] = []
        self.started: Callable[[Script], object] = lambda _: None
        """What the VM does with a script that begins."""

    @property
    def puts(self) -> list[str]:
        """Names of the run-commands that were PUT and taken, in order."""
        return [script.name for script in self.scripts]

    def show(self, name: str, state: str, output: str = "", **changes: Any) -> None:
        """What the instance view is to show from now on."""
        self.commands[name] = RunCommand(name, state, output=output, **changes)

    def list_vms(self) -> tuple[Vm, ...]:
        self.asked("list_vms")
        return tuple(self.vms)

    def uniform_members(self) -> int:
        return 0

    def problems(self) -> tuple[str, ...]:
        return ()

    def list_cost(self) -> int:
        return 0  # so that no poll waits for Azure's limits

    def vm(self, resource_id: str) -> VmDetail | Absent:
        self.asked("vm", resource_id)
        return self.details[resource_id]

    def run_commands(self, resource_id: str) -> tuple[RunCommand, ...]:
        self.asked("run_commands", resource_id)
        return tuple(RunCommand(name, "") for name in self.commands)

    def run_command(self, resource_id: str, name: str) -> RunCommand | Absent:
        self.asked("run_command", resource_id, name)
        return self.commands.get(name, ABSENT)

    def start_run_command(self, resource_id: str, script: Script) -> None:
        self.asked("start_run_command", resource_id, script.name)
        self.scripts.append(script)
        self.show(script.name, "Running", tags=script.tags)
        self.started(script)
        self.answered("start_run_command")

    def delete_run_command(self, resource_id: str, name: str) -> None:
        self.asked("delete_run_command", resource_id, name)
        self.commands.pop(name, None)


# Illumio ----------------------------------------------------------------------------------------------------------


class FakePce(Scripted):
    """Workloads, labels and keys; `bad` hrefs make a call for them fail."""

    system = "pce"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.stored: dict[str, Workload] = {}
        self.known = [Label(key, value, href) for (key, value), href in m.LABELS.items()]
        self.profile = m.PROFILE
        self.bad: set[str] = set()

    def problems(self) -> tuple[str, ...]:
        return ()

    def workloads(self) -> tuple[Workload, ...]:
        self.asked("workloads")
        return tuple(self.stored.values())

    def labels(self) -> tuple[Label, ...]:
        self.asked("labels")
        return tuple(self.known)

    def profiles(self) -> tuple[PairingProfile, ...]:
        self.asked("profiles")
        return (self.profile,)

    def make_key(self, profile: PairingProfile) -> Secret:
        self.asked("make_key", profile.name)
        self.answered("make_key")
        return Secret(CODE)

    def create_label(self, key: str, value: str) -> Label:
        self.asked("create_label", key, value)
        label = Label(key, value, f"/orgs/50/labels/{key}-{value}")
        self.known.append(label)
        self.answered("create_label")
        return label

    def update_workloads(self, changes: Sequence[WorkloadChange]) -> dict[str, str]:
        self.asked("update_workloads", tuple(changes))
        failures: dict[str, str] = {}
        for change in changes:
            if change.href in self.bad:
                failures[change.href] = "it is bad."
                continue
            found = self.stored[change.href]
            self.stored[change.href] = replace(
                found,
                external_set=found.external_set if change.external_set is None else change.external_set,
                external_reference=change.external_reference or found.external_reference,
                enforcement_mode=change.enforcement_mode or found.enforcement_mode,
            )
        self.answered("update_workloads")
        return failures

    def set_labels(self, workloads: Sequence[str], labels: Sequence[str], clear: Sequence[str]) -> None:
        self.asked("set_labels", tuple(workloads), tuple(labels), tuple(clear))
        if self.bad & set(workloads):
            raise Rejected("one of them is bad.")
        by_href = {label.href: label for label in self.known}
        for href in workloads:
            wanted = [by_href[label] for label in labels]
            gone = {label.key for label in wanted} | set(clear)
            kept = [label for label in self.stored[href].labels if label.key not in gone]
            self.stored[href] = replace(self.stored[href], labels=(*kept, *wanted))
        self.answered("set_labels")

    def unpair(self, vens: Sequence[str], restore: str) -> dict[str, str]:
        self.asked("unpair", tuple(vens), restore)
        self.stored = {href: found for href, found in self.stored.items() if found.ven not in vens}
        self.answered("unpair")
        return {}


# Check Point ------------------------------------------------------------------------------------------------------


class FakeCheckPoint(Scripted):
    """One domain with one session of ours: objects as published, and the session's unpublished ones beside them.

    `refused` names are refused by put_host; `poison` names let validations complain, by name if `telling`;
    `locked` groups belong to somebody else's session.
    """

    system = "cp"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.published: dict[str, HostObject] = {}
        self.pending: dict[str, HostObject] = {}
        self.known_groups = ["SO", "Web"]
        self.locked: dict[str, str] = {}
        self.refused: set[str] = set()
        self.poison: set[str] = set()
        self.poison_batch: set[str] = set()
        self.telling = True
        self.session: Session | None = None
        self.others: list[Session] = []
        self.revisions: list[Revision] = [m.PUBLISHED]
        self.tasks: dict[str, list[Task]] = {}
        self.shown = [Gateway("gw1", "Standard", None, None)]
        self.install_result = TaskState.SUCCEEDED

    def problems(self) -> tuple[str, ...]:
        return ()

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

    def sessions(self) -> tuple[Session, ...]:
        self.asked("sessions")
        return (*self.others, *([self.session] if self.session else []))

    def discard_session(self, uid: str) -> None:
        self.asked("discard_session", uid)
        self.others = [session for session in self.others if session.uid != uid]

    def last_published(self) -> Revision | None:
        self.asked("last_published")
        return self.revisions[-1] if self.revisions else None

    def hosts(self) -> tuple[HostObject, ...]:
        self.asked("hosts")
        return tuple(self.published.values())

    def groups(self) -> tuple[Group, ...]:
        self.asked("groups")
        return tuple(Group(name, name, self.locked.get(name, "")) for name in self.known_groups)

    def gateways(self) -> tuple[Gateway, ...]:
        self.asked("gateways")
        return tuple(self.shown)

    def ensure_tag(self, name: str) -> None:
        self.asked("ensure_tag", name)

    def put_host(self, form: ObjectForm) -> str:
        self.asked("put_host", form.name, form.join, form.leave)
        if form.name in self.refused:
            raise Rejected("refused", "err", f"{form.name} is refused.")
        self._unlocked([*form.join, *form.leave])
        before = self.pending.get(form.name)
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

    def leave_group(self, group: str, names: Sequence[str]) -> None:
        self.asked("leave_group", group, tuple(names))
        self._unlocked([group])
        for name in names:
            self.pending[name] = replace(self.pending[name], groups=self.pending[name].groups - {group})

    def delete_host(self, uid: str) -> None:
        self.asked("delete_host", uid)
        self.pending = {name: item for name, item in self.pending.items() if item.uid != uid}

    def validations(self) -> Validations:
        self.asked("validations")
        bad = sorted(self.poison & self.pending.keys() - self.published.keys())
        told = tuple(f"Object {name} is not valid." if self.telling else "Something is not valid." for name in bad)
        return Validations(errors=told[: 1 if not self.telling else None])

    def discard(self) -> None:
        self.asked("discard")
        self.pending = dict(self.published)

    def publish(self) -> str:
        self.asked("publish")
        self.published = dict(self.pending)
        revision = Revision(f"rev-{len(self.revisions) + 2}", m.NOW + timedelta(seconds=len(self.revisions)))
        self.revisions.append(revision)
        task = self._task(TaskState.SUCCEEDED, revision=revision.uid)
        self.answered("publish")
        return task.id

    def install(self, package: str, targets: Sequence[str]) -> str:
        self.asked("install", package, tuple(targets))
        messages = () if self.install_result is TaskState.SUCCEEDED else ("No memory.",)
        task = self._task(self.install_result, messages)
        if self.install_result is TaskState.SUCCEEDED:
            self.shown = [Gateway(name, package, self.revisions[-1], m.NOW) for name in targets]
        self.answered("install")
        return task.id

    def task(self, task_id: str) -> Task:
        self.asked("task", task_id)
        steps = self.tasks[task_id]
        return steps.pop(0) if len(steps) > 1 else steps[0]

    def _put(self, form: ObjectForm, groups: Iterable[str]) -> None:
        uid = form.uid or f"uid-{form.name}"
        self.pending[form.name] = HostObject(uid, form.name, form.address, frozenset(groups), form.owner, form.vm_id)

    def _unlocked(self, groups: Iterable[str]) -> None:
        for group in groups:
            if group in self.locked:
                raise Busy(f"group {group} is locked", self.locked[group])

    def _task(self, state: TaskState, messages: tuple[str, ...] = (), revision: str = "") -> Task:
        """A task that is seen running once and then ends."""
        name = f"task-{len(self.tasks) + 1}"
        ended = Task(name, state, revision, messages)
        self.tasks[name] = [Task(name, TaskState.RUNNING), ended]
        return Task(name, TaskState.RUNNING)
