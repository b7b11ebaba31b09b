"""The transport against a server that misbehaves on the wire: what was sent, what was read, who was believed."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from microseg.gateways.ports import GatewayError, OutcomeUnknown, Unreachable
from microseg.gateways.transport import Transport
from microseg.gateways.wire import Limits, Trust
from simulators import certificates
from simulators.background import Background

from .conftest import sha256

LIMITS = Limits(connect=1.0, read=0.5, total=0.6, size=100_000)
Make = Callable[..., Transport]


class Odd:
    """A server with one odd answer a path; `hits` are the paths that were asked for, with their cookies."""

    def __init__(self) -> None:
        self.hits: list[tuple[str, str]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.hits.append((request.path, request.headers.get("Cookie", "")))
        match request.path:
            case "/trickle":
                return await self._trickle(request)
            case "/bomb":
                body = gzip.compress(b" " * 5_000_000)
                return web.Response(body=body, headers={"Content-Encoding": "gzip"}, content_type="application/json")
            case "/zipped":
                body = gzip.compress(b'{"a": 1}')
                return web.Response(body=body, headers={"Content-Encoding": "gzip"}, content_type="application/json")
            case "/elsewhere":
                return web.Response(status=307, headers={"Location": f"{self.url}/arrived"})
            case "/short":
                return await self._short(request)
            case "/cookie":
                return web.json_response({}, headers={"Set-Cookie": "a=b; Path=/"})
            case _:
                return web.json_response({"ok": True})

    async def _trickle(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(200):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    async def _short(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"a": 1}')
        assert request.transport is not None
        request.transport.close()
        return response


@pytest.fixture
def odd(folder: Path, background: Background) -> Odd:
    made = Odd()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    tls = certificates.ssl_context(folder / "world.pem", folder / "world.key")
    made.url = background.serve(app, tls).url
    return made


@pytest.fixture
def transport(odd: Odd, folder: Path) -> Iterator[Transport]:
    made = Transport("PCE", odd.url, trust=Trust(str(folder / "ca.pem")), limits=LIMITS)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("path", "words"),
    [("/trickle", "too long"), ("/bomb", "larger"), ("/short", "broke"), ("/elsewhere", "redirect")],
)
def test_an_odd_answer_to_a_read_is_unreachable(transport: Transport, path: str, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match=words):
        transport.send("GET", path, effect=False)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("path", ["/trickle", "/bomb", "/short"])
def test_an_odd_answer_to_an_effect_leaves_its_outcome_unknown(odd: Odd, transport: Transport, path: str) -> None:
    with pytest.raises(OutcomeUnknown):
        transport.send("POST", path, effect=True, body={})
    assert [hit for hit, _ in odd.hits] == [path]


def test_a_redirect_is_never_followed(odd: Odd, transport: Transport) -> None:
    with pytest.raises(Unreachable, match="redirect"):
        transport.send("POST", "/elsewhere", effect=True, body={})
    assert [hit for hit, _ in odd.hits] == ["/elsewhere"]


def test_a_compressed_answer_is_read(transport: Transport) -> None:
    assert transport.send("GET", "/zipped", effect=False).data == {"a": 1}


def test_cookies_are_not_kept(odd: Odd, transport: Transport) -> None:
    transport.send("GET", "/cookie", effect=False)
    transport.send("GET", "/x", effect=False)
    assert odd.hits[-1] == ("/x", "")


def test_the_environment_changes_neither_ca_nor_way(
    transport: Transport, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "stranger" / "ca.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(folder / "stranger" / "ca.pem"))
    assert transport.send("GET", "/x", effect=False).data == {"ok": True}


@pytest.mark.parametrize(
    "trust",
    [
        lambda folder: Trust(str(folder / "stranger" / "ca.pem")),
        lambda _: Trust(),
        lambda folder: Trust(fingerprint=sha256(folder / "stranger" / "other.pem")),
    ],
)
def test_an_untrusted_server_gets_nothing_and_an_effect_has_not_happened(
    odd: Odd, folder: Path, trust: Callable[[Path], Trust]
) -> None:
    transport = Transport("PCE", odd.url, trust=trust(folder), limits=LIMITS)
    with pytest.raises(GatewayError) as caught:
        transport.send("POST", "/x", effect=True, headers={"Authorization": "Basic c2VjcmV0"}, body={})
    assert type(caught.value) is Unreachable
    assert odd.hits == []
    transport.close()


def test_the_pinned_certificate_is_enough(odd: Odd, folder: Path) -> None:
    transport = Transport("PCE", odd.url, trust=Trust(fingerprint=sha256(folder / "world.pem")), limits=LIMITS)
    assert transport.send("GET", "/x", effect=False).ok
    transport.close()


def test_an_effect_on_a_closed_port_has_not_happened(folder: Path) -> None:
    transport = Transport("PCE", "https://127.0.0.1:9", trust=Trust(str(folder / "ca.pem")), limits=LIMITS)
    with pytest.raises(Unreachable, match="refused"):
        transport.send("POST", "/x", effect=True, body={})
    transport.close()


def test_a_missing_ca_file_is_noticed_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        Transport("PCE", "https://127.0.0.1:9", trust=Trust(str(tmp_path / "nowhere.pem")))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://user:word@host", "ftp://x", "https://", "x"])
def test_only_a_plain_https_address_is_taken(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Transport("PCE", url)
