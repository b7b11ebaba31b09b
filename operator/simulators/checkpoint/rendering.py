"""The server's JSON: objects at three levels of detail, sessions, tasks, gateways, packages.

Called by the command modules. Shapes as in the vendor's reference (chkp-antonr/checkpoint-api-ref `jmd/show-host.j.md`,
`show-group.j.md`, `show-session.j.md`, `show-gateways-and-servers.j.md`, `show-package.j.md`); a publish task's as in
demisto/content Packs/CheckpointFirewall.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from simulators.checkpoint.gateways import Firewalls, Gateway, Package
from simulators.checkpoint.objects import DOMAIN, ManagementObject
from simulators.checkpoint.published import Revision
from simulators.checkpoint.session import Locks, Session
from simulators.checkpoint.tasks import Task

Level = Literal["uid", "standard", "full"]
Json = dict[str, object]

_ICONS = {"host": "Objects/host", "group": "General/group", "tag": "General/tag"}


@lru_cache(maxsize=4096)
def moment(seconds: float) -> Json:
    """A time as the server writes it; `posix` is milliseconds. Cached: many objects share one time."""
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M+0000")
    return {"posix": int(seconds * 1000), "iso-8601": text}


def brief(cp_object: ManagementObject) -> Json:
    """An object inside another one, or in a list at the level "standard"."""
    shown: Json = {"uid": cp_object.uid, "name": cp_object.name, "type": cp_object.kind, "domain": DOMAIN}
    if cp_object.ipv4:
        shown["ipv4-address"] = cp_object.ipv4
    if cp_object.ipv6:
        shown["ipv6-address"] = cp_object.ipv6
    return shown


class Renderer:
    """Renders objects for one session: the holder of a lock sees it differently from the others."""

    def __init__(self, session: Session, locks: Locks) -> None:
        self._session = session
        self._locks = locks

    def listed(self, cp_object: ManagementObject, level: Level, *, membership: bool) -> object:
        """Return an object in a list, on request with its groups."""
        if level == "uid":
            return cp_object.uid
        shown = self.whole(cp_object, "standard") if level == "full" else brief(cp_object)
        if membership:
            shown["groups"] = self._groups(cp_object, level)
        return shown

    def single(self, cp_object: ManagementObject, level: Level) -> Json:
        """Return a single object; `level` applies to the objects inside it."""
        shown = self.whole(cp_object, level)
        shown["groups"] = self._groups(cp_object, level)
        return shown

    def whole(self, cp_object: ManagementObject, level: Level) -> Json:
        """An object without its groups; `level` is that of the objects inside it."""
        holder = self._locks.holder(cp_object.uid)
        foreign = holder is not None and holder is not self._session
        shown = brief(cp_object) | {
            "meta-info": self._meta(cp_object, holder),
            "tags": self._many(cp_object.tags, level),
            "read-only": foreign or self._session.read_only,
            "comments": cp_object.comments,
            "color": cp_object.color,
            "icon": _ICONS[cp_object.kind],
        }
        if cp_object.kind == "host":
            shown |= {"interfaces": [], "nat-settings": {"auto-rule": False}}
        elif cp_object.kind == "group":
            shown["members"] = self._many(sorted(cp_object.members), level)
        return shown

    def _groups(self, cp_object: ManagementObject, level: Level) -> list[object]:
        groups = self._session.view.groups_of(cp_object.uid)
        return [group.uid if level == "uid" else brief(group) for group in groups]

    def _many(self, uids: list[str] | tuple[str, ...], level: Level) -> list[object]:
        if level == "uid":
            return list(uids)
        found = (self._session.view.get(uid) for uid in uids)
        return [brief(cp_object) for cp_object in found if cp_object is not None]

    def _meta(self, cp_object: ManagementObject, holder: Session | None) -> Json:
        meta: Json = {
            "lock": "unlocked",
            "validation-state": "ok",
            "last-modify-time": moment(cp_object.modified),
            "last-modifier": cp_object.modifier,
            "creation-time": moment(cp_object.created),
            "creator": cp_object.creator,
        }
        if holder is None:
            return meta
        side = "current" if holder is self._session else "other"
        return meta | {
            "lock": f"locked by {side} session",
            "locking-admin": holder.admin.name,
            "locking-session-id": holder.uid,
        }


def session(shown: Session) -> Json:
    """A session in full. Disconnected ones are not in work; those that were idle for too long are expired as well."""
    body: Json = {
        "uid": shown.uid,
        "name": shown.label,
        "type": "session",
        "domain": DOMAIN,
        "application": shown.application,
        "changes": shown.overlay.changes,
        "locks": len(shown.locks),
        "connection-mode": "read only" if shown.read_only else "read write",
        "state": "open",
        "in-work": shown.is_connected,
        "expired-session": shown.expired,
        "user-name": shown.admin.name,
        "ip-address": shown.address,
        "description": shown.description,
        "comments": shown.comments,
        "session-timeout": shown.timeout,
        "last-login-time": moment(shown.since),
        "color": "black",
        "icon": "Objects/worksession",
        "tags": [],
    }
    return body | ({"last-logout-time": moment(shown.left)} if shown.left else {})


def revision(shown: Revision) -> Json:
    """A published session: what show-last-published-session answers and what a gateway's revision is."""
    return {
        "uid": shown.uid,
        "name": shown.session_name,
        "type": "session",
        "domain": DOMAIN,
        "application": shown.application,
        "state": "published",
        "user-name": shown.user,
        "description": shown.description,
        "changes": shown.changes,
        "locks": 0,
        "in-work": False,
        "expired-session": False,
        "publish-time": moment(shown.at),
    }


