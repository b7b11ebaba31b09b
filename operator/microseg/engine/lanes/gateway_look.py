"""A look at the gateways alone, beside a publish: what they enforce, as of a revision whose objects are known."""

from __future__ import annotations

import logging

from microseg.engine.ground.workers import Workers
from microseg.engine.lanes.readings import read_whole
from microseg.gateways.ports import Busy, CheckPointGateway, GatewayError, Wait
from microseg.model.checkpoint_facts import EnforcementPoint, Revision

log = logging.getLogger(__name__)


async def look_at_gateways(
    gateway: CheckPointGateway, workers: Workers, revision: Revision | None
) -> tuple[EnforcementPoint, ...] | None:
    """All of them. None: they cannot be read at once, or something newer than this revision was published.

    A gateway that has a newer one says nothing of the objects as they were read: an install of it may have taken a
    host's address away (S8).
    """
    try:
        gateways = await read_whole(gateway.gateways(), workers, _at_once)
        last = await workers.call(gateway.last_published)
    except GatewayError as error:
        log.info("gateways not read beside a publish", extra={"error": str(error)})
        return None
    return gateways if last == revision else None


async def _at_once(wait: Wait) -> None:
    """No pause is worth it: a whole reading follows the publish."""
    if wait.seconds:
        message = "The list of gateways cannot be read at once"
        raise Busy(message)
