"""One small synchronous client for the Kubernetes API, safe to call from any number of worker threads.

It uses the configuration, the credentials (token files that rotate, exec plug-ins) and the connection pool of the
official client. Requests and answers are bytes of our own, decoded once and directly into the types that are needed,
because the official client's models cost several times the memory and time. Nothing is retried but a request that was
refused for a stale credential, and so did not happen. The other modules of `kube/` call it; the application, `cli/`
and tests `connect`.
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
from microseg.kube.kubectl_context import load_kubeconfig
from microseg.model.names import FIELD_MANAGER

T = TypeVar("T")
Query = Mapping[str, str]

TIMEOUT = 10.0
"""Seconds for connecting, and for every wait for bytes, of a plain request."""
CONNECT_TIMEOUT = 5.0
CONNECTIONS = 20
"""Connections that are kept open: for the worker threads that write at once, the Leases, reflectors and watches."""
_RELOAD_PAUSE = 5.0
"""Seconds between two readings of the credentials because of a 401."""
_READ_SIZE = 1 << 16

_JSON = "application/json"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
_STRICT = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
"""Strict: a field that the live schema lacks is an error. By default the API server drops it with a warning, and what
we must not forget would be forgotten. https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation"""


class Watch:
    """An open watch: its lines as they come. One thread reads it; another one may `break_off`."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        """`response`: the open answer."""
        self._response = response

    def batches(self) -> Iterator[list[bytes]]:
        """Complete lines, as many as one read brings; ends when the server ends the answer.

        Raises Unavailable if the connection breaks, or stays silent for too long.
        """
        rest = b""
        try:
            for piece in self._response.stream(_READ_SIZE, decode_content=True):
                *lines, rest = (rest + piece).split(b"\n")
                if lines:
                    yield [line for line in lines if line]
        except (HTTPError, OSError) as error:
            raise Unavailable(f"The watch broke off ({type(error).__name__})") from error

    def break_off(self) -> None:
        """End the wait of the reading thread at once."""
        try:
            self._response.shutdown()
        except (ValueError, RuntimeError, OSError):
            self._response.close()  # it has ended already: nobody waits


class Api:
    """The Kubernetes API. Every method raises only `KubeError`s."""

    def __init__(
        self,
        load: Callable[[client.Configuration], None],
        connections: int = CONNECTIONS,
        *,
        impersonate: str | None = None,
    ) -> None:
        """`load` fills in address and credentials, again when they are refused. `impersonate`: see `connect`."""
        self._impersonation = {"Impersonate-User": impersonate} if impersonate else {}
        self._load = load
        self._configuration = client.Configuration()
        # Only the kubeconfig's proxy-url counts, which `load` brings: kopf, the other way to the API server, knows no
        # other one, nor NO_PROXY; and what a Pod's environment names must not become the way of its credentials.
        self._configuration.proxy = self._configuration.no_proxy = None
        self._configuration.connection_pool_maxsize = connections
        self._configuration.retries = False  # no hidden retries, no redirects
        self._load_lock = threading.Lock()
        self._loaded_at = 0.0
        self._load_configuration()
        host = urlsplit(self._configuration.host)
        if host.scheme != "https" or not self._configuration.verify_ssl:
            raise Invalid("The kubeconfig does not reach the API server by https with a verified certificate")
        self._base = self._configuration.host.rstrip("/")
        self._client = client.ApiClient(self._configuration)
        self._pool = self._client.rest_client.pool_manager

    @property
    def url(self) -> str:
        """Address of the API server."""
        return self._base

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    # Objects ------------------------------------------------------------------------------------------------------

    def get(self, path: str, into: type[T], *, query: Query | None = None, timeout: float = TIMEOUT) -> T:
        """Read one object, or a collection in one piece."""
        return _decode(self.call("GET", path, query=query, timeout=timeout), into, path)

    def table(self, path: str, *, query: Query | None = None, timeout: float = 30.0) -> list[str]:
        """Names of a collection, by the cheapest list: the server-side Table without objects."""
        accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
        query = {**(query or {}), "includeObject": "None"}
        answer = _decode(self.call("GET", path, query=query, accept=accept, timeout=timeout), _Table, path)
        return [str(row.cells[0]) for row in answer.rows or ()]

    def create(self, path: str, body: Any, into: type[T], *, query: Query = _STRICT, timeout: float = TIMEOUT) -> T:
        """POST a new object. Raises AlreadyExists."""
        return _decode(self.call("POST", path, query=query, body=body, timeout=timeout), into, path)

    def replace(self, path: str, body: Any, into: type[T], *, timeout: float = TIMEOUT) -> T:
        """PUT a whole object. Raises Conflict if it has a metadata.resourceVersion that is no longer the stored one."""
        return _decode(self.call("PUT", path, query=_STRICT, body=body, timeout=timeout), into, path)

    def merge_patch(self, path: str, body: Any, into: type[T], *, timeout: float = TIMEOUT) -> T:
        """Merge-patch; null removes a field. Raises Conflict for a resourceVersion in it that is not the stored one."""
        answer = self.call("PATCH", path, query=_STRICT, body=body, content_type=_MERGE, timeout=timeout)
        return _decode(answer, into, path)

    def apply(self, path: str, body: Any, into: type[T], *, timeout: float = TIMEOUT) -> T:
        """Server-side apply as field manager `microseg`; takes fields over from other managers."""
        query = {**_STRICT, "force": "true"}
        return _decode(
            self.call("PATCH", path, query=query, body=body, content_type=_APPLY, timeout=timeout), into, path
        )

    def delete(self, path: str, *, uid: str = "", timeout: float = TIMEOUT) -> None:
        """DELETE one object; with `uid`, only the object of that uid. Raises Conflict if there is another one."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        self.call("DELETE", path, body=options, timeout=timeout)

    # Requests -----------------------------------------------------------------------------------------------------

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
        """Send one request and return the bytes of its answer. Raises a `KubeError` for everything but 2xx."""
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Accept": accept, "Content-Type": content_type} if data is not None else {"Accept": accept}
        timeouts = Timeout(connect=min(CONNECT_TIMEOUT, timeout), read=timeout)
        response = self._send(method, path, query, headers, data, timeouts, preload=True)
        return response.data

    @contextmanager
    def watch(self, path: str, query: Query, *, silence: float) -> Iterator[Watch]:
        """Open a watch. `silence`: seconds without a byte after which it counts as broken."""
        timeouts = Timeout(connect=CONNECT_TIMEOUT, read=silence)
        watch_query = {**query, "watch": "true"}
        response = self._send("GET", path, watch_query, {"Accept": _JSON}, None, timeouts, preload=False)
        try:
            yield Watch(response)
        finally:
            response.close()  # not back into the pool: the rest of the answer is still to come

    def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        headers: dict[str, str],
        data: bytes | None,
        timeouts: Timeout,
        *,
        preload: bool,
    ) -> BaseHTTPResponse:
        url = f"{self._base}{path}?{urlencode(query)}" if query else f"{self._base}{path}"
        request = f"{method} {path}"
        for renewed in (False, True):
            all_headers = headers | self._authorization() | self._impersonation
            sent_at = time.monotonic()
            try:
                response = self._pool.request(
                    method, url, body=data, headers=all_headers, timeout=timeouts, preload_content=preload
                )
                if response.status < 300:
                    return response
                answer = response.data
            except (HTTPError, OSError) as error:
                raise Unavailable(f"No answer from the API server to {request} ({type(error).__name__})") from error
            if response.status == 401 and not renewed and self._renew_credentials(sent_at):
                continue
            raise error_from(response.status, answer, request)
        raise Forbidden("The API server does not accept this identity")

    # Credentials --------------------------------------------------------------------------------------------------

    def _authorization(self) -> dict[str, str]:
        """The header. The official client reads a rotated token file, or runs the exec plug-in, when it is time."""
        try:
            setting = self._configuration.auth_settings().get("BearerToken")
        except (config.ConfigException, OSError, ValueError) as error:
            raise Unavailable("The credentials for the API server cannot be read") from error
        return {"Authorization": str(setting["value"])} if setting and setting["value"] else {}

    def _renew_credentials(self, sent_at: float) -> bool:
        """Read the credentials again after a 401, unless that was just done; whether another try makes sense."""
        with self._load_lock:
            if self._loaded_at > sent_at:
                return True  # another thread has done it meanwhile
            if time.monotonic() - self._loaded_at < _RELOAD_PAUSE:
                return False
            self._load_configuration()
            return True

    def _load_configuration(self) -> None:
        try:
            self._load(self._configuration)
        except (config.ConfigException, OSError, ValueError) as error:
            raise Unavailable("The kubeconfig or the files of the ServiceAccount cannot be read") from error
        self._loaded_at = time.monotonic()