def task(shown: Task, now: float, level: Level) -> Json:
    """A task; what every object has, and its details, only at the level "full", as in the vendor's examples."""
    body: Json = {
        "task-id": shown.uid,
        "task-name": shown.name,
        "status": shown.status,
        "progress-percentage": shown.progress(now),
        "progress-description": shown.description,
        "start-time": moment(shown.started),
        "last-update-time": moment(shown.updated(now)),
        "suppressed": False,
    }
    if level != "full":
        return body
    named: Json = {"uid": shown.notification, "name": shown.name, "type": "CdmTaskNotification", "domain": DOMAIN}
    return body | named | {"meta-info": {"creator": shown.user}, "task-details": shown.details}


def gateway(shown: Gateway, level: Level, *, membership: bool = False) -> object:
    """A gateway; what it enforces only at the level "full", and nothing if nothing was ever installed."""
    if level == "uid":
        return shown.uid
    body: Json = {"uid": shown.uid, "name": shown.name, "type": "simple-gateway", "domain": DOMAIN}
    body["ipv4-address"] = shown.address
    if level == "standard":
        return body
    policy: Json = {}
    if shown.installed:
        policy = {
            "access-policy-installed": True,
            "access-policy-name": shown.installed.package,
            "access-policy-installation-date": moment(shown.installed.at),
            "access-policy-revision": revision(shown.installed.revision),
        }
    return body | {
        "operating-system": "Gaia",
        "hardware": "Open server",
        "version": "R81.20",
        "sic-status": "communicating",
        "policy": policy,
        "network-security-blades": {"firewall": True},
        "management-blades": {},
        "groups": [{"name": name, "type": "group"} for name in shown.groups if membership],
        "tags": [],
        "comments": "",
        "color": "black",
    }


def package(shown: Package, firewalls: Firewalls, level: Level) -> object:
    """A policy package; targets and their revisions only at the level "full"."""
    if level == "uid":
        return shown.uid
    body: Json = {"uid": shown.uid, "name": shown.name, "type": "package", "domain": DOMAIN}
    if level == "standard":
        return body
    targets = [firewalls.gateways[name] for name in shown.targets]
    return body | {
        "access": True,
        "threat-prevention": False,
        "installation-targets": [gateway(target, "standard") for target in targets],
        "installation-targets-revision": [
            {
                "target-name": target.name,
                "target-uid": target.uid,
                "revision": {"uid": target.installed.revision.uid},
            }
            for target in targets
            if target.installed
        ],
    }
