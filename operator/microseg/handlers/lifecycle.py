"""`microseg run`: the process's own life, from the first line of its log to the last session closed."""

from __future__ import annotations

import asyncio
import logging
import signal

from microseg import __version__, telemetry
from microseg.handlers.probes import Probes
from microseg.handlers.watching import watch
from microseg.kube.errors import KubeError
from microseg.settings import Settings
from microseg.wiring import House

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; the exit code, 1 where it cannot even begin."""
    telemetry.set_up(settings.log_format, verbose=settings.verbose)
    try:
        house = House(settings)
    except KubeError as error:
        log.error("microseg cannot start", extra={"error": str(error)})
        return 1
    return asyncio.run(_run(settings, house))


async def _run(settings: Settings, house: House) -> int:
    """Probes first, then the watch; on the way out every estate is let go in order."""
    stop, ready = asyncio.Event(), asyncio.Event()
    probes = Probes(house.register.beats, ready, house.metrics)
    try:
        port = await probes.start(settings.probe_host, settings.probe_port)
    except OSError as error:
        log.error("microseg cannot start", extra={"error": f"port {settings.probe_port} for the probes: {error}"})
        return 1
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
