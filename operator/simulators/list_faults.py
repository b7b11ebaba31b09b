"""Alters the answer of a list as a fault says: items twice, pages lost or repeated, wrong links to the next page.

Called by `fault_injection` with the true answer. It knows three forms of a list: ARM's `value` with its
`nextLink`, Check Point's `objects` with `from`, `to` and `total`, and the PCE's bare array with `X-Total-Count`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from aiohttp import web

from simulators.faults import Fault, ListFault

_NOWHERE = "https://127.0.0.2:9"
_CARRIED = ("X-Total-Count", "X-Request-Id", "x-ms-request-id")
_LISTS = ("value", "objects", "tasks", "packages")


def alter_list(fault: Fault, request: web.Request, response: web.StreamResponse, last: bytes) -> web.StreamResponse:
    """Return the altered answer (unchanged if it is not a list). `last`: this operation's previous answer."""
    body = getattr(response, "body", None)
    data = _parsed(body)
    rows = _rows(data)
    if rows is None or response.status != 200:
        return response
    match cast("ListFault", fault.action):
        case "item-duplicated":
            rows.extend(rows[:1])
        case "page-missing":
            rows.clear()
        case "page-repeated":
            _repeat(data, rows, request, last)
        case "link-missing":
            cast("dict[str, Any]", data).pop("nextLink", None)
        case "link-to-itself":
            cast("dict[str, Any]", data)["nextLink"] = _own_link(request)
        case "link-elsewhere":
            cast("dict[str, Any]", data)["nextLink"] = (fault.target or _NOWHERE) + request.path_qs
    headers = {name: response.headers[name] for name in _CARRIED if name in response.headers}
    kind = response.headers.get("Content-Type", "application/json")
    return web.Response(body=json.dumps(data).encode(), headers={**headers, "Content-Type": kind})


def _repeat(data: object, rows: list[Any], request: web.Request, last: bytes) -> None:
    """Repeat a page: by its own link in ARM; as the previous page if the list has offsets; else all rows twice."""
    if isinstance(data, dict) and "value" in data:
        data["nextLink"] = _own_link(request)
        return
    before = _rows(_parsed(last)) if isinstance(data, dict) else None
    if before:
        rows[:] = before
    else:
        rows.extend(list(rows))


def _rows(data: object) -> list[Any] | None:
    if isinstance(data, list):
        return data
    if isinstance(data, Mapping):
        for name in _LISTS:
            if isinstance(data.get(name), list):
                return cast("list[Any]", data[name])
    return None


def _own_link(request: web.Request) -> str:
    return f"https://{request.host}{request.path_qs}"


def _parsed(body: object) -> object:
    if not isinstance(body, bytes) or not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None
