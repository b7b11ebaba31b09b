"""`microseg run`: the process's own life, from the first line of its log to the last session closed."""

from __future__ import annotations

import asyncio
import logging
import signal

from microseg import __version__, telemetry
from microseg.handlers.probes import Probes
from microseg.handlers.watching import watch
from microseg.settings import Settings
from microseg.wiring import House

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    telemetry.set_up(settings.log_format, verbose=settings.verbose)
    return asyncio.run(_run(settings))


async def _run(settings: Settings) -> int:
    """Probes first, then the watch; on the way out every estate is let go in order."""
    house = House(settings)
    stop, ready = asyncio.Event(), asyncio.Event()
    probes = Probes(house.register.beats, ready)
    port = await probes.start(settings.probe_host, settings.probe_port)
    log.info("microseg started", extra={"version": __version__, "namespaces": settings.namespaces, "probe_port": port})
    watching = asyncio.create_task(watch(house.register, settings.namespaces, stop, ready))
    await asyncio.sleep(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await asyncio.wait({watching, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        await house.register.stop()
        await watching
    finally:
        await probes.stop()
    log.info("microseg stopped")
    return 0
