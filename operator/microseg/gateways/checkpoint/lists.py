"""Whole listings of the management server, page by page, with proof that nothing moved in between.

`checkpoint.py` reads hosts, groups, gateways and sessions through it. Paging: chkp-antonr/checkpoint-api-ref
jmd/show-hosts.j.md (limit 1 to 500; `from`, `to`, `total`, absent or 0 when empty). Offsets drift while others publish:
PyPI arodonata 2.1.0 checks the same things.
"""

from __future__ import annotations

from collections.abc import Mapping

from microseg.gateways import shapes
from microseg.gateways.checkpoint_session import Conversation
from microseg.gateways.ports import Unreachable
from microseg.gateways.shapes import Json

_PAGE = 500
_MOST_PAGES = 1000
_ATTEMPTS = 2


def read_all(conversation: Conversation, command: str, options: Mapping[str, object]) -> list[Json]:
    """All objects of a listing; Unreachable where it drifted twice or does not add up."""
    for _ in range(_ATTEMPTS):
        found = _attempt(conversation, command, options)
        if found is not None:
            return found
    message = "Check Point's objects changed while they were listed"
    raise Unreachable(message)


def _attempt(conversation: Conversation, command: str, options: Mapping[str, object]) -> list[Json] | None:
    """All objects, or None where pages do not fit together."""
    found: list[Json] = []
    total = 0
    for number in range(_MOST_PAGES):
        body = conversation.call(command, {**options, "limit": _PAGE, "offset": len(found)}, effect=False)
        objects = _objects(body)
        said = shapes.number(body.get("total"))
        if said is None and objects:
            message = "Check Point answered with a listing that does not say its total"
            raise Unreachable(message)
        if number and (said or 0) != total:
            return None
        total = said or 0
        if objects and not _contiguous(body, len(found), len(objects)):
            return None
        found += objects
        if len(found) >= total:
            break
        if not objects:
            return None
    uids = {shapes.text(item.get("uid")) for item in found}
    return found if len(found) == total == len(uids) else None


def _objects(body: Json) -> list[Json]:
    objects = body.get("objects", [] if body.get("total") == 0 else None)
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        message = "Check Point answered with an incomplete listing"
        raise Unreachable(message)
    return objects


def _contiguous(body: Json, before: int, count: int) -> bool:
    return body.get("from") == before + 1 and body.get("to") == before + count
