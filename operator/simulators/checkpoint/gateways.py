"""Policy packages and gateways: what may be installed where, and which revision each gateway enforces.

Owned by `world.World`. Errors as in CheckPointManagementConnection "Exemplar Errors.swift" (busy gateway) and issue 88
of CheckPointSW/CheckPointAnsibleMgmtCollection (unknown target); a task's shape as in CheckPointSW/sddc `monitor.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.checkpoint import errors
from simulators.checkpoint.errors import ApiError
from simulators.checkpoint.objects import new_uid
from simulators.checkpoint.published import Revision
from simulators.checkpoint.tasks import Task

Record = Callable[[list[str], Revision], None]
"""Called after an installation with the gateways that installed it, and the revision."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What a gateway enforces, since when (epoch seconds)."""

    package: str
    revision: Revision
    at: float


@dataclass(slots=True)
class Gateway:
    """`busy` is the task that installs on it ("": none); the next `failing` installations on it fail.

    `ignoring`: installations succeed, and it shows what it enforced before. `groups`: groups of gateways that it is in.
    """

    name: str
    address: str
    uid: str = field(default_factory=new_uid)
    installed: Installed | None = None
    busy: str = ""
    failing: int = 0
    ignoring: bool = False
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Package:
    """A policy package and the gateways that it may be installed on."""

    name: str
    targets: tuple[str, ...]
    uid: str = field(default_factory=new_uid)


@dataclass(frozen=True, slots=True)
class Installation:
    """One install-policy: what goes where."""

    package: Package
    targets: tuple[Gateway, ...]
    revision: Revision
    access: bool = True


class Firewalls:
    """Packages and gateways by name."""

    def __init__(self, package: str, gateways: tuple[str, ...]) -> None:
        self.gateways = {name: Gateway(name, f"192.0.2.{number}") for number, name in enumerate(gateways, start=11)}
        self.packages = {package: Package(package, gateways)}

    def package(self, identifier: str) -> Package:
        """Return the package with that name or uid; raises ApiError (not found)."""
        for package in self.packages.values():
            if identifier.casefold() == package.name.casefold() or identifier == package.uid:
                return package
        raise errors.not_found(identifier)

    def gateway(self, identifier: str) -> Gateway:
        """Return the gateway with that name or uid; raises ApiError (not found)."""
        for gateway in self.gateways.values():
            if identifier.casefold() == gateway.name.casefold() or identifier == gateway.uid:
                return gateway
        raise errors.not_found(identifier)

    def _members(self, group: str) -> tuple[Gateway, ...]:
        folded = group.casefold()
        return tuple(item for item in self.gateways.values() if folded in map(str.casefold, item.groups))

    def targets(self, package: Package, identifiers: tuple[str, ...] | None) -> tuple[Gateway, ...]:
        """Return the gateways to install on: the named ones, or all of the package; raises ApiError if one is busy."""
        named = package.targets if identifiers is None else identifiers
        chosen = [gateway for item in named for gateway in self._members(item) or (self.gateway(item),)]
        for gateway in chosen:
            if gateway.name not in package.targets:
                text = f"Gateway [{gateway.name}] is not an installation target of package [{package.name}]"
                raise ApiError(400, "generic_err_invalid_parameter", text)
            if gateway.busy:
                text = (
                    f"Unable to start policy installation: Policy installation on a gateway {gateway.name} "
                    f"({package.name} policy) is already in progress"
                )
                raise ApiError(409, "err_policy_installation_failed", text)
        return tuple({gateway.name: gateway for gateway in chosen}.values())

    def finish(self, task: Task, order: Installation, now: float, record: Record) -> None:
        """End an installation: each gateway succeeds or fails by itself."""
        taken: list[str] = []
        details: list[dict[str, object]] = []
        for number, gateway in enumerate(order.targets):
            failed = gateway.failing > 0
            gateway.failing -= failed
            failed = failed or (task.half and number % 2 == 0)
            if not failed:
                taken.append(gateway.name)
                if order.access and not gateway.ignoring:
                    gateway.installed = Installed(order.package.name, order.revision, now)
            details.append(_detail(gateway, order.package, failed=failed))
        task.details = details
        task.status = "failed" if not taken else "succeeded" if len(taken) == len(details) else "partially succeeded"
        task.description = f"Policy installation {task.status}"
        if taken:
            record(taken, order.revision)


def _detail(gateway: Gateway, package: Package, *, failed: bool) -> dict[str, object]:
    kind, text = ("err", "Installation failed. Reason: TCP connectivity failure.") if failed else ("info", "Installed.")
    return {
        "packageName": package.name,
        "gatewayName": gateway.name,
        "gatewayId": gateway.uid,
        "statusCode": "failed" if failed else "succeeded",
        "statusDescription": text,
        "stagesInfo": [
            {"stage": "Verification", "messages": []},
            {"stage": "Installation", "messages": [{"type": kind, "message": text}]},
        ],
    }
