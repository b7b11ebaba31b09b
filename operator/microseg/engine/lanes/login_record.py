"""Keeps in the Estate's status that Check Point refused a log-in, so that no later process tries the same one again.

`checkpoint.py` calls it after each reading; `build_gateways.py` reads it at the next start.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.ground.ports import Clock
from microseg.gateways.ports import GatewayError, Refused
from microseg.model.estate_status import CheckPointState, EstateStatus, RefusedLogin
from microseg.model.fields import clip


class LoginRecord:
    """One estate's."""

    def __init__(self, estate_status: EstateStatusWriter, clock: Clock) -> None:
        """Nothing is written before a log-in was refused."""
        self._estate_status, self._clock = estate_status, clock

    async def keep(self, error: GatewayError | None) -> None:
        """A reading ended so; None: it is complete, so the log-in is good."""
        login = error.login if isinstance(error, Refused) else ""
        if error is not None and not login:
            return
        message = clip(str(error), 1024) if login else ""
        if (login, message) == (self._known.login, self._known.message):  # the message says when it is tried again
            return
        now = self._clock().replace(microsecond=0)
        again_in = error.again_in if isinstance(error, Refused) else None
        again_at = now + timedelta(seconds=again_in) if again_in is not None else None
        refused = RefusedLogin(login=login, message=message, at=now, again_at=again_at) if login else None
        await self._estate_status.record(lambda status: _with_login(status, refused))

    @property
    def _known(self) -> RefusedLogin:
        """What the status says; without a log-in: nothing."""
        state = self._estate_status.status.check_point
        return (state.refused_login if state is not None else None) or RefusedLogin(login="")


def _with_login(status: EstateStatus, refused: RefusedLogin | None) -> EstateStatus:
    state = msgspec.structs.replace(status.check_point or CheckPointState(), refused_login=refused)
    return msgspec.structs.replace(status, check_point=state)
