"""Estates in namespaces of their own, each with its own systems, on one API server; and replicas that serve them all.

Called by `run.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client

from lab import cluster as clusters
from lab.bench import fleet
from lab.controlplane import ControlPlane
from lab.estate import NAME
from lab.forked import fork
from lab.operator_process import Operator, Tempo
from lab.rig import Rig, Say
from lab.worlds import Worlds
from microseg.settings import Settings

TEMPO = Tempo(scale=10.0, poll="6s", installer_expected=12.0, retry_pause=6.0, lease_seconds=Settings().lease_seconds)
_LEASE = f"microseg-{NAME}"
_VMS = 2


class Estates:
    """One rig per estate, by its namespace, of which no operator runs; and the replicas."""

    def __init__(self, rigs: Mapping[str, Rig], replicas: Mapping[str, Operator], api: client.ApiClient) -> None:
        """Nothing of the product runs yet."""
        self.rigs, self.replicas, self._api = rigs, replicas, api

    @classmethod
    @contextmanager
    def build(cls, folder: Path, *, estates: int, replicas: int, say: Say) -> Iterator[Estates]:
        """Start everything but the replicas, and apply the Estates; at the end everything stops."""
        names = [f"estate-{number:02d}" for number in range(1, estates + 1)]
        with ExitStack() as stack:
            plane = stack.enter_context(ControlPlane.start(folder / "control-plane"))
            api = plane.api_client()
            stack.callback(api.close)
            rigs = {}
            for name in names:
                clusters.prepare(plane, name, account_in=names[0])
                worlds = Worlds.start(folder / name / "worlds", scale=TEMPO.scale, begin=fork)
                stack.callback(worlds.stop)
                worlds.make_pairing_profiles()
                worlds.grant_the_documented_role()
                rig = rigs[name] = Rig(folder / name, plane, worlds, api, name, TEMPO)
                worlds.post("/azure/vms", fleet.orders(_VMS, worlds.described["azure"]["subscriptions"]))
                rig.apply_estate()
                say(f"{name} is there")
            made = {f"replica-{number}": _replica(f"replica-{number}", rigs) for number in range(1, replicas + 1)}
            for replica in made.values():
                stack.callback(replica.stop)
            yield cls(rigs, made, api)

    def holders(self) -> dict[str, str]:
        """Return estate -> the replica that holds its Lease; those that nobody holds are missing."""
        leases: Any = client.CoordinationV1Api(self._api).list_lease_for_all_namespaces()
        found = {each.metadata.namespace: each.spec for each in leases.items if each.metadata.name == _LEASE}
        held = {name: str(spec.holder_identity or "").partition("_")[0] for name, spec in found.items()}
        return {name: holder for name, holder in held.items() if holder}

    def shares(self) -> dict[str, int]:
        """Return running replica -> how many estates it holds."""
        counted = Counter(self.holders().values())
        return {name: counted[name] for name, replica in self.replicas.items() if replica.running}

    def all_commissioned(self) -> bool:
        """Whether every VM of every estate is commissioned."""
        return all(_commissioned(rig) for rig in self.rigs.values())

    def first_call(self, name: str, since: float) -> float | None:
        """Return the time at which an estate's systems were called first after `since`, or None."""
        entries = self.rigs[name].worlds.ledger()
        calls = [each.at for each in entries if each.at > since and not each.operation.startswith("world.")]
        return min(calls, default=None)


def _replica(name: str, rigs: Mapping[str, Rig]) -> Operator:
    """Make one that serves all estates, with the account of the first one's namespace."""
    first, *others = rigs
    clouds = ",".join(rig.settings()["MICROSEG_AZURE_CLOUDS"] for rig in rigs.values())
    settings = rigs[first].settings() | {"MICROSEG_AZURE_CLOUDS": clouds}
    folder = rigs[first].folder
    return Operator(folder, rigs[first].operator_kubeconfig, first, settings, name=name, also=others)


def _commissioned(rig: Rig) -> bool:
    vms = {each["vmId"] for each in rig.worlds.get("/azure/vms")["vms"]}
    return vms == {host.vm_id for host in rig.hosts() if host.commissioned}
