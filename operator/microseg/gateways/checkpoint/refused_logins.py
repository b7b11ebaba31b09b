"""Log-ins that Check Point refused: the same version of a Secret is not tried again, because each try counts.

`checkpoint/session.py` asks before every log-in. Check Point can lock an administrator out after some failures in a row
(CheckPointSW/CheckPointAnsibleMgmtCollection, cp_mgmt_set_login_restrictions). One `RefusedLogins` serves the process,
so that an engine that is built anew does not try again; what the Estate's status remembers serves the next process.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from microseg.gateways.ports import Refused

_AGAIN = (900.0, 3600.0, 14400.0)
"""Seconds until a log-in that was accepted before is tried again: the server also refuses for other reasons, with
the same code (too many at once: CheckPointSW/terraform-provider-checkpoint#167). After these it is left alone."""


class LoginMemory:
    """What is known of one version of a Secret at one server and domain. Safe to use from several threads."""

    def __init__(self, login: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        """`login`: what names it. `clock`: seconds that only grow."""
        self._login, self._clock = login, clock
        self._refused = ""
        """What to say while it is not tried."""
        self._accepted = False
        self._refusals = 0
        """In a row, after it was accepted."""
        self._until: float | None = None
        """When it is tried again; None: not before something changes."""

    def recall(self, login: str, sentence: str, again_in: float | None) -> None:
        """What was remembered of an earlier process; it counts if it is of this very log-in.

        `again_in`: seconds until it is tried again; None: not before something changes.
        """
        if login == self._login and login and not self._refused:
            self._refused = sentence
            if again_in is not None:
                self._accepted, self._refusals, self._until = True, 1, self._clock() + again_in

    def check(self) -> None:
        """Raise Refused where it was refused before and is not to be tried now; nothing is sent then."""
        if self._refused and (self._until is None or self._clock() < self._until):
            raise self._error()

    def accepted(self) -> None:
        """The log-in is good."""
        self._accepted, self._refused, self._refusals, self._until = True, "", 0, None

    def refused(self, error: Refused) -> Refused:
        """Remember a refusal; returns the error that also says what a person can do."""
        pause = _AGAIN[self._refusals] if self._accepted and self._refusals < len(_AGAIN) else None
        self._until = None if pause is None else self._clock() + pause
        self._refusals += self._accepted
        again = "not tried again" if pause is None else f"tried again only after {pause / 60:.0f} minutes"
        self._refused = (
            f"{error}. Failed log-ins can lock an administrator out, so this version of the Secret is {again}. "
            "Correct the Secret; or mend the administrator at Check Point, then annotate the Secret to have it tried"
        )
        return self._error()

    def _error(self) -> Refused:
        error = Refused(self._refused)
        error.login = self._login
        error.again_in = None if self._until is None else max(self._until - self._clock(), 0.0)
        return error


class RefusedLogins:
    """What is known of all log-ins of this process."""

    def __init__(self) -> None:
        """Nothing was refused yet."""
        self._known: dict[str, LoginMemory] = {}

    def of(self, login: str) -> LoginMemory:
        """Of one version of a Secret at one server and domain."""
        return self._known.setdefault(login, LoginMemory(login))
