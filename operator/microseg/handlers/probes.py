"""The probe port: /healthz (the loops go round), /readyz (the cluster is watched) and /metrics for Prometheus."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from microseg.metrics import Metrics

_SILENT = 420.0
"""Seconds after which a loop counts as stuck: longer than the longest pause between two rounds, five minutes."""


class Probes:
    """Serves the kubelet and Prometheus."""

    def __init__(self, beats: Callable[[], Mapping[str, float]], unready: Callable[[], str], metrics: Metrics) -> None:
        """`beats`: loop -> monotonic time of its latest round. `unready`: why the process is not ready, or empty."""
        self._beats, self._unready, self._metrics = beats, unready, metrics
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError where it is taken.

        An empty `host`: every address of both families, because a Pod may have either, or both.
        """
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._show_metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host or None, port)
        await site.start()
        addresses: list[Any] = self._runner.addresses
        return int(addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        """200 while every loop goes round; else 503 and which does not."""
        now = time.monotonic()
        stuck = {loop: now - at for loop, at in self._beats().items() if now - at > _SILENT}
        if stuck:
            lines = "".join(f"{loop} {_stuck_for(age)}\n" for loop, age in sorted(stuck.items()))
            return web.Response(status=503, text=lines)
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        """200 while the Estates are listed and watched. A standby without the Lease is ready too."""
        why = self._unready()
        return web.Response(status=503, text=f"{why}\n") if why else web.Response(text="ok\n")

    async def _show_metrics(self, request: web.Request) -> web.Response:
        """Every metric, in the format that is asked for."""
        page, content_type = self._metrics.page(request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})


def _stuck_for(age: float) -> str:
    return "ended by an error; the log has it" if math.isinf(age) else f"has not gone round for {age:.0f} s"
