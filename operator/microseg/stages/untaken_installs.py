"""Targets whose policy installs succeed and are not shown (L6), for the two stages that ask for installs.

`engine/lanes/accepted_installs.py` counts; here is what follows for a host. One target that does not take the policy
holds up no other (L4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from microseg.model.condition import Reason
from microseg.model.verdict import Blocked
from microseg.stages.context import HostContext


def held(context: HostContext, package: str, targets: Iterable[str]) -> dict[str, datetime]:
    """Those of the targets whose installs of the package succeed and are not shown -> when the next is tried (L6)."""
    times = {target: context.estate.untaken_installs.get((package, target)) for target in targets}
    return {target: until for target, until in times.items() if until is not None and until > context.now}


def blocked(context: HostContext, package: str, targets: Mapping[str, datetime]) -> Blocked:
    """No install is left to try now: what is desired, and what the target shows."""
    target = min(targets)
    gateway = context.estate.gateways.get(target)
    shown = f"shows {gateway.policy or 'no policy'}" if gateway is not None else "is not in the list of gateways"
    if gateway is not None and gateway.revision is not None:
        shown += f" of {gateway.revision.published_at:%Y-%m-%d %H:%M:%S} UTC"
    more = f" So do {len(targets) - 1} more targets." if len(targets) > 1 else ""
    return Blocked(
        Reason.NOT_TAKING,
        f"Check Point installed package {package} on {target} with success, and {target} {shown}.{more} "
        "It is tried again when the target shows something else, else every hour.",
        min(targets.values()),
    )
