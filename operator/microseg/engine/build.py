"""Builds one engine: all parts once, whole, from its ports and settings. The application and the tests call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from microseg.engine.cluster.approval_book import ApprovalBook, ApprovalStore
from microseg.engine.cluster.estate_status import EstateStatusWriter
from microseg.engine.cluster.event_recorder import EventRecorder
from microseg.engine.cluster.host_feed import HostFeed, RecordSource
from microseg.engine.cluster.host_status import HostStatusWriter
from microseg.engine.estate_context import profile
from microseg.engine.estate_report import EstateReporter
from microseg.engine.ground.engine_settings import EngineSettings
from microseg.engine.ground.ports import Clock, EstateStore, EventSink, HostStore, Term
from microseg.engine.ground.runtime import Runtime
from microseg.engine.ground.workers import WorkerPools
from microseg.engine.lanes import Lanes
from microseg.engine.lanes.azure import AzureLane
from microseg.engine.lanes.azure_attempts import ScriptAttempts
from microseg.engine.lanes.azure_changes import AzureChanges
from microseg.engine.lanes.azure_poll import AzurePolls
from microseg.engine.lanes.azure_scripts import PairingInputs, ScriptBuilder
from microseg.engine.lanes.azure_sources import AzureSources
from microseg.engine.lanes.budgets import Budgets, PacedWorkers, ResourceManagerCalls
from microseg.engine.lanes.checkpoint import CheckPointLane, Marks
from microseg.engine.lanes.checkpoint_flush import CheckPointFlush
from microseg.engine.lanes.checkpoint_installs import PolicyInstalls
from microseg.engine.lanes.illumio import IllumioLane
from microseg.engine.lanes.schedule import PollSchedule
from microseg.engine.mapping.controller import MappingController, MappingSource
from microseg.engine.mapping.revisions import MappingRevisions, RevisionStore
from microseg.engine.mapping.rollout import MappingRollout
from microseg.engine.reconciler import EngineParts, EstateReconciler
from microseg.engine.retirement import RetirementController, TombstoneStore
from microseg.engine.state.host_table import HostTable
from microseg.gateways.http.rate_limiter import RateLimiter
from microseg.gateways.ports import AzureGateway, CheckPointGateway, IllumioGateway
from microseg.kube.secrets import ConfigMapData
from microseg.metrics import EstateMetrics
from microseg.model.estate import Estate
from microseg.model.fields import seconds
from microseg.model.names import mark
from microseg.planning.fitness import allowed_in

_PATH_VERSION = "18"
"""Of the pairing script's URL: what the vendor's own collection uses (illumio/illumio.core, roles/ven)."""


@dataclass(frozen=True, slots=True)
class Outside:
    """The three systems of one estate, and how much may be asked of them."""

    azure: Mapping[str, AzureGateway]
    """By the source's name."""
    illumio: IllumioGateway
    check_point: CheckPointGateway
    resource_manager: Budgets
    illumio_budget: RateLimiter


@dataclass(frozen=True, slots=True)
class ClusterStores:
    """What an engine reads and writes in the cluster."""

    estates: EstateStore
    hosts: HostStore
    records: RecordSource
    events: EventSink
    revisions: RevisionStore
    tombstones: TombstoneStore
    approvals: ApprovalStore
    mappings: Callable[[], Sequence[ConfigMapData]]
    """The mapping ConfigMaps of the estate's namespace, as last seen."""


@dataclass(frozen=True, slots=True)
class EnginePorts:
    """All that an engine touches."""

    outside: Outside
    cluster: ClusterStores
    workers: WorkerPools
    term: Term
    clock: Clock
    metrics: EstateMetrics = field(default_factory=EstateMetrics)


def build_engine(estate: Estate, ports: EnginePorts, settings: EngineSettings) -> EstateReconciler:
    """An engine for the Estate as it is; nothing runs before `EstateReconciler.run`."""
    table, cluster = HostTable(ports.clock), ports.cluster
    runtime = Runtime(ports.term, ports.clock, ports.workers.kube, settings.pauses, metrics=ports.metrics)
    estate_status = EstateStatusWriter(estate, cluster.estates, runtime, table.wake.set)
    events = EventRecorder(cluster.events, lambda: estate_status.estate, runtime)
    host_status = HostStatusWriter(cluster.hosts, events, table, runtime)
    lanes = _lanes(_Lane(estate, table, estate_status, host_status, runtime), ports, settings)
    retirement = RetirementController(
        cluster.tombstones, cluster.hosts, table, host_status, estate_status, events, runtime
    )
    revisions = MappingRevisions(cluster.revisions, estate.spec.mapping, allowed_in(estate.spec))
    source, rollout = MappingSource(revisions, cluster.mappings), MappingRollout(table, ports.clock)
    mapping = MappingController(source, rollout, table, estate_status, events, runtime)

    def approved() -> None:
        rollout.reconsider()
        mapping.look()
        retirement.wake()

    book = ApprovalBook(cluster.approvals, table, estate_status, runtime, approved)
    parts = EngineParts(
        table=table,
        lanes=lanes,
        feed=HostFeed(cluster.records, table, events, runtime.heartbeats),
        host_status=host_status,
        estate_status=estate_status,
        approvals=book,
        events=events,
        mapping=mapping,
        retirement=retirement,
        reporter=EstateReporter(estate_status, table, lanes, mapping, retirement, runtime, events),
        runtime=runtime,
        budgets=lambda: _budgets(ports.outside),
    )
    return EstateReconciler(parts, settings)


