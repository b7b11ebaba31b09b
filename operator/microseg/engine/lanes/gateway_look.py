"""A look at the gateways alone, beside a publish: what they enforce, as of a revision whose objects are known."""

from __future__ import annotations

from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.readings import read_whole
from microseg.gateways.ports import Busy, CheckPointGateway, Throttled, Wait
from microseg.model.checkpoint_facts import EnforcementPoint, Revision


async def look_at_gateways(
    gateway: CheckPointGateway, workers: Workers, revision: Revision | None
) -> tuple[EnforcementPoint, ...] | None:
    """All of them. None: something newer than this revision was published. GatewayError: they cannot be read at once.

    A gateway that has a newer revision says nothing of the objects as they were read: an install of it may have taken a
    host's address away (S8).
    """
    gateways = await read_whole(gateway.gateways(), workers, _at_once)
    return gateways if await workers.call(gateway.last_published) == revision else None


async def _at_once(wait: Wait) -> None:
    """No pause is worth it: a whole reading follows the publish."""
    if wait.throttled:
        message = "Check Point asks for a pause"
        raise Throttled(message, wait.seconds)
    if wait.seconds:
        message = "The list of gateways cannot be read at once"
        raise Busy(message)
