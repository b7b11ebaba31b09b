"""The control port's routes for Check Point: actions of administrators, and the ends of the next tasks.

Routes (JSON; errors are sentences): `GET /checkpoint/summary`, `GET /checkpoint/objects?type=`,
`POST /checkpoint/lock|edit|install|groups|gateway|admin|revert|rule|session|task|traits|durations`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import get_args

from aiohttp import web

from simulators.checkpoint import rendering
from simulators.checkpoint.edits import Editor
from simulators.checkpoint.errors import ApiError
from simulators.checkpoint.fields import Delta, ObjectSpec, read_spec
from simulators.checkpoint.gateways import Installation, Package
from simulators.checkpoint.session import Admin, Session
from simulators.checkpoint.tasks import Outcome, TaskKind
from simulators.checkpoint.world import World
from simulators.control import read_object

Order = dict[str, object]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_control(router: web.UrlDispatcher, world: World) -> None:
    """Add the routes to the control port."""
    router.add_get("/checkpoint/summary", _get(world, lambda _: summary(world)))
    router.add_get("/checkpoint/objects", _get(world, lambda request: _objects(world, request.query.get("type"))))
    for name, act in _ACTS.items():
        router.add_post(f"/checkpoint/{name}", _post(world, act))


def summary(world: World) -> Order:
    """Return what the server has now, for people and for tests."""
    published = world.published
    tasks = Counter(f"{task.kind} {task.status}" for task in world.tasks.visible())
    latest = published.revisions[-1]
    return {
        "objects": dict(Counter(cp_object.kind for cp_object in published.objects.values())),
        "groups": {group.name: len(group.members) for group in published.listing("group")},
        "revision": {"number": latest.number, "uid": latest.uid, "at": latest.at, "user": latest.user},
        "revisions": len(published.revisions),
        "sessions": [rendering.session(session) for session in world.sessions.listed()],
        "tasks": dict(tasks),
        "gateways": {
            name: {
                "busy": bool(gateway.busy),
                "revision": gateway.installed.revision.number if gateway.installed else None,
                "package": gateway.installed.package if gateway.installed else None,
                "at": gateway.installed.at if gateway.installed else None,
            }
            for name, gateway in world.firewalls.gateways.items()
        },
        "traits": asdict(world.traits),
    }


def _objects(world: World, kind: str | None) -> Order:
    """Return published objects with the names of their groups."""
    published = world.published
    found = [cp_object for cp_object in published.listing(None) if kind in (None, cp_object.kind)]
    name_of = {uid: cp_object.name for uid, cp_object in published.objects.items()}
    return {
        "objects": [
            rendering.brief(cp_object)
            | {
                "comments": cp_object.comments,
                "tags": [name_of[uid] for uid in cp_object.tags if uid in name_of],
                "groups": sorted(name_of[uid] for uid in published.groups_of(cp_object.uid)),
                "creator": cp_object.creator,
                "modifier": cp_object.modifier,
            }
            for cp_object in found
        ]
    }


def _lock(world: World, order: Order) -> Order:
    """{group, admin?, seconds | release: true}: an administrator's console locks the group, or releases it."""
    admin, group = _text(order, "admin", "alice"), _text(order, "group")
    if order.get("release"):
        for session in [item for item in world.sessions.listed() if _holds(world, item, admin, group)]:
            world.close_console(session)
        return {}
    session = world.hold(admin, group, _number(order, "seconds", 60.0))
    return {"session": session.uid, "admin": admin}


def _holds(world: World, session: Session, admin: str, group: str) -> bool:
    cp_object = world.published.named(group.casefold())
    return session.admin.name == admin and cp_object is not None and cp_object.uid in session.locks


