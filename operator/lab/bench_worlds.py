"""`python -m lab.bench_worlds`: requests per second of each simulator, and the memory of a large fleet.

The operator's speed is measured against the simulators, so they must not be the bottleneck. They run as for the
operator: one process, TLS, every request in the ledger. The client is another process on the same cores that does
almost nothing (`lab.load`).
Run by `make bench-worlds`; the figures of a run are in docs/worlds.md.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import os
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lab.load import Figure, Line, Request, Server, look_until, measure
from lab.worlds import Worlds

_SCALE = 100_000.0
"""Vendors' latencies are divided by this: what remains is the simulators' own work."""

_COMPUTE = "api-version=2024-07-01"
_BATCH = 500
Json = dict[str, Any]


async def azure(worlds: Worlds, tls: ssl.SSLContext, seconds: float) -> list[Figure]:
    """Sign in, read all pages once, then measure."""
    described = worlds.described["azure"]
    server = Server(described["url"], tls, worlds.process.pid)
    form = {
        "grant_type": "client_credentials",
        "client_id": described["clientId"],
        "client_secret": _read(described["clientSecretFile"]),
        "scope": "https://management.azure.com/.default",
    }
    line = Line(server)
    token = await line.ask(server.request("POST", f"/{described['tenant']}/oauth2/v2.0/token", urlencode(form)))
    await line.close()
    server.headers["Authorization"] = f"Bearer {token['access_token']}"
    lists = {
        "a page of a list of VMs": "Microsoft.Compute/virtualMachines?" + _COMPUTE,
        "a page of a list of power states": f"Microsoft.Compute/virtualMachines?{_COMPUTE}&statusOnly=true",
        "a page of a list of NICs": "Microsoft.Network/networkInterfaces?" + _COMPUTE,
    }
    vms = [vm["id"] for vm in worlds.get("/azure/vms")["vms"] if vm["power"] == "running"]
    figures = []
    for name, query in lists.items():
        links = [f"/subscriptions/{each}/providers/{query}" for each in described["subscriptions"]]
        pages = [server.request("GET", path, rows=rows) async for path, rows in _pages(server, links)]
        figures.append(await measure(server, "Azure", name, itertools.cycle(pages), seconds))
    singles = (server.request("GET", f"{vm}?{_COMPUTE}&$expand=instanceView") for vm in itertools.cycle(vms))
    figures.append(await measure(server, "Azure", "a VM with its instance view", singles, seconds))
    puts = (_command(server, vm) for vm in itertools.cycle(vms))
    figures.append(await measure(server, "Azure", "a run-command, from PUT to end", puts, seconds))
    return figures


async def _pages(server: Server, links: list[str]) -> AsyncIterator[tuple[str, int]]:
    """Return path and size of every page of these lists."""
    line = Line(server)
    for first in links:
        link = first
        while link:
            page = await line.ask(server.request("GET", link))
            yield link, len(page["value"])
            link = page.get("nextLink", "").removeprefix(server.url)
    await line.close()


def _command(server: Server, vm: str) -> Request:
    parameters = [{"name": "MICROSEG_MODE", "value": "probe"}]
    body = {"location": "westeurope", "properties": {"source": {"script": "exit"}, "parameters": parameters}}
    return server.request("PUT", f"{vm}/runCommands/bench?{_COMPUTE}", body)


async def illumio(worlds: Worlds, tls: ssl.SSLContext, count: int, seconds: float) -> list[Figure]:
    """Add as many workloads as there are VMs, then measure."""
    described = worlds.described["illumio"]
    for start in range(0, count, _BATCH):
        machines = [{"hostname": f"vm{number}"} for number in range(start, min(start + _BATCH, count))]
        hrefs = [each["href"] for each in worlds.post("/illumio/preloaded", machines)["workloads"]]
    key = f"{described['apiUser']}:{_read(described['keyFile'])}"
    server = Server(
        described["url"], tls, worlds.process.pid, {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}
    )
    base = f"/api/v2/orgs/{described['orgId']}"
    figures = []

    async def one(name: str, make: Callable[[int], Request]) -> None:
        figures.append(await measure(server, "Illumio PCE", name, map(make, itertools.count()), seconds))

    await one("a workload", lambda number: server.request("GET", f"/api/v2{hrefs[number % len(hrefs)]}"))
    await one("a list of 500 workloads", lambda _: server.request("GET", f"{base}/workloads?managed=true", rows=500))
    await one(
        "a workload changed", lambda n: server.request("PUT", f"/api/v2{hrefs[n % len(hrefs)]}", {"name": str(n)})
    )
    figures.append(await _job(server, base, count))
    return figures


def _rename(server: Server, href: str, number: int) -> Request:
    return server.request("PUT", f"/api/v2{href}", {"name": str(number)})


async def _job(server: Server, base: str, count: int) -> Figure:
    """Read all workloads by an asynchronous list, and measure until the last byte."""
    wishing = Server(server.url, server.tls, server.pid, server.headers | {"Prefer": "respond-async"})
    line, started, worked = Line(server), time.perf_counter(), server.worked()
    head, _ = await line.send(wishing.request("GET", f"{base}/workloads?managed=true"))
    job = head.split(b"location:", 1)[1].split(b"\r\n", 1)[0].strip().decode()
    question = server.request("GET", f"/api/v2{job}")
    found = await look_until(lambda: line.ask(question), lambda seen: seen["status"] == "done")
    await line.send(server.request("GET", f"/api/v2{found['result']['href']}"))
    took = time.perf_counter() - started
    await line.close()
    return Figure("Illumio PCE", "all workloads by a job", 1, count, took, server.worked() - worked)


async def checkpoint(worlds: Worlds, tls: ssl.SSLContext, count: int, seconds: float) -> list[Figure]:
    """Add and publish as many hosts as there are VMs, then measure."""
    described = worlds.described["checkpoint"]
    server = Server(described["url"], tls, worlds.process.pid)
    line = Line(server)
    key = _read(described["apiKeyFile"])
    login = await line.ask(server.request("POST", "/web_api/login", {"api-key": key}))
    server.headers["X-chkp-sid"] = login["sid"]

    async def task(command: str, body: Json) -> None:
        begun = await line.ask(server.request("POST", f"/web_api/{command}", body))
        question = server.request("POST", "/web_api/show-task", {"task-id": begun["task-id"]})
        await look_until(lambda: line.ask(question), lambda seen: seen["tasks"][0]["status"] != "in progress")

    for start in range(0, count, _BATCH):
        batch = [_host(number) for number in range(start, min(start + _BATCH, count))]
        await task("add-objects-batch", {"objects": [{"type": "host", "list": batch}]})
    started, worked = time.perf_counter(), server.worked()
    await task("publish", {})
    took = time.perf_counter() - started
    figures = [Figure("Check Point", "a publish of all hosts", 1, count, took, server.worked() - worked)]

    async def one(name: str, command: str, make: Callable[[int], Json], rows: int = 1) -> None:
        requests = (server.request("POST", f"/web_api/{command}", make(n), rows=rows) for n in itertools.count())
        figures.append(await measure(server, "Check Point", name, requests, seconds))

    full = {"limit": _BATCH, "details-level": "full", "show-membership": True}
    await one("a host", "show-host", lambda number: {"name": _host(number % count)["name"]})
    await one("500 hosts in full", "show-hosts", lambda n: full | {"offset": n * _BATCH % count}, _BATCH)
    await one("a host changed", "set-host", lambda n: {"name": _host(n % count)["name"], "comments": str(n)})
    await line.ask(server.request("POST", "/web_api/discard", {}))
    await line.close()
    return figures


def _host(number: int) -> Json:
    return {"name": f"vm{number}", "ip-address": f"10.{number // 65536 + 1}.{number // 256 % 256}.{number % 256}"}


def _read(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")


def _memory(pid: int) -> tuple[float, float]:
    """Return resident megabytes of a process: now, and the peak."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(status["VmRSS"].split()[0]) / 1024, int(status["VmHWM"].split()[0]) / 1024


