"""ARM's frontend: matches paths in any letter case, checks token and api-version, throttles, and writes errors.

`create` in the package's `__init__` makes one per world; the server's middleware asks it for operation names.
"""

from __future__ import annotations

import re
import uuid

from aiohttp import web

from simulators.azure import errors, rights
from simulators.azure.errors import ArmError, SignInError
from simulators.azure.routes import GRAPH, ROUTES, Parts, Route, base_url
from simulators.azure.routes_resources import endpoints
from simulators.azure.throttle import Verb
from simulators.azure.world import World

_TOKEN = re.compile("/(?P<tenant>[^/]+)/oauth2/v2.0/token", re.IGNORECASE)
_METADATA = re.compile("/(?P<tenant>[^/]+)/v2.0/.well-known/openid-configuration", re.IGNORECASE)
_ENDPOINTS = "/metadata/endpoints"
_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(-preview)?", re.IGNORECASE)
_OLDEST = {
    "compute": "2021-03-01", "network": "2018-10-01", "resourcegraph": "2019-04-01", "resources": "2014-04-01",
}  # fmt: skip
_FOUND = web.RequestKey("found", tuple[Route, Parts])
_VERBS: dict[str, Verb] = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


class ArmFrontend:
    """Handles every request before and after the handlers in `routes`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def name_of(self, request: web.Request) -> str:
        """Return the operation name of a request."""
        if _TOKEN.fullmatch(request.path):
            return "token"
        if _METADATA.fullmatch(request.path):
            return "openid-configuration"
        if request.path == _ENDPOINTS:
            return "endpoints"
        found = _find(request)
        if found is None:
            return "unknown"
        request[_FOUND] = found
        if found[0].name == "vms.list" and request.query.get("statusOnly", "").lower() == "true":
            return "vms.list-status"
        return found[0].name

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        if token := _TOKEN.fullmatch(request.path):
            return await self._sign_in(request, token["tenant"])
        if metadata := _METADATA.fullmatch(request.path):
            return self._metadata(request, metadata["tenant"])
        if request.path == _ENDPOINTS:
            return web.json_response(endpoints(base_url(request)))
        headers: dict[str, str] = {}
        try:
            response = await self._answer(request, headers)
        except ArmError as error:
            headers |= {"x-ms-failure-cause": "gateway", **error.headers}
            response = web.json_response(error.envelope(), status=error.status)
        identifier = str(uuid.uuid4())
        response.headers.update(headers)
        response.headers.update(
            {
                "x-ms-request-id": identifier,
                "x-ms-correlation-request-id": request.headers.get("x-ms-correlation-request-id", identifier),
                "x-ms-routing-request-id": f"WESTEUROPE:{identifier}",
                "Cache-Control": "no-cache",
                "Pragma": "no-cache",
                "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
                "X-Content-Type-Options": "nosniff",
            }
        )
        return response

    async def _answer(self, request: web.Request, headers: dict[str, str]) -> web.Response:
        directory = self._world.directory
        authority = f"{base_url(request)}/{directory.tenant}"
        request["who"] = directory.check(request.headers.get("Authorization", ""), authority)
        found: tuple[Route, Parts] | None = request.get(_FOUND)
        _check_version(request)
        if found is None:
            raise _unknown(request)
        route, parts = found
        lacking, who = self._world.traits.lacking, request["who"]
        rights.check(route.name, request.query.get("$expand", ""), lacking, who, reads=who in directory.readers)
        headers |= self._admit(request, route, parts)
        if "sub" in parts:
            self._world.fleet(parts["sub"])
        return await route.answer(self._world, request, parts)

    def _admit(self, request: web.Request, route: Route, parts: Parts) -> dict[str, str]:
        if route.name == GRAPH:
            return self._world.graph.admit(request["who"])
        subscription, vm = parts.get("sub", "").lower(), ""
        if "vm" in parts:
            vm = f"{subscription}/{parts['group']}/{parts['vm']}".lower()
        elif route.name == "operations.get":
            operation = self._world.run_commands.operation(parts["sub"], parts["location"], parts["id"])
            vm = operation.vm if operation else ""
        return self._world.throttle.admit(
            subscription, request["who"], _VERBS.get(request.method, "writes"), route.policy, vm
        )

    async def _sign_in(self, request: web.Request, tenant: str) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405)
        form = {name: str(value) for name, value in (await request.post()).items()}
        request["who"] = form.get("client_id", "")
        try:
            return web.json_response(self._world.directory.issue(tenant, form))
        except SignInError as error:
            return web.json_response(error.body(), status=error.status)

    def _metadata(self, request: web.Request, tenant: str) -> web.Response:
        authority = f"{base_url(request)}/{tenant}"
        return web.json_response(
            {
                "issuer": f"{authority}/v2.0",
                "token_endpoint": f"{authority}/oauth2/v2.0/token",
                "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{authority}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{authority}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )


def _find(request: web.Request) -> tuple[Route, Parts] | None:
    path, method = request.path, request.method
    for route in ROUTES:
        if route.method == method and (found := route.path.fullmatch(path)):
            return route, found.groupdict()
    return None


def _check_version(request: web.Request) -> None:
    version = request.query.get("api-version", "")
    if not version:
        text = "The api-version query parameter (?api-version=) is required for all requests."
        raise errors.ArmError(400, "MissingApiVersionParameter", text)
    found = _VERSION.fullmatch(version)
    if not found:
        raise errors.ArmError(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")
    path = request.path.lower()
    provider = next((each for each in _OLDEST if f"/microsoft.{each}/" in path), "resources")
    if found[1] < _OLDEST[provider]:
        text = f"No registered resource provider found for API version '{version}' of 'Microsoft.{provider.title()}'."
        raise errors.ArmError(400, "NoRegisteredProviderFound", text)


def _unknown(request: web.Request) -> ArmError:
    """404 for an unknown path, 405 for an unknown method."""
    if any(route.path.fullmatch(request.path) for route in ROUTES):
        return errors.ArmError(405, "MethodNotAllowed", f"The HTTP method '{request.method}' is not supported here.")
    return errors.ArmError(404, "InvalidResourceType", "The resource type could not be found in the namespace.")
