"""Reads and maintains etcd itself, below the API server: nothing is left out or converted.

Uses etcd's JSON gateway: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from lab.controlplane import ControlPlane

_ALL = b"/registry/"
_SECRETS = "/registry/secrets/"
_TIMEOUT = 30.0


def dump(plane: ControlPlane, namespace: str) -> str:
    """Return every key of a namespace with its stored value, except Secrets."""
    with _session(plane) as (session, url):
        keys = [key for key, _ in _range(session, url, _ALL, keys_only=True)]
        wanted = {key[: key.index(part) + len(part)] for key in keys if (part := f"/{namespace}/") in key}
        found = [
            row
            for prefix in sorted(wanted)
            if prefix != f"{_SECRETS}{namespace}/"
            for row in _range(session, url, prefix.encode())
        ]
    return "\n".join(f"{key}\n{value}" for key, value in found)


def compact(plane: ControlPlane) -> int:
    """Drop every past revision and give the space back, as etcd's maintenance does; return the revision that is left.

    See https://etcd.io/docs/v3.6/op-guide/maintenance/: a watch that resumes at an older one is refused.
    """
    with _session(plane) as (session, url):
        status = _posted(session, f"{url}/v3/maintenance/status", {})
        revision = int(status["header"]["revision"])
        _posted(session, f"{url}/v3/kv/compaction", {"revision": str(revision), "physical": True})
        _posted(session, f"{url}/v3/maintenance/defragment", {})
    return revision


@contextmanager
def _session(plane: ControlPlane) -> Iterator[tuple[requests.Session, str]]:
    """A session with the API server's own certificate, and etcd's address."""
    url, pair = plane.etcd_access
    with requests.Session() as session:
        session.trust_env = False  # loopback: whatever the environment says about proxies
        session.verify, session.cert = str(plane.ca_file), (str(pair.certificate), str(pair.key))
        yield session, url


def _range(session: requests.Session, url: str, prefix: bytes, *, keys_only: bool = False) -> list[tuple[str, str]]:
    end = prefix[:-1] + bytes([prefix[-1] + 1])
    body = {"key": _encoded(prefix), "range_end": _encoded(end), "keys_only": keys_only}
    pairs: list[dict[str, Any]] = _posted(session, f"{url}/v3/kv/range", body).get("kvs", [])
    return [(_decoded(each["key"]), _decoded(each.get("value", ""))) for each in pairs]


def _posted(session: requests.Session, url: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = session.post(url, json=body, timeout=_TIMEOUT)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")
