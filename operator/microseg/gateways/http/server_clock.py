"""What time it is for a server, as the Date of its answers shows: what it dates is compared with that alone.

The gateways of the PCE and of Check Point have one each. Source: RFC 9110, 6.6.1.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from microseg.gateways.http.client import HttpResponse, http_date


class ServerClock:
    """The clock of one server. Steps of our own clock do not matter."""

    def __init__(self) -> None:
        """Nothing is known before the first answer."""
        self._heard: tuple[float, float] | None = None
        """The Date of the latest success, and the monotonic time when it came."""

    def hear(self, response: HttpResponse) -> None:
        """Take over the Date of an answer. A page or a refusal may be of something in between, with another clock."""
        date = http_date(response.header("Date")) if response.ok and response.is_json else None
        if date is not None:
            self._heard = (date, time.monotonic())

    def now(self) -> datetime | None:
        """The Date of the latest success and what passed since: never ahead of the server; None: it gives no Date."""
        if self._heard is None:
            return None
        date, at = self._heard
        return datetime.fromtimestamp(date + time.monotonic() - at, UTC)
