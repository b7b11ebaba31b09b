"""Commands on packages and gateways: what exists, what each gateway enforces, and install-policy.

Parameters as in the vendor's reference (chkp-antonr/checkpoint-api-ref `jmd/install-policy.j.md`,
`show-gateways-and-servers.j.md`, `show-package.j.md`).
"""

from __future__ import annotations

from simulators.checkpoint import errors, fields, rendering
from simulators.checkpoint.commands import PAGING, Call, Command, page
from simulators.checkpoint.gateways import Installation
from simulators.checkpoint.published import Revision
from simulators.checkpoint.rendering import Json

_INSTALL = frozenset(
    {
        "policy-package",
        "targets",
        "access",
        "threat-prevention",
        "desktop-security",
        "qos",
        "install-on-all-cluster-members-or-fail",
        "revision",
    }
)


def policy_commands() -> list[Command]:
    """All of them."""
    return [
        Command("install-policy", _install, _INSTALL, ("policy-package",), writes=True),
        Command("show-gateways-and-servers", _show_gateways, PAGING | {"filter", "show-membership"}),
        Command("show-packages", _show_packages, PAGING | {"filter"}),
        Command(
            "show-package", _show_package, frozenset({"uid", "name", "details-level", "show-installation-targets"})
        ),
    ]


def _install(call: Call) -> Json:
    """Install published data only.

    A flag that is not a boolean is ignored, as CheckPointSW/terraform-provider-checkpoint issue 211 saw it.
    """
    firewalls = call.world.firewalls
    package = firewalls.package(call.text("policy-package"))
    named = fields.names("targets", call.body["targets"]) if "targets" in call.body else None
    if named == ():
        raise errors.invalid_parameter(name="targets", why="There is nothing to install on")
    targets = firewalls.targets(package, named)
    order = Installation(package, targets, _revision(call), access=call.body.get("access") is not False)
    return {"task-id": call.world.install(call.session, order).uid}


def _revision(call: Call) -> Revision:
    revisions = call.world.published.revisions
    wanted = call.text("revision", revisions[-1].uid)
    found = next((revision for revision in reversed(revisions) if revision.uid == wanted), None)
    if found is None:
        raise errors.not_found(wanted)
    return found


def _show_gateways(call: Call) -> Json:
    text, level = call.text("filter").casefold(), call.level
    gateways = sorted(call.world.firewalls.gateways.values(), key=lambda gateway: gateway.name.casefold())
    return page(
        call,
        [gateway for gateway in gateways if text in gateway.name.casefold()],
        lambda gateway: rendering.gateway(gateway, level, membership=call.body.get("show-membership") is True),
    )


def _show_packages(call: Call) -> Json:
    text, level = call.text("filter").casefold(), call.level
    firewalls = call.world.firewalls
    packages = [package for package in firewalls.packages.values() if text in package.name.casefold()]
    return page(call, packages, lambda package: rendering.package(package, firewalls, level), "packages")


def _show_package(call: Call) -> Json:
    firewalls = call.world.firewalls
    shown = rendering.package(firewalls.package(call.identifier), firewalls, "full")
    if not isinstance(shown, dict):
        raise errors.not_found(call.identifier)
    return shown
