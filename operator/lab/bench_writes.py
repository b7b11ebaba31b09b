"""`python -m lab.bench_writes` (`make bench-writes`): status writes per second, beside the least client's.

`--hosts` (1000) records with the status of a commissioned host stand in a real API server. In turns, in one process:

    the operator's writer   engine/cluster/host_status.py over kube/hosts.py and kube/client.py, as the engine runs it
    the least client        as many connections, patches made before, answers that nobody decodes (lab/raw_api.py)

Each turn writes `_BLOCK` records once, with the same merge patch of a host's life to the same subresource, by
compare-and-swap. Watches are not part of it. Compared are two turns that follow each other, in either order, because
other work of the machine changes; shown is the median of `_PAIRS` ratios. Exit code 1 below `_LEAST`.

By CPU: where the processors have nothing else to do, they are what both wait for. So the CPU time of one write, of this
process and of the API server, is compared as well; that ratio depends little on other work of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from statistics import median

import msgspec

from lab.cluster import ACCOUNT, OWN_NAMESPACE, ROOT, prepare
from lab.controlplane import ControlPlane
from lab.estate import NAME
from lab.memory.cluster import FakeEvents
from lab.memory.estate import estate
from lab.memory.scripted import FakeTerm
from lab.memory.world import Process, World, until, vm
from lab.operator_process import usage
from lab.raw_api import RawApi
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.cluster.host_status import HostStatusWriter
from microseg.engine.ground.clock import SteadyClock
from microseg.engine.ground.runtime import Runtime
from microseg.engine.ground.workers import WorkerPools, Workers
from microseg.engine.state.host_table import HostTable
from microseg.kube.client import connect
from microseg.kube.hosts import Hosts
from microseg.kube.resources import MANAGED_HOSTS
from microseg.kube.serialization import merge_difference, serialize_status
from microseg.model.host import HostStatus, ManagedHost
from microseg.model.names import FIELD_MANAGER
from microseg.planning.decide import Decision, Standing

Cpu = Callable[[], float]
"""CPU seconds of a process so far."""

_CONNECTIONS = 8
"""As many as the operator's writer has writes in flight."""
_PAIRS, _BLOCK = 9, 250
_LEAST = 0.8
_QUERY = f"fieldManager={FIELD_MANAGER}&fieldValidation=Strict"


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: writes per second, and milliseconds of CPU for each, of this process and of the API server."""

    rate: float
    cpu: float
    server: float


def main() -> int:
    """Make the records, write in turns, print; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lab.bench_writes", description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    hosts = parser.parse_args().hosts
    with (
        tempfile.TemporaryDirectory(prefix="microseg-writes-") as folder,
        ControlPlane.start(Path(folder) / "control-plane") as plane,
    ):
        prepare(plane)
        kubeconfig = plane.kubeconfig_for_service_account(OWN_NAMESPACE, ACCOUNT, Path(folder) / "operator.kubeconfig")
        statuses = asyncio.run(two_statuses())
        api = connect(str(kubeconfig))
        store = Hosts(api, OWN_NAMESPACE)
        fill(store, hosts, statuses[0])
        pairs = _measure(store, kubeconfig, statuses, lambda: usage(plane.apiserver.pid).cpu)
        api.close()
    return _report(hosts, pairs)


async def two_statuses() -> tuple[HostStatus, HostStatus]:
    """The last status of a host that the engine commissioned, over systems in memory, and the one before it."""
    world, workers = World(vm(1)), Workers("bench", 4)
    async with Process(world, workers).running():
        await until(lambda: world.all_are("Commissioned"))
    workers.close()
    written = [status for _, status in world.journal.of("hosts.patch_status")]
    return written[-1], written[-2]


def fill(store: Hosts, hosts: int, status: HostStatus) -> None:
    """Create the records; the operator's own names and vmIds."""

    def write(number: int) -> None:
        made = store.create(f"vm-{number:05}", str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number))), NAME)
        store.patch_status(made, status)

    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        list(threads.map(write, range(hosts)))


def _measure(
    store: Hosts, kubeconfig: Path, statuses: tuple[HostStatus, HostStatus], server: Cpu
) -> list[tuple[Turn, Turn]]:
    """Write in turns; return pairs of the operator's and the least client's. The order changes from pair to pair."""
    pairs: list[tuple[Turn, Turn]] = []
    for number in range(_PAIRS):
        records, target = store.list(NAME), statuses[(number + 1) % 2]
        ours, others = records[:_BLOCK], records[-_BLOCK:]
        if number % 2:
            least = write_bare(kubeconfig, others, target, server)
            pairs.append((asyncio.run(write_as_operator(store, ours, target, server)), least))
        else:
            turn = asyncio.run(write_as_operator(store, ours, target, server))
            pairs.append((turn, write_bare(kubeconfig, others, target, server)))
    return pairs


