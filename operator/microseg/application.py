"""The composition root of the process: the cluster, the registry of Estates, and how an engine comes to its ports."""

from __future__ import annotations

import tempfile
from pathlib import Path

from microseg import __version__
from microseg.build_gateways import EstateGateways, build_gateways
from microseg.engine.build import ClusterStores, EnginePorts, Outside, build_engine
from microseg.engine.ground.clock import SteadyClock
from microseg.engine.ground.workers import WorkerPools, lease_workers, process_workers
from microseg.engine.lanes.budgets import Budgets, illumio_budget, resource_manager_budget
from microseg.engine.leadership.credentials import read_credentials
from microseg.engine.leadership.elector import Elector, LeasePace, LeaseTerm
from microseg.engine.leadership.estate_runner import (
    EstateRunner,
    RunnerPauses,
    RunnerPorts,
    RunningReconciler,
)
from microseg.engine.leadership.fair_share import FairShare
from microseg.engine.leadership.registry import EstateRegistry
from microseg.engine.leadership.spec_faults import spec_fault
from microseg.engine.leadership.spec_limits import SpecLimits
from microseg.engine.leadership.unusable import EstateUnusable
from microseg.gateways.checkpoint.refused_logins import RefusedLogins
from microseg.kube import schema
from microseg.kube.approvals import Approvals
from microseg.kube.client import Api, connect
from microseg.kube.errors import KubeError
from microseg.kube.estates import Estates
from microseg.kube.events import Events
from microseg.kube.hosts import Hosts
from microseg.kube.leases import Leases
from microseg.kube.listing import Lists
from microseg.kube.reflector import HostReflector
from microseg.kube.resources import APPROVALS, CUSTOM_RESOURCE_DEFINITIONS, ESTATES, MANAGED_HOSTS
from microseg.kube.revisions import Revisions
from microseg.kube.tombstones import Tombstones
from microseg.metrics import Metrics
from microseg.model import names
from microseg.model.condition import Reason
from microseg.model.estate import Estate
from microseg.settings import Settings

now = SteadyClock()
"""One for the process: steps of the machine's clock concern all estates alike."""


class Application:
    """Everything of one process."""

    def __init__(self, settings: Settings) -> None:
        """Connect to the cluster. Raises KubeError where no cluster can be found."""
        self.settings = settings
        self._api = connect(settings.kubeconfig)
        self.kube_workers, self._lease_workers = process_workers(), lease_workers()
        self.lists = Lists(self._api)
        self._logins, self._share = RefusedLogins(), FairShare(settings.identity)
        self.registry = EstateRegistry(self._runner)
        self.metrics = Metrics(__version__, self.registry.numbers)

    def _runner(self, estate: Estate) -> EstateRunner:
        """A runner for one Estate."""
        lease = self.settings.lease_seconds
        elector = Elector(
            Leases(self._api, timeout=lease / 5),
            self._lease_workers,
            namespace=estate.namespace,
            name=f"microseg-{estate.name}",
            identity=self.settings.identity,
            pace=LeasePace(duration=lease, renew=lease / 4, retry=lease / 8, margin=lease / 5),
            share=self._share,
        )
        ports = RunnerPorts(
            estates=Estates(self._api),
            events=Events(self._api, self.settings.identity),
            records=Hosts(self._api, estate.namespace),
            workers=self.kube_workers,
            build=self._build,
            credentials=self._credentials_digest,
            clock=now,
            metrics=self.metrics.of(*estate.key),
        )
        return EstateRunner(estate, elector, ports, RunnerPauses())

    async def _credentials_digest(self, estate: Estate) -> str:
        return (await self.kube_workers.call(read_credentials, self._api, estate)).digest

    async def _build(self, estate: Estate, term: LeaseTerm) -> RunningReconciler:
        """An engine for one Estate.

        Raises EstateUnusable where its Secrets, bundles or the CRDs do not fit; KubeError.
        """
        await self.kube_workers.call(_check_schema, self._api)
        several = len(self.settings.namespaces) > 1
        limits = SpecLimits(self.settings.azure_clouds, self.settings.azure_clients, several)
        if fault := spec_fault(estate.spec, self.settings.shortest_poll) or limits.refusal(estate):
            raise EstateUnusable(Reason.SPEC_INVALID, fault)
        credentials = await self.kube_workers.call(read_credentials, self._api, estate)
        folder = tempfile.TemporaryDirectory(prefix="microseg-")
        try:
            gateways = build_gateways(
                estate, credentials, Path(folder.name), self.metrics.of(*estate.key).request, self._logins
            )
        except EstateUnusable:
            folder.cleanup()
            raise
        except (ValueError, OSError) as error:
            folder.cleanup()
            raise EstateUnusable(Reason.SPEC_INVALID, f"The Estate cannot be used: {error}.") from None
        workers = WorkerPools.make()

        def close() -> None:
            workers.close()
            folder.cleanup()

        reconciler = build_engine(estate, self._ports(estate, term, gateways, workers), self.settings.engine)
        return RunningReconciler(reconciler, close, credentials.digest, estate.generation)

    def _ports(self, estate: Estate, term: LeaseTerm, gateways: EstateGateways, workers: WorkerPools) -> EnginePorts:
        """The real systems and the real cluster."""
        api, namespace = self._api, estate.namespace
        subscriptions = [one for source in estate.spec.azure.sources for one in source.subscriptions]
        outside = Outside(
            azure=gateways.azure,
            illumio=gateways.illumio,
            check_point=gateways.check_point,
            resource_manager=Budgets(resource_manager_budget, subscriptions),
            illumio_budget=illumio_budget(),
        )
        cluster = ClusterStores(
            estates=Estates(api),
            hosts=Hosts(api, namespace),
            records=HostReflector(api, namespace, estate.name),
            events=Events(api, self.settings.identity),
            revisions=Revisions(api, namespace),
            tombstones=Tombstones(api, namespace, estate.name),
            approvals=Approvals(api, namespace, estate.name),
            mappings=lambda: self.registry.mappings(namespace),
        )
        return EnginePorts(outside, cluster, workers, term, now, self.metrics.of(*estate.key))


def _check_schema(api: Api) -> None:
    """Refuse to act where the live CRDs lack a field: it would be pruned, and with it the attempt counter."""
    for resource in (MANAGED_HOSTS, ESTATES, APPROVALS):
        name = f"{resource.plural}.{names.GROUP}"
        try:
            live = api.get(CUSTOM_RESOURCE_DEFINITIONS.one(None, name), dict)
        except KubeError as error:
            raise EstateUnusable(Reason.MISSING_SCHEMA, f"The CRD {name} cannot be read: {error}") from None
        missing = schema.missing_fields(live)
        if missing:
            raise EstateUnusable(
                Reason.MISSING_SCHEMA,
                f"The CRD {name} in the cluster lacks {', '.join(missing[:3])}: apply the CRDs of this version first.",
            )
