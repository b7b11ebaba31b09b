"""Applies injected faults to requests: before their effect, after it, or in their answer.

`server.build_app` makes one injector per simulated system.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import assert_never, cast

from aiohttp import web

from simulators.environment import ActionFailed, Environment
from simulators.faults import LIST_FAULTS, SYSTEM_ACTIONS, Fault, HttpFault
from simulators.list_faults import alter_list

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HTML = "<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>"


class FaultInjector:
    """Applies the faults of one system."""

    def __init__(self, system: str, environment: Environment) -> None:
        self._system = system
        self._environment = environment
        self._answers: dict[str, bytes] = {}

    async def perform(self, request: web.Request, handler: Handler, note: list[str]) -> web.StreamResponse | None:
        """Return the answer, or None to reset the connection; what was done is appended to `note`."""
        faults = self._environment.faults
        if not faults.waiting:
            self._answers.clear()
            return await _answered(request, handler)
        before = faults.take(self._system, request["operation"], "before")
        if before:
            note.append(f"fault before: {before.action}")
            if before.action in SYSTEM_ACTIONS:
                await self._act(before, request, note)
            elif before.action not in LIST_FAULTS and (before.action != "delay" or await _pause(before)):
                return await self._fail(request, before, None)
        response = await _answered(request, handler)
        return await self._after_effect(request, response, before, note)

    async def _after_effect(
        self, request: web.Request, response: web.StreamResponse, before: Fault | None, note: list[str]
    ) -> web.StreamResponse | None:
        place, body = str(request["operation"]), getattr(response, "body", None)
        last, self._answers[place] = self._answers.get(place, b""), body if isinstance(body, bytes) else b""
        after = self._environment.faults.take(self._system, place, "after")
        if after:
            note.append(f"fault after: {after.action}")
        for fault in (before, after):
            if fault and fault.action in LIST_FAULTS:
                response = alter_list(fault, request, response, last)
        if after and after.action in SYSTEM_ACTIONS:
            await self._act(after, request, note)
        elif after and after.action not in LIST_FAULTS:
            return await self._fail(request, after, response)
        return response

    async def _act(self, fault: Fault, request: web.Request, note: list[str]) -> None:
        actions = self._environment.actions.get(self._system)
        if actions is None:
            message = f"{self._system} does not support the action {fault.action!r}"
            raise RuntimeError(message)
        try:
            await actions.perform(fault, request)
        except (ActionFailed, LookupError, ValueError) as why:
            note.append(f"not possible: {why}")

    async def _fail(
        self, request: web.Request, fault: Fault, response: web.StreamResponse | None
    ) -> web.StreamResponse | None:
        action = cast("HttpFault", fault.action)
        match action:
            case "status":
                return self._status_answer(fault)
            case "throttle":
                return self._throttled(fault, str(request["operation"]))
            case "delay":
                await _pause(fault)
                return response
            case "cut":
                return None
            case "hang":
                await _hang(request, fault.seconds)
                return None
            case "html":
                text = _HTML.format(status=fault.status)
                return web.Response(status=fault.status, text=text, content_type="text/html", headers=fault.headers)
            case "truncate":
                body = getattr(response, "body", None)
                text_ = body if isinstance(body, bytes) and body else b'{"value": [{"id": "'
                return web.Response(status=200, body=text_[: max(len(text_) // 2, 1)], content_type="application/json")
        assert_never(action)

    def _throttled(self, fault: Fault, operation: str) -> web.Response:
        """Return the vendor's own 429, with or without a Retry-After header."""
        actions = self._environment.actions.get(self._system)
        headers = fault.headers | ({"Retry-After": fault.retry_after} if fault.retry_after else {})
        body = fault.body or (actions.throttled(operation) if actions else {"error": "too many requests"})
        return self._status_answer(replace(fault, status=429, body=body, headers=headers))

    def _status_answer(self, fault: Fault) -> web.Response:
        if isinstance(fault.body, str):
            return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
        if fault.body is None:
            return web.Response(status=fault.status, headers=fault.headers)
        # The PCE and Check Point send no charset, and the PCE's SDK reads an error only without one.
        return web.Response(
            body=json.dumps(fault.body).encode(),
            status=fault.status,
            headers=fault.headers,
            content_type="application/json",
            charset="utf-8" if self._system == "azure" else None,
        )


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return web.Response(status=refusal.status, text=refusal.text, headers=_other_headers(refusal.headers))


async def _pause(fault: Fault) -> bool:
    """Wait as the fault says; False: the request itself does not fail."""
    await asyncio.sleep(fault.seconds)
    return False


async def _hang(request: web.Request, seconds: float) -> None:
    """Send nothing until the caller gives up or the time is over."""
    until = time.monotonic() + seconds if seconds else float("inf")
    transport = request.transport
    # aiohttp has no event for a closed connection, hence the polling.
    while time.monotonic() < until and transport is not None and not transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def _other_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in ("content-type", "content-length")}
