"""`microseg run`: the process's own life, from the first line of its log to the last session closed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from microseg import __version__, telemetry
from microseg.application import Application
from microseg.handlers.audit import ClusterAudit
from microseg.handlers.probes import Probes
from microseg.handlers.watch import Watching
from microseg.kube.errors import KubeError
from microseg.settings import Settings

log = logging.getLogger(__name__)


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; the exit code, 1 where it cannot even begin."""
    telemetry.set_up(settings.log_format, verbose=settings.verbose)
    try:
        application = Application(settings)
    except KubeError as error:
        log.error("microseg cannot start", extra={"error": str(error)})
        return 1
    code = asyncio.run(_run(settings, application))
    return code or _leave()


async def _run(settings: Settings, application: Application) -> int:
    """Probes first, then the lists and the watch; on the way out every estate is let go in order."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watching = Watching(application.registry, settings.namespaces)
    audit = ClusterAudit(
        application.lists, application.registry, watching, application.kube_workers, settings.namespaces
    )
    probes = Probes(application.registry.beats, audit.unready, application.metrics)
    try:
        port = await probes.start(settings.probe_host, settings.probe_port)
    except OSError as error:
        log.error("microseg cannot start", extra={"error": f"port {settings.probe_port} for the probes: {error}"})
        watching.end()
        return 1
    log.info("microseg started", extra={"version": __version__, "namespaces": settings.namespaces, "probe_port": port})
    auditing = asyncio.create_task(audit.run())
    try:
        await asyncio.wait({auditing, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        watching.end()
        auditing.cancel()
        await application.registry.stop()
        await asyncio.gather(auditing, return_exceptions=True)
    finally:
        await probes.stop()
    log.info("microseg stopped")
    for number in (signal.SIGTERM, signal.SIGINT):  # one more of them changes nothing now
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    return 0


def _leave() -> int:
    """End the process, although a call of a system may still wait for its answer: Python would wait for its thread."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
