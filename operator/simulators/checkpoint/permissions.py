"""Which permission of a *Customized* profile each command needs. `routes` asks before it runs a command.

Names: the fields of `add-domain-permissions-profile` (check_point.mgmt, cp_mgmt_domain_permissions_profile). The
vendor's reference does not say per command what it needs: that packages are shown with *Show policy* only, and
installed with both, is how its console offers them. None of these fields is said to be for `show-tasks`: that a server
refuses it to somebody who lacks `show-tasks` is assumed, because it is harder for a client.
"""

from __future__ import annotations

from simulators.checkpoint import errors
from simulators.checkpoint.commands import Command
from simulators.checkpoint.session import Admin

LOGIN = "management-api-login"
_NEEDED = {
    "publish": ("publish-sessions",),
    "install-policy": ("show-policy", "install-policy"),
    "show-package": ("show-policy",),
    "show-packages": ("show-policy",),
    "show-tasks": ("show-tasks",),
}


def check_login(admin: Admin) -> None:
    """Raise ApiError for an administrator who may work in SmartConsole only."""
    if LOGIN in admin.lacks:
        why = "Check that the administrator has permission to login through API"
        raise errors.login_failed(message=f"API authentication to server failed. {why}")


def check(command: Command, admin: Admin) -> None:
    """Raise ApiError with the first permission that is missing."""
    needed = _NEEDED.get(command.name, ("edit-common-objects",) if command.writes else ())
    for permission in needed:
        if permission in admin.lacks:
            raise errors.no_permission(what=f"perform [{command.name}] ({permission})")
