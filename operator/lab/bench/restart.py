"""A restart of a commissioned fleet: how soon the operator decides again, and that it changes nothing outside.

The operator is stopped as a Pod is (SIGTERM) and started again. What shows that it decides are its own numbers on
/metrics, which exist from the moment at which it holds the Lease and its engine runs:

    deciding    it has every record (`microseg_hosts_by_reason` counts them all), and no host waits to be decided
    informed    and it has read all three systems completely since its start

The first needs the API server only, and is compared with the time in which one bare client reads all records in pages
and decodes nothing. The second waits for Azure's rate limit, in which a complete list needs its time. That nothing was
changed is read from the simulated systems' ledger, not from the operator. Called by `lab.bench.run`.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from lab.estate import NAME
from lab.raw_api import RawApi
from lab.rig import Rig
from simulators.ledger import Entry

_PAGE = 500
_LOOK = 0.1
_MINIMUM_PATIENCE, _PATIENCE_PER_HOST = 120.0, 0.1
_SAMPLE = re.compile(r"^(microseg_\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Restart:
    """Seconds are since the start of the new process, which includes the start of Python."""

    deciding: float
    informed: float
    stopped: float
    """Seconds that the old process took to end."""
    raw_list: float
    """Seconds in which a bare client reads all records."""
    effects: Counter[str]
    """Changes outside, by "system operation", until it was informed."""
    calls: Counter[str]
    """All requests of that time, by system."""

    @property
    def ratio(self) -> float:
        """Time until deciding, in times of a raw list."""
        return self.deciding / self.raw_list


def restart(rig: Rig, hosts: int) -> Restart:
    """Stop and start the operator. Raises NotInTime if it does not come back."""
    raw_list = min(_list_raw(rig) for _ in range(3))
    before = max((entry.seq for entry in rig.worlds.ledger()), default=0)
    began = time.monotonic()
    rig.operator.stop()
    stopped, started_at = time.monotonic() - began, time.time()
    began = time.monotonic()
    rig.operator.start(wait=False)
    patience = _MINIMUM_PATIENCE + hosts * _PATIENCE_PER_HOST
    deciding = _wait(rig, lambda text: is_deciding(text, hosts), began, patience, "deciding")
    informed = _wait(
        rig, lambda text: is_deciding(text, hosts) and is_informed(text, started_at), began, patience, "informed"
    )
    entries = [entry for entry in rig.worlds.ledger(since=before) if not entry.operation.startswith("world.")]
    return Restart(deciding, informed, stopped, raw_list, effects(entries), Counter(each.system for each in entries))


def effects(entries: list[Entry]) -> Counter[str]:
    """Return the requests that changed something: "system operation" -> number."""
    return Counter(f"{entry.system} {entry.operation}" for entry in entries if entry.changed)


def is_deciding(metrics: str, hosts: int) -> bool:
    """Return whether, by its metrics, every record is there and none waits to be decided."""
    samples = [(name, labels, float(value)) for name, labels, value in _SAMPLE.findall(metrics)]
    known = sum(value for name, _, value in samples if name == "microseg_hosts_by_reason")
    waiting = [value for name, labels, value in samples if name == "microseg_queue_length" and '"decide"' in labels]
    return known >= hosts and waiting == [0.0]


def is_informed(metrics: str, since: float) -> bool:
    """Return whether, by its metrics, all three systems were read completely since then (epoch seconds)."""
    samples = _SAMPLE.findall(metrics)
    read = [float(value) for name, _, value in samples if name == "microseg_last_reading_timestamp_seconds"]
    return len(read) == 3 and min(read) >= since


def _wait(rig: Rig, met: Callable[[str], bool], began: float, patience: float, what: str) -> float:
    rig.wait_until(lambda: met(rig.operator.metrics()), seconds=patience, what=f"operator {what}", pause=_LOOK)
    return time.monotonic() - began


class _Meta(msgspec.Struct):
    token: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct):
    metadata: _Meta


def _list_raw(rig: Rig) -> float:
    """Return the seconds in which all records of the estate come, page after page; only the page's token is read."""
    path = f"/apis/microseg.dev/v1alpha1/namespaces/{rig.namespace}/managedhosts"
    query = f"?limit={_PAGE}&labelSelector={quote(f'microseg.dev/estate={NAME}', safe='')}"
    began = time.monotonic()
    with RawApi(rig.operator_kubeconfig) as api:
        token = ""
        while True:
            answer = api.request("GET", path + query + (f"&continue={token}" if token else ""))
            token = msgspec.json.decode(answer, type=_Page).metadata.token
            if not token:
                return time.monotonic() - began