def edit(world: World, order: Order) -> Order:
    """{do: add-member|remove-member|rename-host|delete-host|set-host|add-host|clone-host, host, …}: by hand."""
    do, host = _text(order, "do"), _text(order, "host")
    changes: dict[str, Callable[[Editor], object]] = {
        "add-member": lambda editor: _member(editor, order, "add"),
        "remove-member": lambda editor: _member(editor, order, "remove"),
        "rename-host": lambda editor: editor.alter(editor.find(host, "host"), ObjectSpec("host", _text(order, "name"))),
        "delete-host": lambda editor: editor.delete(editor.find(host, "host"), tolerance="warnings"),
        "set-host": lambda editor: editor.alter(editor.find(host, "host"), _fields(order), tolerance="warnings"),
        "add-host": lambda editor: editor.add(_fields(order | {"name": host}), tolerance="warnings"),
        "clone-host": lambda editor: _clone(editor, order),
    }
    if do not in changes:
        message = f"'do' must be one of {', '.join(changes)}"
        raise ValueError(message)

    def change(editor: Editor) -> None:
        changes[do](editor)

    revision = world.edit(_text(order, "admin", "alice"), change)
    return {"revision": revision.uid}


def _member(editor: Editor, order: Order, mode: str) -> None:
    delta = Delta("add" if mode == "add" else "remove", (_text(order, "host"),))
    editor.alter(editor.find(_text(order, "group"), "group"), ObjectSpec("group", members=delta))


def _clone(editor: Editor, order: Order) -> None:
    """As an administrator's console does it: the comments, the tags and the groups are kept."""
    item = editor.find(_text(order, "host"), "host")
    tags, groups = Delta("add", tuple(item.tags)), editor.session.view.groups_of(item.uid)
    made = replace(_fields({"ip-address": item.ipv4} | order), comments=item.comments, tags=tags)
    editor.add(replace(made, groups=Delta("add", tuple(group.uid for group in groups))), tolerance="warnings")


def _fields(order: Order) -> ObjectSpec:
    return read_spec(
        "host", {name: value for name, value in order.items() if name not in ("do", "admin")}, name_parameter="name"
    )


def _install(world: World, order: Order) -> Order:
    """{gateway?, package?, make?, admin?}: somebody installs the newest revision; `make`: from a new package."""
    firewalls = world.firewalls
    if order.get("make"):
        name = _text(order, "package")
        firewalls.packages.setdefault(name, Package(name, tuple(firewalls.gateways)))
    package = firewalls.package(_text(order, "package", next(iter(firewalls.packages))))
    named = (_text(order, "gateway"),) if "gateway" in order else None
    session = world.console(_text(order, "admin", "alice"))
    try:
        installation = Installation(package, firewalls.targets(package, named), world.published.revisions[-1])
        return {"task": world.install(session, installation).uid}
    finally:
        world.close_console(session)


def _groups(world: World, order: Order) -> Order:
    """{names: […]}: create and publish groups."""
    names = order.get("names")
    if not isinstance(names, list):
        message = "'names' must be a list"
        raise ValueError(message)  # noqa: TRY004 (the control port answers ValueError as a bad order)
    world.make_groups([str(name) for name in names], _text(order, "admin", "admin"))
    return {"groups": [group.name for group in world.published.listing("group")]}


def _gateway(world: World, order: Order) -> Order:
    """{name, fail_next_install?: n, ignore_installs?: bool, group?}."""
    gateway = world.firewalls.gateway(_text(order, "name"))
    gateway.failing = int(_number(order, "fail_next_install", gateway.failing))
    gateway.ignoring = bool(order.get("ignore_installs", gateway.ignoring))
    if "group" in order:
        gateway.groups = (*gateway.groups, _text(order, "group"))
    return {"failing": gateway.failing, "ignoring": gateway.ignoring, "groups": list(gateway.groups)}


def _admin(world: World, order: Order) -> Order:
    """{name, api_key?, password?, read_only?, manages_sessions?, lacks?: [permission]}: add or change one."""
    name = _text(order, "name")
    old = world.admins.get(name, Admin(name))
    lacks = order.get("lacks", [*old.lacks])
    if not isinstance(lacks, list):
        message = "'lacks' must be a list of permissions"
        raise ValueError(message)  # noqa: TRY004 (the control port answers ValueError as a bad order)
    world.add_admin(
        Admin(
            name,
            _text(order, "api_key", old.api_key),
            _text(order, "password", old.password),
            read_only=bool(order.get("read_only", old.read_only)),
            manages_sessions=bool(order.get("manages_sessions", old.manages_sessions)),
            lacks=frozenset(map(str, lacks)),
        )
    )
    return {"admins": sorted(world.admins)}


