"""The composition root: from settings and an Estate to gateways, lanes and a keeper. Nothing else builds anything."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from microseg import __version__
from microseg.estate.acceptance import Documents
from microseg.estate.book import EstateBook
from microseg.estate.clock import SteadyClock
from microseg.estate.following import Following
from microseg.estate.inputs import read_inputs
from microseg.estate.keeper import Keeper, Lanes, Records
from microseg.estate.lanes.attempts import Attempts, Pairing
from microseg.estate.lanes.azure import AzureLane
from microseg.estate.lanes.budgets import Budgets, pce, resource_manager
from microseg.estate.lanes.checkpoint import CheckPointLane, Marks
from microseg.estate.lanes.flush import Flush
from microseg.estate.lanes.illumio import IllumioLane
from microseg.estate.lanes.installs import Installs
from microseg.estate.lanes.rhythm import Rhythm
from microseg.estate.lease import Elector, HeldTerm, Pace
from microseg.estate.ledger import Ledger
from microseg.estate.mappings import Mappings
from microseg.estate.recorder import Recorder
from microseg.estate.register import Register
from microseg.estate.retirements import Retirements
from microseg.estate.tenure import Running, Tenure, Unusable
from microseg.estate.view import EstateViews, profile
from microseg.estate.workers import PacedWorkers, Workers
from microseg.kube import schema
from microseg.kube.client import Api, connect
from microseg.kube.errors import KubeError
from microseg.kube.estates import Estates
from microseg.kube.events import Events
from microseg.kube.hosts import Hosts
from microseg.kube.leases import Leases
from microseg.kube.mirror import Mirror
from microseg.kube.resources import DEFINITIONS, ESTATES, GROUP, MANAGED_HOSTS
from microseg.kube.revisions import Revisions
from microseg.kube.secrets import ConfigMapData
from microseg.kube.tombstones import Tombstones
from microseg.metrics import Metrics
from microseg.model.condition import Reason
from microseg.model.estate import Estate, seconds
from microseg.settings import Settings
from microseg.wiring_gateways import Gateways, gateways

_THREADS = {"azure": 16, "illumio": 4, "checkpoint": 3, "kube": 12}
"""Azure is asked VM by VM when scripts start; the other two mostly in bulk."""
_PATH_VERSION = "18"

now = SteadyClock()
"""One for the process: steps of the machine's clock concern all estates alike."""


@dataclass(frozen=True, slots=True)
class Pools:
    """One pool of threads a system."""

    azure: Workers
    illumio: Workers
    check_point: Workers
    kube: Workers

    @classmethod
    def make(cls) -> Pools:
        """New ones."""
        return cls(*(Workers(name, threads) for name, threads in _THREADS.items()))


