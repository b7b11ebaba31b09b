"""Commands on hosts, groups and tags: single, listed, in batches, and queries about their use.

Parameters as in the vendor's reference (chkp-antonr/checkpoint-api-ref `jmd/add-host.j.md` and its siblings,
`add-objects-batch.j.md`, `where-used.j.md`; `equals` as the Check Point Ansible collection's
`plugins/module_utils/checkpoint.py` calls it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from simulators.checkpoint import errors, fields, validation
from simulators.checkpoint.commands import LARGEST_PAGE, PAGING, Call, Command, page
from simulators.checkpoint.edits import Editor, Tolerance
from simulators.checkpoint.objects import DOMAIN, Kind, ManagementObject
from simulators.checkpoint.rendering import Json, brief

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
        spec = fields.read_spec(kind, call.body, name_parameter="name")
        editor, tolerance = call.world.editor(call.session), _tolerance(call)
        existing = call.session.view.find(call.text("name"), kind) if call.flag("set-if-exists") else None
        if existing is not None:
            done = editor.alter(existing, spec, tolerance=tolerance)
        else:
            _need_address(kind, call.body)
            done = editor.add(spec, tolerance=tolerance)
        call.changed.append(done.name)
        return call.renderer.single(done, call.level)

    return run


def _set(kind: Kind) -> Callable[[Call], Json]:
    def run(call: Call) -> Json:
        spec = fields.read_spec(kind, call.body, name_parameter="new-name")
        editor = call.world.editor(call.session)
        done = editor.alter(editor.find(call.identifier, kind), spec, tolerance=_tolerance(call))
        call.changed.append(done.name)
        return call.renderer.single(done, call.level)

    return run


def _delete(kind: Kind) -> Callable[[Call], Json]:
    def run(call: Call) -> Json:
        editor = call.world.editor(call.session)
        cp_object = editor.find(call.identifier, kind)
        editor.delete(cp_object, tolerance=_tolerance(call))
        call.changed.append(cp_object.name)
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
        objects = [cp_object for cp_object in map(call.session.view.get, uids) if cp_object is not None]
        return _page_of(call, [cp_object for cp_object in objects if wanted in ("object", cp_object.kind)])
    if wanted == "object":
        return _page_of(call, call.session.view.listing(None, call.text("filter")))
    kind = next((kind for kind in KINDS if kind == wanted), None)
    return _page_of(call, call.session.view.listing(kind, call.text("filter")) if kind else [])


def _page_of(call: Call, objects: list[ManagementObject]) -> Json:
    level, membership, renderer = call.level, call.flag("show-membership"), call.renderer
    return page(call, objects, lambda cp_object: renderer.listed(cp_object, level, membership=membership))


def _where_used(call: Call) -> Json:
    cp_object = call.world.editor(call.session).find(call.identifier)
    groups = [brief(group) for group in call.session.view.groups_of(cp_object.uid)]
    rules = call.world.rules.get(cp_object.uid, [])
    shown = [{"rule": {"type": "access-rule", "name": name, "domain": DOMAIN}} for name in rules]
    direct: Json = {"total": len(groups) + len(shown), "objects": groups, "access-control-rules": shown}
    return {"used-directly": direct | {"nat-rules": [], "threat-prevention-rules": []}}


def _equals(call: Call) -> Json:
    """Compares fields and a group's members, but not whose groups it is in (issue 65 of the Ansible collection)."""
    params = call.body["params"]
    kind = next((kind for kind in KINDS if kind == call.text("type")), None)
    if not isinstance(params, dict) or kind is None:
        raise errors.invalid_parameter(name="params" if kind else "type", why="The value is not supported")
    inner = Call(call.world, call.session, params)
    cp_object = call.world.editor(call.session).find(inner.identifier, kind)
    spec = fields.read_spec(
        kind, {name: value for name, value in params.items() if name != "groups"}, name_parameter="-"
    )
    pairs: list[tuple[object, object]] = [
        (spec.ipv4, cp_object.ipv4),
        (spec.ipv6, cp_object.ipv6),
        (spec.comments, cp_object.comments),
        (spec.color, cp_object.color),
        (_uids(call, spec.tags, "tag"), set(cp_object.tags)),
        (_uids(call, spec.members, None), cp_object.members),
    ]
    return {"equals": all(wanted is None or wanted == found for wanted, found in pairs)}


def _uids(call: Call, delta: fields.Delta | None, kind: Kind | None) -> set[str] | None:
    """The uids of a collection as asked for; an unknown name stays a name, which equals nothing (assumed)."""
    if delta is None:
        return None
    found = ((name, call.session.view.find(name, kind)) for name in delta.values)
    return {known.uid if known is not None else name for name, known in found}


def _show_validations(call: Call) -> Json:
    limit = call.whole("limit", LARGEST_PAGE, 1, LARGEST_PAGE)
    found = validation.judge(call.session.view)
    traits = call.world.traits

    def incidents(texts: Sequence[str], *, ours: bool) -> list[Json]:
        return [{"message": text} | ({"current-session": ours} if traits.tells_whose else {}) for text in texts]

    warnings = incidents(found.warnings, ours=True)
    # What was wrong before this session began is shown too, and is no obstacle to this session's publish.
    wrong = incidents(traits.old_errors, ours=False) + incidents(found.errors, ours=True)
    return {
        "warnings-total": len(warnings),
        "errors-total": len(wrong),
        "blocking-errors-total": 0,
        "warnings": warnings[:limit],
        "errors": wrong[:limit],
        "blocking-errors": [],
    }


def _lock(call: Call) -> Json:
    cp_object = call.world.editor(call.session).find(call.identifier)
    call.world.locks.claim(call.session, [cp_object])
    return {"object": call.renderer.single(cp_object, "standard")}


def _unlock(call: Call) -> Json:
    cp_object = call.world.editor(call.session).find(call.identifier)
    if cp_object.uid not in call.session.locks or call.session.overlay.hides(cp_object.uid):
        raise errors.locked(cp_object.name)
    call.world.locks.release(call.session, cp_object.uid)
    return {"object": call.renderer.single(cp_object, "standard")}


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
    """Validate one item of a batch at once, and return what carries it out later."""
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
        spec = fields.read_spec(kind, item, name_parameter="name" if verb == "add" else "new-name")
        if verb == "set":
            return lambda editor: _ignore(editor.alter(editor.find(identifier, kind), spec, tolerance="errors"))
        _need_address(kind, item)
        return lambda editor: _ignore(editor.add(spec, tolerance="errors"))

    return step


def _ignore(_: ManagementObject) -> None:
    """Discard the result: a batch does not report single objects."""


def _need_address(kind: Kind, body: Json) -> None:
    if kind == "host" and not body.keys() & {"ip-address", "ipv4-address", "ipv6-address"}:
        raise errors.missing_parameter(name="ip-address")


def _tolerance(call: Call) -> Tolerance:
    if call.flag("ignore-errors"):
        return "errors"
    return "warnings" if call.flag("ignore-warnings") else "nothing"
