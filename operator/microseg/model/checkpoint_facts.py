"""What Check Point shows: objects, groups, revisions, gateways, tasks, sessions. `gateways/checkpoint` makes them."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class HostObject:
    """A published host object of the domain, ours or not."""

    uid: str
    name: str
    address: str
    """IPv4 or IPv6; an object with both is here twice."""
    groups: frozenset[str]
    owner: str
    """The ownerId in its mark; empty: not made by any operator."""
    vm_id: str
    """The vmId in its mark; empty without one."""
    modifier: str = field(default="", compare=False)
    """Administrator who wrote it last. A change of it alone is no change."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the domain, and who has locked it."""

    name: str
    uid: str
    locked_by: str = ""
    """Administrator whose other session holds a lock on it; empty: free, or ours."""
    modifier: str = field(default="", compare=False)
    """Administrator who wrote it last: also who took a member out. A change of it alone is no change."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A published state of the domain's database."""

    uid: str
    published_at: datetime
    by: str = field(default="", compare=False)
    """Administrator who published it."""


@dataclass(frozen=True, slots=True)
class Package:
    """A policy package: an Estate names it, or its uid."""

    name: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class EnforcementPoint:
    """A gateway or server, and the revision that its access policy was installed from."""

    name: str
    policy: str
    """Package that is installed; empty: none."""
    revision: Revision | None
    installed_at: datetime | None
    uid: str = ""
    groups: frozenset[str] = frozenset()
    """Groups of gateways that it is in: each may be named as a target, like the uid."""


class TaskState(enum.StrEnum):
    """State of a Check Point task. Partial success is not success."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Task:
    """A long operation of the management server."""

    id: str
    state: TaskState
    revision: str = ""
    """Of a publish that succeeded."""
    messages: tuple[str, ...] = ()
    failed_targets: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    """Gateways that an installation is for, as far as it says."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the management server. Its sid is a secret and stays in the gateway."""

    uid: str
    name: str
    application: str = ""
    user: str = ""
    changes: int = 0
    locks: int = 0
    open: bool = True
