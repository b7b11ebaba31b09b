"""Commands on hosts, groups and tags: one by one, listed, in batches, and the questions about their use.

Parameters as in the vendor's reference (chkp-antonr/checkpoint-api-ref `jmd/add-host.j.md` and its siblings,
`add-objects-batch.j.md`, `where-used.j.md`; `equals` as the Check Point Ansible collection's
`plugins/module_utils/checkpoint.py` calls it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from simulators.checkpoint import errors, fields, validation
from simulators.checkpoint.commands import LARGEST_PAGE, PAGING, Call, Command, page
from simulators.checkpoint.editing import Editor, Tolerance
from simulators.checkpoint.rendering import Json, brief
from simulators.checkpoint.things import DOMAIN, Kind, Thing

KINDS: tuple[Kind, ...] = get_args(Kind)

_FIELDS: dict[Kind, frozenset[str]] = {
    "host": frozenset({"ip-address", "ipv4-address", "ipv6-address", "groups", "tags", "color", "comments"}),
    "group": frozenset({"members", "groups", "tags", "color", "comments"}),
    "tag": frozenset({"tags", "color", "comments"}),
}
_TOLERANT = frozenset({"ignore-warnings", "ignore-errors"})
_WHICH = frozenset({"uid", "name"})


def object_commands() -> list[Command]:
    """All of them."""
    found = [command for kind in KINDS for command in _of_kind(kind)]
    batches = [
        Command(f"{verb}-objects-batch", _batch(verb), frozenset({"objects"}), ("objects",), writes=True)
        for verb in ("add", "set", "delete")
    ]
    return [
        *found,
        *batches,
        Command("show-objects", _show_objects, PAGING | {"filter", "type", "uids", "show-membership"}),
        Command("where-used", _where_used, _WHICH),
        Command("equals", _equals, frozenset({"type", "params"}), ("type", "params")),
        Command("show-validations", _show_validations, frozenset({"limit"})),
        Command("lock-object", _lock, _WHICH | {"type"}, writes=True),
        Command("unlock-object", _unlock, _WHICH | {"type"}, writes=True),
    ]


def _of_kind(kind: Kind) -> list[Command]:
    own = _FIELDS[kind]
    common = _TOLERANT | {"details-level"}
    return [
        Command(f"add-{kind}", _add(kind), own | common | {"name", "set-if-exists"}, ("name",), writes=True),
        Command(f"set-{kind}", _set(kind), own | common | _WHICH | {"new-name"}, writes=True),
        Command(f"delete-{kind}", _delete(kind), common | _WHICH, writes=True),
        Command(f"show-{kind}", _show(kind), _WHICH | {"details-level"}),
        Command(f"show-{kind}s", _show_all(kind), PAGING | {"filter", "show-membership"}),
    ]


def _add(kind: Kind) -> Callable[[Call], Json]:
    def run(call: Call) -> Json:
        wish = fields.read_wish(kind, call.body, name_parameter="name")
        editor, tolerance = call.world.editor(call.session), _tolerance(call)
        existing = call.session.view.find(call.text("name"), kind) if call.flag("set-if-exists") else None
        if existing is not None:
            done = editor.alter(existing, wish, tolerance=tolerance)
        else:
            _need_address(kind, call.body)
            done = editor.add(wish, tolerance=tolerance)
        call.changed.append(done.name)
        return call.renderer.single(done, call.level)

    return run


def _set(kind: Kind) -> Callable[[Call], Json]:
    def run(call: Call) -> Json:
        wish = fields.read_wish(kind, call.body, name_parameter="new-name")
        editor = call.world.editor(call.session)
        done = editor.alter(editor.find(call.identifier, kind), wish, tolerance=_tolerance(call))
        call.changed.append(done.name)
        return call.renderer.single(done, call.level)

    return run


def _delete(kind: Kind) -> Callable[[Call], Json]:
    def run(call: Call) -> Json:
        editor = call.world.editor(call.session)
        thing = editor.find(call.identifier, kind)
        editor.delete(thing, tolerance=_tolerance(call))
        call.changed.append(thing.name)
        return {"message": "OK"}

    return run


def _show(kind: Kind) -> Callable[[Call], Json]:
    def run(call: Call) -> Json:
        found = call.session.view.find(call.identifier, kind)
        if found is None:
            raise errors.not_found(call.identifier)
        return call.renderer.single(found, call.level)

    return run


def _show_all(kind: Kind) -> Callable[[Call], Json]:
    def run(call: Call) -> Json:
        return _page_of(call, call.session.view.listing(kind, call.text("filter")))

    return run


def _show_objects(call: Call) -> Json:
    wanted = call.text("type", "object")
    if "uids" in call.body:
        uids = fields.names("uids", call.body["uids"])
        things = [thing for thing in map(call.session.view.get, uids) if thing is not None]
        return _page_of(call, [thing for thing in things if wanted in ("object", thing.kind)])
    if wanted == "object":
        return _page_of(call, call.session.view.listing(None, call.text("filter")))
    kind = next((kind for kind in KINDS if kind == wanted), None)
    return _page_of(call, call.session.view.listing(kind, call.text("filter")) if kind else [])


def _page_of(call: Call, things: list[Thing]) -> Json:
    level, membership, renderer = call.level, call.flag("show-membership"), call.renderer
    return page(call, things, lambda thing: renderer.listed(thing, level, membership=membership))


def _where_used(call: Call) -> Json:
    thing = call.world.editor(call.session).find(call.identifier)
    groups = [brief(group) for group in call.session.view.groups_of(thing.uid)]
    rules = call.world.rules.get(thing.uid, [])
    shown = [{"rule": {"type": "access-rule", "name": name, "domain": DOMAIN}} for name in rules]
    direct: Json = {"total": len(groups) + len(shown), "objects": groups, "access-control-rules": shown}
    return {"used-directly": direct | {"nat-rules": [], "threat-prevention-rules": []}}


def _equals(call: Call) -> Json:
    """Compares fields, and is blind to groups (issue 65 of the Check Point Ansible collection)."""
    params = call.body["params"]
    kind = next((kind for kind in KINDS if kind == call.text("type")), None)
    if not isinstance(params, dict) or kind is None:
        raise errors.invalid_parameter(name="params" if kind else "type", why="The value is not supported")
    editor = call.world.editor(call.session)
    inner = Call(call.world, call.session, params)
    thing = editor.find(inner.identifier, kind)
    wish = fields.read_wish(
        kind, {name: value for name, value in params.items() if name != "groups"}, name_parameter="-"
    )
    pairs = [
        (wish.ipv4, thing.ipv4),
        (wish.ipv6, thing.ipv6),
        (wish.comments, thing.comments),
        (wish.color, thing.color),
    ]
    same = all(wanted is None or wanted == found for wanted, found in pairs)
    if wish.tags is not None:
        same = same and {editor.find(name, "tag").uid for name in wish.tags.values} == set(thing.tags)
    return {"equals": same}


def _show_validations(call: Call) -> Json:
    limit = call.whole("limit", LARGEST_PAGE, 1, LARGEST_PAGE)
    found = validation.judge(call.session.view)
    return {
        "warnings-total": len(found.warnings),
        "errors-total": len(found.errors),
        "blocking-errors-total": 0,
        "warnings": [{"message": text} for text in found.warnings[:limit]],
        "errors": [{"message": text} for text in found.errors[:limit]],
        "blocking-errors": [],
    }


def _lock(call: Call) -> Json:
    thing = call.world.editor(call.session).find(call.identifier)
    call.world.locks.claim(call.session, [thing])
    return {"object": call.renderer.single(thing, "standard")}


def _unlock(call: Call) -> Json:
    thing = call.world.editor(call.session).find(call.identifier)
    if thing.uid not in call.session.locks or call.session.overlay.hides(thing.uid):
        raise errors.locked(thing.name)
    call.world.locks.release(call.session, thing.uid)
    return {"object": call.renderer.single(thing, "standard")}


def _batch(verb: str) -> Callable[[Call], Json]:
    def run(call: Call) -> Json:
        steps = [step for kind, items in _lists(call.body["objects"]) for step in map(_step(verb, kind), items)]
        task = call.world.batch(call.session, f"{verb}-objects-batch", steps)
        call.changed.append(f"{len(steps)} objects")
        return {"task-id": task.uid}

    return run


def _lists(objects: object) -> list[tuple[Kind, list[Json]]]:
    if not isinstance(objects, list) or not objects:
        raise errors.invalid_parameter(name="objects", why="The value must be a list")
    found: list[tuple[Kind, list[Json]]] = []
    for entry in objects:
        if not isinstance(entry, dict) or not isinstance(entry.get("list"), list):
            raise errors.missing_parameter(name="list")
        kind = next((kind for kind in KINDS if kind == entry.get("type")), None)
        if kind is None:
            raise errors.invalid_parameter(name="type", why=f"[{entry.get('type')}] is not supported in a batch")
        if not all(isinstance(item, dict) for item in entry["list"]):
            raise errors.invalid_parameter(name="list", why="The values must be objects")
        found.append((kind, entry["list"]))
    return found


def _step(verb: str, kind: Kind) -> Callable[[Json], Callable[[Editor], None]]:
    """One item of a batch: judged at once, carried out when the batch's time has come."""
    allowed = {"add": _FIELDS[kind] | {"name"}, "set": _FIELDS[kind] | _WHICH | {"new-name"}, "delete": _WHICH}[verb]

    def step(item: Json) -> Callable[[Editor], None]:
        for name in item:
            if name not in allowed:
                raise errors.unknown_parameter(name)
        identifier = str(item.get("uid", item.get("name", "")))
        if not identifier:
            raise errors.missing_parameter(name="name")
        if verb == "delete":
            return lambda editor: editor.delete(editor.find(identifier, kind), tolerance="errors")
        wish = fields.read_wish(kind, item, name_parameter="name" if verb == "add" else "new-name")
        if verb == "set":
            return lambda editor: _ignore(editor.alter(editor.find(identifier, kind), wish, tolerance="errors"))
        _need_address(kind, item)
        return lambda editor: _ignore(editor.add(wish, tolerance="errors"))

    return step


def _ignore(_: Thing) -> None:
    """A batch reports no single objects."""


def _need_address(kind: Kind, body: Json) -> None:
    if kind == "host" and not body.keys() & {"ip-address", "ipv4-address", "ipv6-address"}:
        raise errors.missing_parameter(name="ip-address")


def _tolerance(call: Call) -> Tolerance:
    if call.flag("ignore-errors"):
        return "errors"
    return "warnings" if call.flag("ignore-warnings") else "nothing"