def _budgets(outside: Outside) -> dict[tuple[str, str], float]:
    """(system, budget) -> calls that it allows at once."""
    azure = outside.resource_manager.left()
    return {("azure", budget): left for budget, left in azure.items()} | {
        ("illumio", "calls"): outside.illumio_budget.left()
    }


@dataclass(frozen=True, slots=True)
class _Lane:
    """What each lane gets beside its system."""

    estate: Estate
    table: HostTable
    estate_status: EstateStatusWriter
    host_status: HostStatusWriter
    runtime: Runtime

    def schedule(self, system: str) -> PollSchedule:
        """A schedule with the estate's interval."""
        interval = seconds(self.estate.spec.azure.poll_interval)
        return PollSchedule(
            system, interval, self.estate_status.report_soon, self.runtime.heartbeats, metrics=self.runtime.metrics
        )


def _lanes(lane: _Lane, ports: EnginePorts, settings: EngineSettings) -> Lanes:
    """The three lanes."""
    outside, workers, term = ports.outside, ports.workers, ports.term
    illumio_workers = PacedWorkers(workers.illumio, outside.illumio_budget, term.check)
    azure = _azure_lane(lane, ports, illumio_workers, settings)
    return Lanes(
        azure=azure,
        illumio=IllumioLane(
            outside.illumio, mark(lane.estate.owner_id), lane.table, lane.schedule("illumio"),
            illumio_workers, term, ports.clock, azure.pce_returned,
        ),
        check_point=_check_point_lane(lane, ports, settings),
    )  # fmt: skip


def _azure_lane(lane: _Lane, ports: EnginePorts, illumio: PacedWorkers, settings: EngineSettings) -> AzureLane:
    estate, table, outside, term = lane.estate, lane.table, ports.outside, ports.term
    pairing = PairingInputs(
        gateway=outside.illumio,
        profiles=lambda os: profile(estate, table.latest.illumio, os),
        endpoint=_endpoint(estate.spec.illumio.url),
        path_version=_PATH_VERSION,
        owner_id=estate.owner_id,
        tags=estate.spec.azure.tags,
    )
    calls = ResourceManagerCalls(ports.workers.azure, outside.resource_manager, term.check)
    scripts = ScriptBuilder(pairing, illumio, settings.timing, ports.clock)
    attempts = ScriptAttempts(scripts, table, lane.host_status, ports.clock, settings.timing, calls)
    subscriptions = {one.lower(): source.name for source in estate.spec.azure.sources for one in source.subscriptions}
    sources, schedule = AzureSources(outside.azure, subscriptions), lane.schedule("azure")
    report_soon = lane.estate_status.report_soon
    budgets, threads = outside.resource_manager, ports.workers.azure
    misses = estate.spec.retirement.missed_polls
    changes = AzureChanges(sources, budgets, table, schedule, threads, misses)
    polls = AzurePolls(sources, budgets, table, schedule, threads, report_soon, changes)
    return AzureLane(
        sources, polls, attempts, ports.cluster.hosts, table, schedule, ports.workers.kube, estate=estate.name
    )


def _check_point_lane(lane: _Lane, ports: EnginePorts, settings: EngineSettings) -> CheckPointLane:
    estate, table, term, clock = lane.estate, lane.table, ports.term, ports.clock
    gateway, workers, schedule = ports.outside.check_point, ports.workers.check_point, lane.schedule("checkpoint")
    flush = CheckPointFlush(
        gateway, lane.estate_status, workers, term,
        owner=estate.owner_id, task_pause=settings.task_pause, alive=schedule.alive, clock=clock,
    )  # fmt: skip
    installs = PolicyInstalls(gateway, table, lane.estate_status, workers, term, settings, clock)
    prefix = estate.spec.check_point.object_prefix
    marks = Marks(estate.owner_id, f"microseg/{estate.namespace}/{estate.name}/", prefix)
    return CheckPointLane(gateway, flush, installs, table, schedule, workers, term, marks)


def _endpoint(url: str) -> str:
    """host:port of the PCE, as the pairing script wants it."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or 443}"
