"""The HTTP client against a server that breaks the protocol: what is sent, what is read, which server is trusted."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from microseg.gateways.http.client import HttpClient, System
from microseg.gateways.http.tls import Limits, Trust
from microseg.gateways.ports import GatewayError, OutcomeUnknown, Unreachable
from simulators import certificates
from simulators.background import Background

from .conftest import sha256

LIMITS = Limits(connect=1.0, read=0.5, total=0.6, size=100_000, memory=1_000_000)
Make = Callable[..., HttpClient]


class Odd:
    """A server with one odd answer per path. `hits`: the requested paths, with their cookies."""

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
            case "/empty-objects":
                return web.Response(body=b"[" + b"{}," * 20_000 + b"{}]", content_type="application/json")
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
def client(odd: Odd, folder: Path) -> Iterator[HttpClient]:
    made = HttpClient(System.ILLUMIO, odd.url, trust=Trust(str(folder / "ca.pem")), limits=LIMITS)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/trickle", "too long"),
        ("/bomb", "larger"),
        ("/empty-objects", "larger"),
        ("/short", "broke"),
        ("/elsewhere", "redirect"),
    ],
)
def test_an_odd_answer_to_a_read_is_unreachable(client: HttpClient, path: str, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable, match=words):
        client.send("GET", path, effect=False)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("path", ["/trickle", "/bomb", "/empty-objects", "/short"])
def test_an_odd_answer_to_an_effect_leaves_its_outcome_unknown(odd: Odd, client: HttpClient, path: str) -> None:
    with pytest.raises(OutcomeUnknown):
        client.send("POST", path, effect=True, body={})
    assert [hit for hit, _ in odd.hits] == [path]


def test_a_redirect_is_never_followed(odd: Odd, client: HttpClient) -> None:
    with pytest.raises(Unreachable, match="redirect"):
        client.send("POST", "/elsewhere", effect=True, body={})
    assert [hit for hit, _ in odd.hits] == ["/elsewhere"]


def test_a_compressed_answer_is_read(client: HttpClient) -> None:
    assert client.send("GET", "/zipped", effect=False).data == {"a": 1}


def test_cookies_are_not_kept(odd: Odd, client: HttpClient) -> None:
    client.send("GET", "/cookie", effect=False)
    client.send("GET", "/x", effect=False)
    assert odd.hits[-1] == ("/x", "")


def test_the_environment_changes_neither_the_ca_nor_the_proxy(
    client: HttpClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "stranger" / "ca.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(folder / "stranger" / "ca.pem"))
    assert client.send("GET", "/x", effect=False).data == {"ok": True}


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
    client = HttpClient(System.ILLUMIO, odd.url, trust=trust(folder), limits=LIMITS)
    with pytest.raises(GatewayError) as caught:
        client.send("POST", "/x", effect=True, headers={"Authorization": "Basic c2VjcmV0"}, body={})
    assert type(caught.value) is Unreachable
    assert odd.hits == []
    client.close()


def test_the_pinned_certificate_is_enough(odd: Odd, folder: Path) -> None:
    client = HttpClient(System.ILLUMIO, odd.url, trust=Trust(fingerprint=sha256(folder / "world.pem")), limits=LIMITS)
    assert client.send("GET", "/x", effect=False).ok
    client.close()


def test_an_effect_on_a_closed_port_has_not_happened(folder: Path) -> None:
    client = HttpClient(System.ILLUMIO, "https://127.0.0.1:9", trust=Trust(str(folder / "ca.pem")), limits=LIMITS)
    with pytest.raises(Unreachable, match="refused"):
        client.send("POST", "/x", effect=True, body={})
    client.close()


def test_a_missing_ca_file_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        HttpClient(System.ILLUMIO, "https://127.0.0.1:9", trust=Trust(str(tmp_path / "nowhere.pem")))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://user:word@host", "ftp://x", "https://", "x"])
def test_only_a_plain_https_address_is_taken(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        HttpClient(System.ILLUMIO, url)
