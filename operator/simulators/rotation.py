"""Certificate rotation: every server gets a certificate of a new authority; clients must trust the new one.

`POST /certificates/rotate` on the control port. From then on `ca.pem` in the simulators' folder is the new authority's.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from simulators import certificates
from simulators.environment import Environment
from simulators.server import Served

SERVER = "worlds"
"""Name of the servers' certificate and key files."""


def add_control(
    router: web.UrlDispatcher,
    environment: Environment,
    folder: Path,
    tls: ssl.SSLContext,
    served: Sequence[Served],
    *,
    hosts: Sequence[str] = certificates.LOOPBACK,
) -> None:
    """Add the route. `tls`: the context of all servers; `served`: all servers, also those added later.

    `hosts`: the names and addresses in the new certificate.
    """

    async def rotate(_: web.Request) -> web.Response:
        for name in ("ca.pem", "ca.key"):
            (folder / name).unlink()
        authority, _key = certificates.make_authority(folder)
        tls.load_cert_chain(*certificates.issue(folder, SERVER, hosts))  # for new connections
        for each in served:
            if each.url.startswith("https:"):
                each.hang_up()
        environment.ledger.append("worlds", "world.certificates-rotated")
        return web.json_response({"caFile": str(authority)})

    router.add_post("/certificates/rotate", rotate)
