"""The day on which every server gets a certificate of a new authority, and the old one is trusted no more.

`POST /certificates/rotate` on the control port. `ca.pem` in the worlds' folder is the new authority's from then on.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from simulators import certificates
from simulators.server import Served
from simulators.stage import Stage

SERVER = "worlds"
"""Name of the servers' certificate and key files."""


def add_control(
    router: web.UrlDispatcher, stage: Stage, folder: Path, tls: ssl.SSLContext, served: Sequence[Served]
) -> None:
    """Add the route. `tls`: the context of all servers; `served`: what is served so far and later."""

    async def rotate(_: web.Request) -> web.Response:
        for name in ("ca.pem", "ca.key"):
            (folder / name).unlink()
        authority, _key = certificates.make_authority(folder)
        tls.load_cert_chain(*certificates.issue(folder, SERVER))  # for connections from now on
        for each in served:
            if each.url.startswith("https:"):
                each.hang_up()
        stage.ledger.append("worlds", "world.certificates-rotated")
        return web.json_response({"caFile": str(authority)})

    router.add_post("/certificates/rotate", rotate)
