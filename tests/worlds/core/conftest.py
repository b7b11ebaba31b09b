"""A tiny system with one list and one effect, behind the real middleware, TLS and control port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from aiohttp import web

from simulators import certificates
from simulators.background import Background
from simulators.control import build_control
from simulators.environment import Environment
from simulators.server import build_app, changed, operation


@dataclass
class Tiny:
    url: str
    control: str
    environment: Environment
    session: requests.Session
    effects: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def certificate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    certificates.make_authority(folder)
    return folder


@pytest.fixture
def tiny(certificate_folder: Path) -> Iterator[Tiny]:
    environment = Environment()
    app = build_app("tiny", environment)
    session = requests.Session()
    session.trust_env = False
    session.verify = str(certificate_folder / "ca.pem")
    world = Tiny("", "", environment, session)

    async def things(_: web.Request) -> web.Response:
        return web.json_response({"value": ["a", "b", "c"]})

    async def put(request: web.Request) -> web.Response:
        operation(request, "thing.put")
        request["who"] = "tester"
        world.effects.append(request.match_info["name"])
        changed(request, request.match_info["name"])
        return web.json_response({"done": True}, status=201)

    async def long(_: web.Request) -> web.Response:
        return web.json_response("x" * 3_000_000)

    async def broken(_: web.Request) -> web.Response:
        raise RuntimeError("a mistake in the world")

    app.router.add_get("/things", things, name="things.list")
    app.router.add_put("/things/{name}", put)
    app.router.add_get("/broken", broken)
    app.router.add_get("/long", long)
    tls = certificates.ssl_context(*certificates.issue(certificate_folder, "tiny"))
    with Background() as background:
        world.url = background.serve(app, tls).url
        world.control = background.serve(build_control(environment), None).url
        yield world
    session.close()