def _rule(world: World, order: Order) -> Order:
    """{object, name}: an access rule uses the object, which cannot be deleted any more."""
    cp_object = world.published.named(_text(order, "object").casefold())
    if cp_object is None:
        raise LookupError(_text(order, "object"))
    world.rules.setdefault(cp_object.uid, []).append(_text(order, "name"))
    note = _text(order, "name")
    world.environment.ledger.append("checkpoint", "world.rule-added", changed=(cp_object.name,), note=note)
    return {"rules": world.rules[cp_object.uid]}


def _revert(world: World, order: Order) -> Order:
    """{revisions: n}: the database is restored to n revisions ago; the newer ones are lost."""
    latest = world.revert(int(_number(order, "revisions", 1)))
    return {"revision": latest.uid, "number": latest.number}


def _session(world: World, order: Order) -> Order:
    """{uid | name, expire: true}: the session expires as if it had been idle."""
    wanted = (order.get("uid"), order.get("name"))
    found = [item for item in world.sessions.listed() if item.uid == wanted[0] or item.name == wanted[1]]
    if not found:
        raise LookupError(wanted[0] or wanted[1])
    for session in found:
        world.expire(session)
    return {"expired": [session.uid for session in found]}


def _task(world: World, order: Order) -> Order:
    """{kind: publish|batch|install, outcome: failed|stuck|lost|half, count?}: how the next tasks end."""
    kind = next((kind for kind in get_args(TaskKind) if kind == order.get("kind")), None)
    outcome = next((outcome for outcome in get_args(Outcome) if outcome == order.get("outcome")), None)
    if kind is None or outcome is None:
        message = "'kind' is publish, batch or install, and 'outcome' is failed, stuck, lost or half"
        raise ValueError(message)
    world.tasks.order(kind, outcome, int(_number(order, "count", 1)))
    return {}


def _switch(of: Callable[[World], object]) -> Callable[[World, Order], Order]:
    def act(world: World, order: Order) -> Order:
        target = of(world)
        for name, value in order.items():
            old = getattr(target, name, None)
            if old is None or not isinstance(value, int | float if isinstance(old, float) else type(old)):
                message = f"{name!r} is not known here, or not of that type"
                raise ValueError(message)
            setattr(target, name, value)
        world.environment.ledger.append("checkpoint", "world.switched", changed=tuple(sorted(order)))
        return {name: getattr(target, name) for name in order}

    return act


_ACTS: dict[str, Callable[[World, Order], Order]] = {
    "lock": _lock,
    "edit": edit,
    "install": _install,
    "groups": _groups,
    "gateway": _gateway,
    "admin": _admin,
    "revert": _revert,
    "rule": _rule,
    "session": _session,
    "task": _task,
    "traits": _switch(lambda world: world.traits),
    "durations": _switch(lambda world: world.durations),
}


def _get(world: World, show: Callable[[web.Request], Order]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        world.settle()
        return web.json_response(show(request))

    return handler


def _post(world: World, act: Callable[[World, Order], Order]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        world.settle()
        try:
            return web.json_response(act(world, await read_object(request)))
        except ApiError as refusal:
            return web.json_response({"error": refusal.message, "code": refusal.code}, status=refusal.status)

    return handler


def _text(order: Order, name: str, default: str | None = None) -> str:
    value = order.get(name, default)
    if not isinstance(value, str):
        message = f"'{name}' must be a text"
        raise ValueError(message)  # noqa: TRY004 (the control port answers ValueError as a bad order)
    return value


def _number(order: Order, name: str, default: float) -> float:
    value = order.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        message = f"'{name}' must be a number"
        raise ValueError(message)  # noqa: TRY004 (the control port answers ValueError as a bad order)
    return float(value)