class _Row(msgspec.Struct):
    cells: list[Any]


class _Table(msgspec.Struct):
    rows: list[_Row] | None = None


def _decode(answer: bytes, into: type[T], path: str) -> T:
    try:
        return msgspec.json.decode(answer, type=into)
    except msgspec.ValidationError as error:
        # The error names types and paths, never values: the answer may be a Secret.
        raise Invalid(f"The answer to {path} does not fit the types of this version: {error}") from None
    except msgspec.DecodeError:
        raise Unavailable(f"The answer to {path} is not JSON") from None


def connect(
    kubeconfig: str | None = None,
    *,
    context: str | None = None,
    cluster: str | None = None,
    user: str | None = None,
    impersonate: str | None = None,
    connections: int = CONNECTIONS,
) -> Api:
    """Connect with this kubeconfig file; without one as the Pod's ServiceAccount, or else with the user's kubeconfig.

    `context`: of the kubeconfig; None: the current one. `cluster`, `user`: of it, in place of the context's.
    `impersonate`: whom the API server should take this identity for
    (kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation).

    Raises Unavailable if it cannot be read, Invalid if it does not verify the server.
    """

    def load(configuration: client.Configuration) -> None:
        if (kubeconfig, context, cluster, user) == (None,) * 4 and os.environ.get("KUBERNETES_SERVICE_HOST"):
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            load_kubeconfig(configuration, kubeconfig, context=context, cluster=cluster, user=user)

    return Api(load, connections, impersonate=impersonate)
