"""What commands read from the cluster: one Estate, its hosts, and the accepted revisions of its mapping.

Read only, except for the pin. The RBAC is that of the person who runs the command. What only some commands need is
loaded when they do: a person waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from microseg.cli.errors import CommandError
from microseg.cli.target import ClusterOptions
from microseg.kube.approvals import Approvals, user_name
from microseg.kube.client import Api, connect
from microseg.kube.errors import Forbidden, KubeError, NotFound, SpecInvalid
from microseg.kube.estates import Estates
from microseg.kube.hosts import Hosts
from microseg.kube.kubectl_context import default_namespace
from microseg.kube.leases import Lease, Leases
from microseg.kube.revisions import MappingRevision, Revisions
from microseg.kube.tombstones import Tombstone, Tombstones
from microseg.model.approval import Approval, ApprovalSpec
from microseg.model.estate import Estate
from microseg.model.host import ManagedHost
from microseg.model.operator_report import OperatorReport, decode_report
from microseg.model.shown import DIGITS

if TYPE_CHECKING:
    from microseg.cli.times import Times
    from microseg.mapping import MappingDocument


@dataclass(frozen=True, slots=True)
class Live:
    """One estate as its cluster has it now."""

    estate: Estate
    hosts: tuple[ManagedHost, ...]
    revisions: tuple[MappingRevision, ...]
    """The oldest first."""
    now: datetime
    not_ours: tuple[MappingRevision, ...] = ()
    """ControllerRevisions with the mapping's label that the operator cannot have written."""

    @property
    def key(self) -> str:
        """namespace/name of the Estate."""
        return f"{self.estate.namespace}/{self.estate.name}"

    @property
    def in_force(self) -> str:
        """Digest of the revision in force; empty: none was ever accepted."""
        state = self.estate.status.mapping
        if state is not None and state.revision:
            return state.revision
        return self.estate.spec.mapping.pin or (self.revisions[-1].digest if self.revisions else "")

    @property
    def plan_held(self) -> bool:
        """Whether a change of the mapping waits for approval now."""
        return any(plan.kind == "mapping" for plan in self.estate.status.held)

    @property
    def let_through(self) -> str:
        """Digest of the revision whose changes were let through last; empty: unknown."""
        waiting = next((plan for plan in self.estate.status.held if plan.kind == "mapping"), None)
        return waiting.instead if waiting is not None else self.in_force

    def revision(self, named: str) -> MappingRevision:
        """A kept revision by digest (or its beginning), by number, or `previous`. Raises CommandError without one."""
        kept = list(reversed(self.revisions))
        if named == "previous":
            match = self._before(kept)
        elif named.isdigit() and len(named) < _SHORTEST_DIGEST:
            match = next((each for each in kept if each.number == int(named)), None)
        else:
            match = next(
                (each for each in kept if len(named) >= _SHORTEST_DIGEST and each.digest.startswith(named)), None
            )
        if match is None:
            raise CommandError(
                f"no revision {named!r} of {self.estate.spec.mapping.name} is kept: `microseg rollback` lists them"
            )
        return match

    def _before(self, kept: Sequence[MappingRevision]) -> MappingRevision | None:
        """The newest revision older than the one in force, with another meaning. `kept`: the newest first."""
        present = next((each.number for each in kept if each.digest == self.in_force), None)
        if present is None:
            return next(iter(kept), None)
        return next((each for each in kept if each.number < present and each.digest != self.in_force), None)

    def kept(self, digest: str) -> MappingRevision | None:
        """The revision that the operator would load for this digest."""
        return next((each for each in reversed(self.revisions) if each.digest == digest), None)

    def judged(self, revision: MappingRevision) -> MappingDocument | str:
        """A kept revision's rules, or why the operator would not use it: perhaps somebody else wrote it."""
        from microseg.planning import fitness  # noqa: PLC0415 - as above

        allowed = fitness.allowed_in(self.estate.spec)
        return fitness.verified(revision.document, revision.name, revision.digest, allowed)

    def verified(self, revision: MappingRevision) -> MappingDocument:
        """A kept revision's rules. Raises CommandError where the operator would not use it."""
        judged = self.judged(revision)
        if isinstance(judged, str):
            raise CommandError(
                f"revision {revision.digest[:DIGITS]} (ControllerRevision {revision.name}) cannot be used, and the "
                f"operator would not load it either: {judged}"
            )
        return judged

    def rules(self, digest: str) -> MappingDocument | None:
        """The rules of a kept revision; None where it is not kept, or the operator would not use it."""
        revision = self.kept(digest)
        judged = self.judged(revision) if revision is not None else None
        return None if isinstance(judged, str) else judged


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads an estate, and what it says of itself."""

    lease: Lease | None
    report: OperatorReport | None
    stones: tuple[Tombstone, ...] = ()
    """Of the hosts whose retirement began, the earliest first."""
    fault: str = ""
    """Why the Lease could not be read, as the rest of a sentence."""

    @property
    def began(self) -> tuple[datetime, ...]:
        """When each retirement began that has a tombstone, the earliest first."""
        return tuple(stone.at for stone in self.stones)

    def alive(self, now: datetime) -> bool:
        """Whether somebody holds the Lease and renewed it in time."""
        lease = self.lease
        if lease is None or not lease.holder or lease.renewed_at is None:
            return False
        return (now - lease.renewed_at).total_seconds() <= max(lease.duration, 1)


_SHORTEST_DIGEST = 6


class Cluster:
    """The connection of one command. A context manager; every method raises CommandError and nothing else."""

    def __init__(self, where: ClusterOptions) -> None:
        """Connect. Raises CommandError where no cluster can be found."""
        self._where = where
        try:
            self._api: Api = connected(where)
        except KubeError as error:
            named = (("context", where.context), ("cluster", where.cluster), ("user", where.user))
            doubts = " ".join(f"is there a {kind} {name}?" for kind, name in named if name is not None)
            advice = doubts or "name a file with --kubeconfig"
            raise CommandError(f"no cluster: {error}; {advice}, or set KUBECONFIG") from None
        self.namespace = where.namespace or default_namespace(where.kubeconfig, where.context)
        self._name = ""
        """The Estate that was read."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._api.close()

    def live(self, mapping: str = "", *, hosts: bool = True) -> Live:
        """The estate that is named, or the only one; with `mapping` the one that uses the mapping of this name."""
        try:
            estate = self._estate(mapping)
            self._name = estate.name
            records = Hosts(self._api, self.namespace).list(estate.name) if hosts else ()
            stored = Revisions(self._api, self.namespace).list(estate.spec.mapping.name)
        except KubeError as error:
            raise self._command_error(error) from None
        ours, not_ours = (tuple(each for each in stored if bool(each.fault) is faulty) for faulty in (False, True))
        return Live(estate, records, ours, datetime.now(UTC), not_ours)

    def times(self) -> Times:
        """The times of the running operator; the defaults where its Deployment is not here or may not be read."""
        from microseg.cli import times  # noqa: PLC0415 - as above
        from microseg.kube.deployments import Deployments  # noqa: PLC0415

        try:
            deployments = Deployments(self._api, self.namespace).of_operator()
        except KubeError as error:
            return times.unreadable(error)
        return times.of_deployments(deployments, self.namespace)

    def leadership(self) -> Leadership:
        """Who leads the estate that `live` read, and the retirements that began: as far as this person may read."""
        name = self._name
        try:
            stones = Tombstones(self._api, self.namespace, name).all()
        except KubeError:
            stones = ()  # `microseg doctor` names the permission; the counts then only lack the earlier ones
        began = tuple(sorted(stones, key=lambda stone: stone.at))
        try:
            lease = Leases(self._api).get(self.namespace, f"microseg-{name}")
        except NotFound:
            return Leadership(None, None, began)
        except KubeError as error:
            return Leadership(None, None, began, f"the Lease microseg-{name} could not be read ({error})")
        return Leadership(lease, decode_report(lease.report), began)

    def pin(self, estate: Estate, digest: str) -> None:
        """Set the pin, or take it off by an empty one."""
        try:
            Estates(self._api).pin(estate, digest)
        except KubeError as error:
            raise self._command_error(error) from None

    def user_name(self) -> str:
        """Who this person is to the API server."""
        try:
            return user_name(self._api)
        except KubeError as error:
            raise self._command_error(error) from None

    def approve(self, spec: ApprovalSpec) -> Approval:
        """Create the Approval."""
        try:
            return Approvals(self._api, self.namespace, spec.estate).create(spec)
        except KubeError as error:
            raise self._command_error(error) from None

    def _estate(self, mapping: str) -> Estate:
        name = self._where.estate
        try:
            if name is not None:
                return Estates(self._api).read(self.namespace, name)
            estates = self._estates()
        except NotFound:
            raise CommandError(
                f"there is no Estate {name} in namespace {self.namespace}"
                if name is not None
                else f"the cluster {self._api.url} knows no Estates: apply the CRDs (crds/) first"
            ) from None
        except SpecInvalid as error:
            raise CommandError(f"an Estate in namespace {self.namespace} cannot be used: {error}") from None
        return _only(estates, mapping, self.namespace)

    def _estates(self) -> Sequence[Estate]:
        """The Estates of the namespace; where it has none and nobody named it, of the one readable one that has."""
        estates = Estates(self._api).list(self.namespace)
        if estates or self._where.namespace is not None:
            return estates
        with suppress(Forbidden):
            everywhere = Estates(self._api).list(None)
            namespaces = {estate.namespace for estate in everywhere}
            if len(namespaces) == 1:
                (self.namespace,) = namespaces
                return everywhere
            if namespaces:
                raise CommandError(
                    f"namespaces {', '.join(sorted(namespaces))} have Estates: name one with --namespace"
                )
        return estates

    def _command_error(self, error: KubeError) -> CommandError:
        advice = (
            "ask for the permission, or use another kubeconfig"
            if isinstance(error, Forbidden)
            else "look at --kubeconfig"
        )
        return CommandError(f"{self._api.url}: {error}; {advice}")


def connected(where: ClusterOptions) -> Api:
    """The client of the cluster that a person names. Raises KubeError."""
    return connect(
        where.kubeconfig, context=where.context, cluster=where.cluster, user=where.user, impersonate=where.acting_as
    )


def _only(estates: Sequence[Estate], mapping: str, namespace: str) -> Estate:
    """The one that is meant. Raises CommandError for none or several."""
    if not estates:
        raise CommandError(f"there is no Estate in namespace {namespace}: name another with --namespace")
    fitting = [estate for estate in estates if mapping in {"", estate.spec.mapping.name}]
    if not fitting:
        names = ", ".join(f"{estate.name} uses {estate.spec.mapping.name}" for estate in estates)
        raise CommandError(f"no Estate in namespace {namespace} uses the mapping {mapping} ({names})")
    if len(fitting) > 1:
        names = ", ".join(estate.name for estate in fitting)
        raise CommandError(f"several Estates in namespace {namespace} fit ({names}): name one with --estate")
    return fitting[0]