async def write_as_operator(store: Hosts, records: Sequence[ManagedHost], target: HostStatus, server: Cpu) -> Turn:
    """Let the engine's writer write a decision for every record."""
    table, pools = HostTable(), WorkerPools.make()
    runtime = Runtime(FakeTerm(), SteadyClock(), pools.kube)
    writer = HostStatusWriter(store, EventRecorder(FakeEvents(), estate, runtime), table, runtime)
    for record in records:
        table.upsert(record)
        decision = Decision(target, {}, (), None, Standing.COMMISSIONED)
        table.decided(record.spec.vm_id, decision)
    with _timed(len(records), server) as turn:
        for record in records:
            writer.offer(record.spec.vm_id)
        writing = asyncio.create_task(writer.run())
        while writer.waiting:  # noqa: ASYNC110 - the writer has no event for its end
            await asyncio.sleep(0.01)
        while any(state.record.status != target for state in table.hosts.values()):  # noqa: ASYNC110 - the last eight
            await asyncio.sleep(0.01)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    pools.close()
    return turn[0]


def write_bare(kubeconfig: Path, records: Sequence[ManagedHost], target: HostStatus, server: Cpu) -> Turn:
    """Send the same patches, made before, over as many connections."""
    orders: SimpleQueue[tuple[str, bytes]] = SimpleQueue()
    for record in records:
        difference = merge_difference(serialize_status(record.status), serialize_status(target))
        body = {"metadata": {"resourceVersion": record.resource_version}, "status": difference}
        path = MANAGED_HOSTS.one(record.namespace, record.name, "status")
        orders.put((f"{path}?{_QUERY}", msgspec.json.encode(body)))

    def send(connection: RawApi) -> None:
        while True:
            try:
                path, body = orders.get_nowait()
            except Empty:
                return
            connection.request("PATCH", path, body, "application/merge-patch+json")

    connections = [RawApi(kubeconfig) for _ in range(_CONNECTIONS)]
    with ThreadPoolExecutor(_CONNECTIONS) as threads, _timed(len(records), server) as turn:
        list(threads.map(send, connections))
    for connection in connections:
        connection.__exit__(None, None, None)
    return turn[0]


@contextmanager
def _timed(writes: int, server: Cpu) -> Iterator[list[Turn]]:
    """Time the block; the list has the turn when it is over. `server`: the API server's CPU seconds so far."""
    turn: list[Turn] = []
    began, used, served = time.perf_counter(), time.process_time(), server()
    yield turn
    rate = writes / (time.perf_counter() - began)
    turn.append(Turn(rate, 1000 * (time.process_time() - used) / writes, 1000 * (server() - served) / writes))


def _report(hosts: int, pairs: Sequence[tuple[Turn, Turn]]) -> int:
    """Print, write the JSON; return the exit code."""
    ratios = [ours.rate / least.rate for ours, least in pairs]
    ratio, load = median(ratios), os.getloadavg()[0]
    by_cpu = median((least.cpu + least.server) / (ours.cpu + ours.server) for ours, least in pairs)
    for name, turns in zip(("operator's writer", "least client"), zip(*pairs, strict=True), strict=True):
        rates = ", ".join(f"{turn.rate:.0f}" for turn in turns)
        cpu, server = median(turn.cpu for turn in turns), median(turn.server for turn in turns)
        print(f"{name:18} {median(turn.rate for turn in turns):5.0f} writes/s ({rates})")
        print(f"{'':18} CPU ms of each write: {cpu:.2f}, of the API server {server:.2f}")
    print(f"ratios of pairs: {', '.join(f'{each:.2f}' for each in ratios)}; load average {load:.1f}")
    print(f"by CPU: {by_cpu:.2f}")
    print(f"{'PASS' if ratio >= _LEAST else 'FAIL'}  {ratio:.2f} of what the least client writes (at least {_LEAST})")
    document = {
        "hosts": hosts,
        "ratio": ratio,
        "byCpu": by_cpu,
        "load": load,
        "pairs": [{"operator": asdict(ours), "least": asdict(least)} for ours, least in pairs],
    }
    path = ROOT / ".bench" / "writes.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"written: {path}")
    return 0 if ratio >= _LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