class House:
    """Everything of one process."""

    def __init__(self, settings: Settings) -> None:
        """Connect to the cluster. Raises KubeError where no cluster can be found."""
        self.settings = settings
        self._api = connect(settings.kubeconfig)
        self._pools = Pools.make()
        self.register = Register(self._tenure)
        self.metrics = Metrics(__version__, self.register.numbers)

    def _tenure(self, estate: Estate) -> Tenure:
        """A tenure for one Estate."""
        lease = self.settings.lease_seconds
        elector = Elector(
            Leases(self._api, timeout=lease / 5),
            self._pools.kube,
            namespace=estate.namespace,
            name=f"microseg-{estate.name}",
            identity=self.settings.identity,
            pace=Pace(duration=lease, renew=lease / 4, retry=lease / 8, margin=lease / 5),
        )
        return Tenure(
            estate,
            elector,
            Estates(self._api),
            Hosts(self._api, estate.namespace),
            self._pools.kube,
            self._build,
            self._inputs_digest,
            now,
        )

    async def _inputs_digest(self, estate: Estate) -> str:
        return (await self._pools.kube.call(read_inputs, self._api, estate)).digest

    async def _build(self, estate: Estate, term: HeldTerm) -> Running:
        """A keeper for one Estate. Raises Unusable where its Secrets, bundles or the CRDs do not fit; KubeError."""
        await self._pools.kube.call(_check_schema, self._api)
        inputs = await self._pools.kube.call(read_inputs, self._api, estate)
        folder = tempfile.TemporaryDirectory(prefix="microseg-")
        try:
            outside = gateways(estate, inputs, Path(folder.name), self.metrics.observe)
        except Unusable:
            folder.cleanup()
            raise
        except (ValueError, OSError) as error:
            folder.cleanup()
            raise Unusable(Reason.SPEC_INVALID, f"The Estate cannot be used: {error}.") from None
        keeper = self._keeper(estate, term, outside, lambda: self.register.mappings(estate.namespace))
        return Running(keeper, folder.cleanup, inputs.digest)

    def _keeper(
        self, estate: Estate, term: HeldTerm, outside: Gateways, live: Callable[[], Sequence[ConfigMapData]]
    ) -> Keeper:
        """Lanes, recorder and the rest around one ledger."""
        settings, pools = self.settings, self._pools
        ledger = Ledger()
        book = EstateBook(estate, Estates(self._api), pools.kube, term)
        hosts = Hosts(self._api, estate.namespace)
        recorder = Recorder(hosts, Events(self._api, settings.identity), ledger, pools.kube, term)
        interval = seconds(estate.spec.azure.poll_interval)
        kept: list[Keeper] = []

        def changed() -> None:
            for keeper in kept:
                keeper.health_changed()

        subscriptions = {
            one.lower(): source.name for source in estate.spec.azure.sources for one in source.subscriptions
        }
        pce_workers = PacedWorkers(pools.illumio, pce().reserve, term.check)
        attempts = Attempts(
            Pairing(
                gateway=outside.pce,
                profiles=lambda os: profile(estate, ledger.pce, os),
                endpoint=_endpoint(estate.spec.illumio.url),
                path_version=_PATH_VERSION,
                owner_id=estate.owner_id,
            ),
            ledger,
            recorder,
            term,
            now,
            settings.timing,
            (pools.azure, pce_workers),
            Budgets(resource_manager, subscriptions),
        )
        check_point_rhythm = Rhythm("checkpoint", interval, changed)
        flush = Flush(
            outside.check_point, book, pools.check_point, term,
            owner=estate.owner_id, task_pause=settings.task_pause, alive=check_point_rhythm.alive, clock=now,
        )  # fmt: skip
        installs = Installs(
            outside.check_point, ledger, book, pools.check_point, term,
            task_pause=settings.task_pause, patience=settings.install_patience, clock=now,
        )  # fmt: skip
        lanes = Lanes(
            AzureLane(
                outside.azure, attempts, hosts, ledger, Rhythm("azure", interval, changed), pools.azure,
                estate=estate.name,
                subscriptions=subscriptions,
            ),
            IllumioLane(
                outside.pce, f"microseg.dev/{estate.owner_id}", ledger, Rhythm("illumio", interval, changed),
                pce_workers, term,
            ),
            CheckPointLane(
                outside.check_point, flush, installs, ledger, check_point_rhythm,
                pools.check_point, term, Marks(estate.owner_id, f"microseg/{estate.namespace}/{estate.name}/"),
            ),
        )  # fmt: skip
        keeper = Keeper(
            book=book,
            ledger=ledger,
            lanes=lanes,
            records=Records(
                Following(Mirror(self._api, estate.namespace, estate.name), ledger),
                recorder,
                Retirements(
                    Tombstones(self._api, estate.namespace, estate.name),
                    hosts,
                    ledger,
                    recorder,
                    book,
                    pools.kube,
                    term,
                    now,
                ),
            ),
            documents=Documents(
                Mappings(
                    Revisions(self._api, estate.namespace),
                    estate.spec.mapping,
                    frozenset(estate.spec.check_point.allowed_groups),
                ),
                live,
            ),
            views=EstateViews(settings.timing),
            clock=now,
            workers=pools.kube,
        )
        kept.append(keeper)
        return keeper


def _check_schema(api: Api) -> None:
    """Refuse to act where the live CRDs lack a field: it would be pruned, and with it the attempt counter."""
    for resource in (MANAGED_HOSTS, ESTATES):
        name = f"{resource.plural}.{GROUP}"
        try:
            live = api.get(DEFINITIONS.one(None, name), dict)
        except KubeError as error:
            raise Unusable(Reason.MISSING_SCHEMA, f"The CRD {name} cannot be read: {error}") from None
        missing = schema.missing_fields(live)
        if missing:
            raise Unusable(
                Reason.MISSING_SCHEMA,
                f"The CRD {name} in the cluster lacks {', '.join(missing[:3])}: apply the CRDs of this version first.",
            )


def _endpoint(url: str) -> str:
    """host:port of the PCE, as the pairing script wants it."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 443}"
