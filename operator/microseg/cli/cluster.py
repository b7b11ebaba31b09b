"""What commands read from the cluster: one Estate, its hosts, and the accepted revisions of its mapping.

Read only, but for the pin. The rights are those of whoever runs the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from microseg.cli.sorry import Sorry
from microseg.cli.where import Where
from microseg.kube.client import Api, connect
from microseg.kube.context import default_namespace
from microseg.kube.errors import Forbidden, KubeError, NotFound, SpecInvalid
from microseg.kube.estates import Estates
from microseg.kube.hosts import Hosts
from microseg.kube.revisions import MappingRevision, Revisions
from microseg.mapping import Mapping, MappingError, parse
from microseg.model.estate import Estate
from microseg.model.host import ManagedHost


@dataclass(frozen=True, slots=True)
class Live:
    """One estate as its cluster has it now."""

    estate: Estate
    hosts: tuple[ManagedHost, ...]
    revisions: tuple[MappingRevision, ...]
    """The oldest first."""
    now: datetime

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
    def held(self) -> bool:
        """Whether a change of the mapping waits for approval now."""
        return any(plan.kind == "mapping" for plan in self.estate.status.held)

    @property
    def let_through(self) -> str:
        """Digest of the revision whose changes were let through last; empty: unknown."""
        waiting = next((plan for plan in self.estate.status.held if plan.kind == "mapping"), None)
        return waiting.instead if waiting is not None else self.in_force

    def revision(self, named: str) -> MappingRevision:
        """A kept revision by digest (or its beginning), by number, or `previous`. Raises Sorry where there is none."""
        kept = list(reversed(self.revisions))
        if named == "previous":
            found = self._before(kept)
        elif named.isdigit() and len(named) < _SHORTEST_DIGEST:
            found = next((each for each in kept if each.number == int(named)), None)
        else:
            found = next(
                (each for each in kept if len(named) >= _SHORTEST_DIGEST and each.digest.startswith(named)), None
            )
        if found is None:
            raise Sorry(
                f"no revision {named!r} of {self.estate.spec.mapping.name} is kept: `microseg rollback` lists them"
            )
        return found

    def _before(self, kept: Sequence[MappingRevision]) -> MappingRevision | None:
        """The newest revision older than the one in force, with another meaning. `kept`: the newest first."""
        present = next((each.number for each in kept if each.digest == self.in_force), None)
        if present is None:
            return next(iter(kept), None)
        return next((each for each in kept if each.number < present and each.digest != self.in_force), None)

    def rules(self, digest: str) -> Mapping | None:
        """The rules of a kept revision; None where it is not kept or no longer parses."""
        found = next((each for each in reversed(self.revisions) if each.digest == digest), None)
        try:
            return parse(found.document, found.name) if found is not None else None
        except MappingError:
            return None


_SHORTEST_DIGEST = 6


class Cluster:
    """The connection of one command. A context manager; every method raises Sorry and nothing else."""

    def __init__(self, where: Where) -> None:
        """Connect. Raises Sorry where no cluster can be found."""
        self._where = where
        try:
            self._api: Api = connect(where.kubeconfig)
        except KubeError as error:
            raise Sorry(f"no cluster: {error}; name a file with --kubeconfig, or set KUBECONFIG") from None
        self.namespace = where.namespace or default_namespace(where.kubeconfig)

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
            found = Hosts(self._api, self.namespace).list(estate.name) if hosts else ()
            revisions = Revisions(self._api, self.namespace).list(estate.spec.mapping.name)
        except KubeError as error:
            raise self._sorry(error) from None
        return Live(estate, found, revisions, datetime.now(UTC))

    def pin(self, estate: Estate, digest: str) -> None:
        """Set the pin, or take it off by an empty one."""
        try:
            Estates(self._api).pin(estate, digest)
        except KubeError as error:
            raise self._sorry(error) from None

    def _estate(self, mapping: str) -> Estate:
        name = self._where.estate
        try:
            if name is not None:
                return Estates(self._api).read(self.namespace, name)
            found = Estates(self._api).list(self.namespace)
        except NotFound:
            raise Sorry(
                f"there is no Estate {name} in namespace {self.namespace}"
                if name is not None
                else f"the cluster {self._api.url} knows no Estates: apply the definitions (crds/) first"
            ) from None
        except SpecInvalid as error:
            raise Sorry(f"an Estate in namespace {self.namespace} cannot be used: {error}") from None
        return _only(found, mapping, self.namespace)

    def _sorry(self, error: KubeError) -> Sorry:
        advice = (
            "ask for the right, or use another kubeconfig" if isinstance(error, Forbidden) else "look at --kubeconfig"
        )
        return Sorry(f"{self._api.url}: {error}; {advice}")


def _only(found: Sequence[Estate], mapping: str, namespace: str) -> Estate:
    """The one that is meant, or what to say of it."""
    if not found:
        raise Sorry(f"there is no Estate in namespace {namespace}: name another with --namespace")
    fitting = [estate for estate in found if mapping in {"", estate.spec.mapping.name}]
    if not fitting:
        names = ", ".join(f"{estate.name} uses {estate.spec.mapping.name}" for estate in found)
        raise Sorry(f"no Estate in namespace {namespace} uses the mapping {mapping} ({names})")
    if len(fitting) > 1:
        names = ", ".join(estate.name for estate in fitting)
        raise Sorry(f"several Estates in namespace {namespace} fit ({names}): name one with --estate")
    return fitting[0]
