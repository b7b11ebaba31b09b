"""One small synchronous client for the Kubernetes API, safe to call from any number of worker threads.

It stands on the official client: its configuration, credentials (token files that rotate, exec plug-ins) and connection
pool; requests and answers are our own bytes, decoded once and straight into what is needed, because the official
client's models cost several times the memory and time. Nothing is retried here but a request that was refused for a
stale credential and so did not happen. `kube/` alone calls it; `cli/` and tests use `connect`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from kubernetes import client, config
from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError

from microseg.kube.errors import Forbidden, Invalid, Unavailable, error_from
from microseg.kube.resources import FIELD_MANAGER

T = TypeVar("T")
Query = Mapping[str, str]

TIMEOUT = 10.0
"""Seconds for connecting, and for every wait for bytes, of a plain request."""
CONNECT_TIMEOUT = 5.0
CONNECTIONS = 20
"""Kept-open connections: the worker threads that write at once, and beside them Leases, mirrors and watches."""
_RELOAD_PAUSE = 5.0
"""Seconds between two readings of the credentials because of a 401."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_READ_SIZE = 1 << 16

_JSON = "application/json"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_STRICT = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
"""Strict: a field that the live schema lacks is an error; the default prunes it with a warning, and what we must not
forget would be forgotten. https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation"""


class Watch:
    """An answer that goes on: lines as they come. Reading belongs to one thread, `break_off` may come from another."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        """Take the open answer."""
        self._response = response

    def batches(self) -> Iterator[list[bytes]]:
        """Complete lines, as many as one read brought. Ends when the server ends the answer.

        Raises Unavailable when the connection breaks or stays silent for longer than was agreed.
        """
        rest = b""
        try:
            for piece in self._response.stream(_READ_SIZE, decode_content=True):
                *lines, rest = (rest + piece).split(b"\n")
                if lines:
                    yield [line for line in lines if line]
        except (HTTPError, OSError) as error:
            raise Unavailable(f"the watch broke off ({type(error).__name__})") from error

    def break_off(self) -> None:
        """End the reading thread's wait at once."""
        try:
            self._response.shutdown()
        except (ValueError, RuntimeError, OSError):
            self._response.close()  # already at its end: there is nothing left to wake


