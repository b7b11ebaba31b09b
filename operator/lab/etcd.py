"""Reads etcd itself, below the API server: nothing is left out or converted.

Uses etcd's JSON gateway: https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/
"""

from __future__ import annotations

import base64
from typing import Any

import requests

from lab.controlplane import ControlPlane

_ALL = b"/registry/"
_SECRETS = "/registry/secrets/"
_TIMEOUT = 30.0


def dump(plane: ControlPlane, namespace: str) -> str:
    """Return every key of a namespace with its stored value, except Secrets."""
    url, pair = plane.etcd_access
    with requests.Session() as session:
        session.trust_env = False  # loopback: whatever the environment says about proxies
        session.verify, session.cert = str(plane.ca_file), (str(pair.certificate), str(pair.key))
        keys = [key for key, _ in _range(session, url, _ALL, keys_only=True)]
        wanted = {key[: key.index(part) + len(part)] for key in keys if (part := f"/{namespace}/") in key}
        found = [
            row
            for prefix in sorted(wanted)
            if prefix != f"{_SECRETS}{namespace}/"
            for row in _range(session, url, prefix.encode())
        ]
    return "\n".join(f"{key}\n{value}" for key, value in found)


def _range(session: requests.Session, url: str, prefix: bytes, *, keys_only: bool = False) -> list[tuple[str, str]]:
    end = prefix[:-1] + bytes([prefix[-1] + 1])
    body = {"key": _encoded(prefix), "range_end": _encoded(end), "keys_only": keys_only}
    answer = session.post(f"{url}/v3/kv/range", json=body, timeout=_TIMEOUT)
    answer.raise_for_status()
    pairs: list[dict[str, Any]] = answer.json().get("kvs", [])
    return [(_decoded(each["key"]), _decoded(each.get("value", ""))) for each in pairs]


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")