def main() -> None:
    """Start the simulators, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench_worlds", description=__doc__)
    parser.add_argument("--vms", type=int, default=50_000, help="number of VMs, workloads and hosts (default 50000)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds per kind of request (default 3)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-worlds-") as folder:
        started = time.perf_counter()
        worlds = Worlds.start(Path(folder), scale=_SCALE, options=["--vms", str(given.vms), "--guests", "fast"])
        try:
            _run(worlds, given.vms, given.seconds, time.perf_counter() - started)
        finally:
            worlds.stop()


def _run(worlds: Worlds, vms: int, seconds: float, start_seconds: float) -> None:
    tls = ssl.create_default_context(cafile=str(worlds.ca_file))
    pid = worlds.process.pid
    print(f"{vms:,} VMs, {os.cpu_count()} cores shared with the client, started in {start_seconds:.1f} s")
    _print(asyncio.run(azure(worlds, tls, seconds)), pid)
    _print(asyncio.run(illumio(worlds, tls, vms, seconds)), pid)
    _print(asyncio.run(checkpoint(worlds, tls, vms, seconds)), pid)


def _print(figures: list[Figure], pid: int) -> None:
    for figure in figures:
        print(figure.line())
    now, most = _memory(pid)
    print(f"  one process with all simulators: {now:,.0f} MB resident, peak {most:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