class Api:
    """The Kubernetes API. Every method raises `KubeError`s and nothing else."""

    def __init__(self, load: Callable[[client.Configuration], None], connections: int = CONNECTIONS) -> None:
        """Load address and credentials with `load`, which is called again when they are refused."""
        self._load = load
        self._configuration = client.Configuration()
        self._configuration.connection_pool_maxsize = connections
        self._configuration.retries = False  # no hidden repeats, no followed redirects
        self._loading = threading.Lock()
        self._loaded_at = 0.0
        self._load_configuration()
        host = urlsplit(self._configuration.host)
        if host.scheme != "https" or not self._configuration.verify_ssl:
            raise Invalid("the kubeconfig does not reach the API server by https with a verified certificate")
        if host.hostname in _LOOPBACK:
            self._configuration.proxy = None
        self._base = self._configuration.host.rstrip("/")
        self._client = client.ApiClient(self._configuration)
        self._pool = self._client.rest_client.pool_manager

    @property
    def url(self) -> str:
        """Address of the API server."""
        return self._base

    def close(self) -> None:
        """Close the kept-open connections."""
        self._pool.clear()

    # objects ------------------------------------------------------------------------------------------------------

    def get(self, path: str, into: type[T], *, query: Query | None = None, timeout: float = TIMEOUT) -> T:
        """Read one object, or a collection in one piece."""
        return _decoded(self.call("GET", path, query=query, timeout=timeout), into, path)

    def table(self, path: str, *, query: Query | None = None, timeout: float = 30.0) -> list[str]:
        """Names of a collection, by the cheapest list there is: the server-side Table without objects."""
        accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
        asked = {**(query or {}), "includeObject": "None"}
        answer = _decoded(self.call("GET", path, query=asked, accept=accept, timeout=timeout), _Table, path)
        return [str(row.cells[0]) for row in answer.rows or ()]

    def create(self, path: str, body: Any, into: type[T], *, query: Query = _STRICT, timeout: float = TIMEOUT) -> T:
        """POST a new object. Raises AlreadyExists."""
        return _decoded(self.call("POST", path, query=query, body=body, timeout=timeout), into, path)

    def replace(self, path: str, body: Any, into: type[T], *, timeout: float = TIMEOUT) -> T:
        """PUT a whole object; compare-and-set if it carries metadata.resourceVersion (Conflict)."""
        return _decoded(self.call("PUT", path, query=_STRICT, body=body, timeout=timeout), into, path)

    def merge_patch(self, path: str, body: Any, into: type[T], *, timeout: float = TIMEOUT) -> T:
        """Merge-patch; compare-and-set if it carries metadata.resourceVersion (Conflict). null removes a field."""
        answer = self.call("PATCH", path, query=_STRICT, body=body, content_type=_MERGE, timeout=timeout)
        return _decoded(answer, into, path)

    def apply(self, path: str, body: Any, into: type[T], *, force: bool = True, timeout: float = TIMEOUT) -> T:
        """Server-side apply as field manager `microseg`; `force` takes fields over from other managers."""
        query = {**_STRICT, "force": "true" if force else "false"}
        return _decoded(
            self.call("PATCH", path, query=query, body=body, content_type=_APPLY, timeout=timeout), into, path
        )

    def delete(self, path: str, *, uid: str = "", timeout: float = TIMEOUT) -> None:
        """DELETE one object; with `uid` only that incarnation (else Conflict)."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        self.call("DELETE", path, body=options, timeout=timeout)

    # requests -----------------------------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content_type: str = _JSON,
        accept: str = _JSON,
        timeout: float = TIMEOUT,
    ) -> bytes:
        """One request and the bytes of its answer; raises the family of `kube.errors` for everything but 2xx."""
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Accept": accept, "Content-Type": content_type} if data is not None else {"Accept": accept}
        bounds = Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout)
        response = self._send(method, path, query, headers, data, bounds, preload=True)
        return response.data

    @contextmanager
    def watch(self, path: str, query: Query, *, silence: float) -> Iterator[Watch]:
        """Open a watch; `silence`: seconds without a byte after which it counts as dead."""
        bounds = Timeout(connect=CONNECT_TIMEOUT, read=silence)
        asked = {**query, "watch": "true"}
        response = self._send("GET", path, asked, {"Accept": _JSON}, None, bounds, preload=False)
        try:
            yield Watch(response)
        finally:
            response.close()  # never back to the pool: the rest of the answer is still to come

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        headers: dict[str, str],
        data: bytes | None,
        bounds: Timeout,
        *,
        preload: bool,
    ) -> BaseHTTPResponse:
        url = f"{self._base}{path}?{urlencode(query)}" if query else f"{self._base}{path}"
        what = f"{method} {path}"
        for fresh in (False, True):
            signed = headers | self._authorization()
            began = time.monotonic()
            try:
                response = self._pool.request(
                    method, url, body=data, headers=signed, timeout=bounds, preload_content=preload
                )
                if response.status < 300:
                    return response
                answer = response.data
            except (HTTPError, OSError) as error:
                raise Unavailable(f"no answer from the API server to {what} ({type(error).__name__})") from error
            if response.status == 401 and not fresh and self._renewed(began):
                continue
            raise error_from(response.status, answer, what)
        raise Forbidden("the API server does not accept this identity")

    # credentials --------------------------------------------------------------------------------------------------

    def _authorization(self) -> dict[str, str]:
        """The header; the official client's hook reads a rotated token file, or runs the exec plug-in, in time."""
        try:
            setting = self._configuration.auth_settings().get("BearerToken")
        except (config.ConfigException, OSError, ValueError) as error:
            raise Unavailable("the credentials for the API server cannot be read") from error
        return {"Authorization": str(setting["value"])} if setting and setting["value"] else {}

    def _renewed(self, refused_at: float) -> bool:
        """Read the credentials again after a 401, unless that was just done; whether a new try makes sense."""
        with self._loading:
            if self._loaded_at > refused_at:
                return True  # another thread did it meanwhile
            if time.monotonic() - self._loaded_at < _RELOAD_PAUSE:
                return False
            self._load_configuration()
            return True

    def _load_configuration(self) -> None:
        try:
            self._load(self._configuration)
        except (config.ConfigException, OSError, ValueError) as error:
            raise Unavailable("the kubeconfig or the ServiceAccount's files cannot be read") from error
        self._loaded_at = time.monotonic()


class _Row(msgspec.Struct):
    cells: list[Any]


class _Table(msgspec.Struct):
    rows: list[_Row] | None = None


def _decoded(answer: bytes, into: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(answer, type=into)
    except msgspec.ValidationError as error:
        # Its text names types and places, never values; the answer may be a Secret.
        raise Invalid(f"the answer to {path} does not fit what this version knows: {error}") from None
    except msgspec.DecodeError:
        raise Unavailable(f"the answer to {path} is not JSON") from None


def connect(kubeconfig: str | None = None, *, connections: int = CONNECTIONS) -> Api:
    """Connect by the kubeconfig file that is named; else as the Pod's ServiceAccount; else by the user's kubeconfig.

    Raises Unavailable where none can be read, Invalid where one would not verify the server.
    """

    def load(configuration: client.Configuration) -> None:
        if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, client_configuration=configuration, persist_config=False
            )

    return Api(load, connections)
