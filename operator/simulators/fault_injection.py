"""Meets a request with the failures that were ordered for it: before its effect, after it, or in its answer.

`server.build_app` makes one for each world's application.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import assert_never, cast

from aiohttp import web

from simulators.bending import bend
from simulators.faults import BENDS, DEEDS, Fault, Wire
from simulators.stage import Impossible, Stage

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HTML = "<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>"


class Interference:
    """The failures of one system."""

    def __init__(self, system: str, stage: Stage) -> None:
        self._system = system
        self._stage = stage
        self._answers: dict[str, bytes] = {}

    async def perform(self, request: web.Request, handler: Handler, note: list[str]) -> web.StreamResponse | None:
        """The answer to send, or None where the connection is to be reset; `note` learns what was done."""
        faults = self._stage.faults
        if not faults.waiting:
            self._answers.clear()
            return await _answered(request, handler)
        before = faults.take(self._system, request["operation"], "before")
        if before:
            note.append(f"fault before: {before.action}")
            if before.action in DEEDS:
                await self._do(before, request, note)
            elif before.action not in BENDS and (before.action != "delay" or await _pause(before)):
                return await self._fail(request, before, None)
        response = await _answered(request, handler)
        return await self._afterwards(request, response, before, note)

    async def _afterwards(
        self, request: web.Request, response: web.StreamResponse, before: Fault | None, note: list[str]
    ) -> web.StreamResponse | None:
        place, body = str(request["operation"]), getattr(response, "body", None)
        last, self._answers[place] = self._answers.get(place, b""), body if isinstance(body, bytes) else b""
        after = self._stage.faults.take(self._system, place, "after")
        if after:
            note.append(f"fault after: {after.action}")
        for fault in (before, after):
            if fault and fault.action in BENDS:
                response = bend(fault, request, response, last)
        if after and after.action in DEEDS:
            await self._do(after, request, note)
        elif after and after.action not in BENDS:
            return await self._fail(request, after, response)
        return response

    async def _do(self, fault: Fault, request: web.Request, note: list[str]) -> None:
        deeds = self._stage.deeds.get(self._system)
        if deeds is None:
            message = f"{self._system} cannot do {fault.action!r}"
            raise RuntimeError(message)
        try:
            await deeds.perform(fault, request)
        except (Impossible, LookupError, ValueError) as why:
            note.append(f"could not: {why}")

    async def _fail(
        self, request: web.Request, fault: Fault, response: web.StreamResponse | None
    ) -> web.StreamResponse | None:
        action = cast("Wire", fault.action)
        match action:
            case "status":
                return self._ordered(fault)
            case "throttle":
                return self._throttled(fault, str(request["operation"]))
            case "delay":
                await _pause(fault)
                return response
            case "cut":
                return None
            case "hang":
                await _silence(request, fault.seconds)
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
        """429 in the vendor's own words, with or without the header."""
        deeds = self._stage.deeds.get(self._system)
        headers = fault.headers | ({"Retry-After": fault.retry_after} if fault.retry_after else {})
        body = fault.body or (deeds.throttled(operation) if deeds else {"error": "too many requests"})
        return self._ordered(replace(fault, status=429, body=body, headers=headers))

    def _ordered(self, fault: Fault) -> web.Response:
        if isinstance(fault.body, str):
            return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
        if fault.body is None:
            return web.Response(status=fault.status, headers=fault.headers)
        # The PCE and Check Point name no charset, and the PCE's SDK reads a refusal only where none is named.
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
        return web.Response(status=refusal.status, text=refusal.text, headers=_kept(refusal.headers))


async def _pause(fault: Fault) -> bool:
    """Wait as ordered; False, for nothing else is to be done."""
    await asyncio.sleep(fault.seconds)
    return False


async def _silence(request: web.Request, seconds: float) -> None:
    """Say nothing until the caller gives up or the time is over."""
    until = time.monotonic() + seconds if seconds else float("inf")
    transport = request.transport
    # aiohttp has no event for a caller who hangs up, hence the polling.
    while time.monotonic() < until and transport is not None and not transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in ("content-type", "content-length")}
