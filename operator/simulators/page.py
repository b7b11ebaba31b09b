"""The page that shows a person the simulated systems: `GET /` on the control port, plain HTML that reloads itself.

It has no script and no external resources: any browser that reaches the port shows it. `GET /overview` is the JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from aiohttp import web

from simulators.overview import MOST_HOSTS, Worlds, overview

_SECONDS = 2
_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fafafa }
h1 { font-size: 1.3em; margin: 0 } h2 { font-size: 1.05em; margin: 1.6em 0 .4em }
section { display: inline-block; vertical-align: top; margin: 0 2.5em 0 0; max-width: 34em }
table { border-collapse: collapse; background: #fff } td, th { text-align: left; vertical-align: top;
padding: .15em .7em; border-bottom: 1px solid #e4e4e4 } th { font-weight: 600; background: #f0f0f0 }
.off { color: #999 } .bad { color: #b00020 } small { color: #777 }
"""
Json = dict[str, Any]


def add_page(router: web.UrlDispatcher, worlds: Worlds) -> None:
    """Add `/` and `/overview` to the control port's router."""

    async def page(_: web.Request) -> web.Response:
        worlds.checkpoint.settle()
        return web.Response(text=render(overview(worlds)), content_type="text/html")

    async def as_json(request: web.Request) -> web.Response:
        worlds.checkpoint.settle()
        return web.json_response(overview(worlds, int(request.query.get("hosts", MOST_HOSTS))))

    router.add_get("/", page)
    router.add_get("/overview", as_json)


def render(view: Json) -> str:
    """Return the page for one overview."""
    azure, illumio, checkpoint = view["azure"], view["illumio"], view["checkpoint"]
    state = f"{view['clock']['scale']:g} times as fast as the vendors, rate limits {'on' if view['limits'] else 'off'}"
    parts = [
        f"<h1>Simulated systems</h1><small>{_now()} UTC, {state}; reloads every {_SECONDS} s</small><br>",
        _section("Azure", {name: azure[name] for name in ("vms", "power", "os", "groups", "run-commands", "traits")}),
        _section("Illumio PCE", illumio),
        _section("Check Point", _checkpoint(checkpoint)),
        _section("Requests", {system: _most(counts) for system, counts in view["requests"].items()}),
        _section("Planned faults", {str(each["id"]): _fault(each) for each in view["faults"]} or {"": "none"}),
        f"<h2>Hosts <small>the first {len(view['hosts'])} of {azure['vms']}</small></h2>",
        _table(
            ("VM", "group", "OS", "power", "addresses", "run-commands", "labels", "object", "firewall groups"),
            (_host(host) for host in view["hosts"]),
        ),
        "<h2>Latest requests and changes</h2>",
        _table(("when", "system", "operation", "who", "status", "ms", "changed", "note"), map(_entry, view["newest"])),
    ]
    head = f'<meta charset="utf-8"><meta http-equiv="refresh" content="{_SECONDS}"><title>simulators</title>'
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{"".join(parts)}</body></html>'
    )


def _checkpoint(view: Json) -> Json:
    sessions = [each for each in view["sessions"] if each["in-work"]]
    return {
        "objects": view["objects"],
        "groups": view["groups"],
        "revision": view["revision"]["number"],
        "sessions": {each["name"]: f"{each['changes']} changes, {each['locks']} locks" for each in sessions},
        "disconnected": len(view["sessions"]) - len(sessions),
        "tasks": view["tasks"],
        "gateways": {
            name: f"revision {each['revision']}{', installing' if each['busy'] else ''}"
            for name, each in view["gateways"].items()
        },
    }


def _host(host: Json) -> Sequence[str]:
    off = ' class="off"' if host["power"] != "running" else ""
    return (
        escape(host["name"]),
        escape(host["group"]),
        host["os"],
        f"<span{off}>{host['power']}</span>",
        escape(" ".join(host["addresses"])),
        _pairs(host["run-commands"]),
        _pairs(host["labels"]) or ("paired" if host["workload"] else ""),
        escape(host["object"]),
        escape(" ".join(host["object-groups"])),
    )


def _entry(entry: Json) -> Sequence[str]:
    bad = ' class="bad"' if entry["status"] >= 400 or (not entry["status"] and entry["seconds"]) else ""
    changed = [str(item) for item in entry["changed"]]
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    return (
        datetime.fromtimestamp(entry["at"], UTC).strftime("%H:%M:%S.%f")[:-3],
        entry["system"],
        escape(entry["operation"]),
        escape(entry["who"]),
        f"<span{bad}>{entry['status'] or ''}</span>",
        f"{1000 * entry['seconds']:.1f}" if entry["seconds"] else "",
        escape(", ".join(changed[:3]) + more),
        escape(entry["note"]),
    )


def _fault(fault: Json) -> str:
    return (
        f"{fault['system']} {fault['operation']}: {fault['action']} {fault['phase']}, {fault['hits']} of {fault['nth']}"
    )


def _most(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the most frequent operations."""
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:12])


def _section(title: str, facts: Mapping[str, Any]) -> str:
    rows = ((escape(name), _value(value)) for name, value in facts.items())
    return f"<section><h2>{escape(title)}</h2>{_table((), rows)}</section>"


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return _pairs(value)
    if isinstance(value, list):
        return escape(", ".join(str(item) for item in value))
    return escape(str(value))


def _pairs(values: Mapping[str, object]) -> str:
    return "<br>".join(f"{escape(str(name))}: {escape(str(value))}" for name, value in values.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "<tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>" if head else ""
    return (
        f"<table>{top}{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%H:%M:%S")
