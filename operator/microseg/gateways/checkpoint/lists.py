"""Whole lists of the management server, page by page, with a check that nothing moved in between.

`checkpoint/gateway.py` reads hosts, groups, gateways and sessions through it. Each page is made into facts before the
next is asked for: its JSON, which takes ten times their memory, is not held until the end.

Paging: chkp-antonr/checkpoint-api-ref jmd/show-hosts.j.md (limit 1 to 500; `from`, `to`, `total`, absent or 0 when
empty). Offsets shift while others publish: PyPI arodonata 2.1.0 checks the same things.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from microseg.gateways.checkpoint.session import SessionClient
from microseg.gateways.http.json_access import Json, get_number, get_text
from microseg.gateways.ports import Reading, Unreachable
from microseg.gateways.readings import in_turn

T = TypeVar("T")
_PAGE = 500
_MOST_PAGES = 1000
_ATTEMPTS = 2


def read_all(
    client: SessionClient,
    command: str,
    options: Mapping[str, object],
    parse: Callable[[Json], T],
    *,
    key: str = "objects",
    uid: str = "uid",
) -> Reading[list[T]]:
    """All objects of a list, under this key, told apart by this field.

    Raises Unreachable if it changed twice meanwhile, or is incomplete.
    """
    for _ in range(_ATTEMPTS):
        objects = yield from _read_once(client, command, options, parse, key=key, uid=uid)
        if objects is not None:
            return objects
    message = "Check Point's objects changed while they were listed"
    raise Unreachable(message)


def _read_once(
    client: SessionClient,
    command: str,
    options: Mapping[str, object],
    parse: Callable[[Json], T],
    *,
    key: str,
    uid: str,
) -> Reading[list[T] | None]:
    """All objects; None if the pages do not fit together."""
    objects: list[T] = []
    uids: set[str] = set()
    total, volume = 0, client.volume()
    for number in range(_MOST_PAGES):
        page_options = {**options, "limit": _PAGE, "offset": len(objects)}
        body = yield from in_turn(partial(client.call, command, page_options, effect=False), volume)
        page = _objects(body, key)
        page_total = get_number(body, "total")
        if page_total is None and page:
            message = "Check Point answered with a list without its total"
            raise Unreachable(message)
        if number and (page_total or 0) != total:
            return None
        total = page_total or 0
        if page and not _contiguous(body, len(objects), len(page)):
            return None
        uids.update(get_text(item, uid) for item in page)
        objects += map(parse, page)
        if len(objects) >= total:
            break
        if not page:
            return None
    return objects if len(objects) == total == len(uids) else None


def _objects(body: Json, key: str) -> list[Json]:
    objects = body.get(key, [] if body.get("total") == 0 else None)
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        message = "Check Point answered with an incomplete list"
        raise Unreachable(message)
    return objects


def _contiguous(body: Json, before: int, count: int) -> bool:
    return body.get("from") == before + 1 and body.get("to") == before + count
