"""Which mapping is in force: the newest document that parses and passes its own tests, kept as a ControllerRevision.

Whatever is wrong with the live ConfigMap, the last accepted revision stays in force, also over a restart.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from microseg.kube.errors import AlreadyExists
from microseg.kube.revisions import MappingRevision
from microseg.kube.secrets import ConfigMapData
from microseg.mapping import Mapping, MappingError, Problem, lint, parse, run_tests
from microseg.model.condition import ConditionStatus, Reason
from microseg.model.estate import MappingRef, MappingState
from microseg.planning.summary import SystemState

log = logging.getLogger(__name__)
KEY = "mapping.yaml"
_TOLD = 5
_NAME = re.compile(r"""^name:[ \t]*["']?([A-Za-z0-9._-]+)""", re.MULTILINE)
"""The name of a document that does not parse: enough to tell whose it is."""


class RevisionStore(Protocol):
    """Accepted revisions (`kube.revisions.Revisions`)."""

    def list(self, mapping: str) -> tuple[MappingRevision, ...]:
        """The oldest first."""

    def create(self, revision: MappingRevision) -> MappingRevision:
        """Write-once."""

    def prune(self, mapping: str, named: Collection[str]) -> tuple[str, ...]:
        """Delete the oldest that nobody names."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The mapping that decides now, and what is to be said of the live document."""

    rules: Mapping | None
    state: MappingState | None
    valid: SystemState
    sources: tuple[ConfigMapData, ...] = ()
    """The ConfigMaps that `valid` speaks of."""
    instead: Mapping | None = None
    """The rules that were asked for by digest, where they are kept."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live document that carries the estate's mapping name, parsed."""

    source: ConfigMapData
    rules: Mapping


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no candidate, and of which ConfigMaps that is said."""

    valid: SystemState
    sources: tuple[ConfigMapData, ...] = ()


def judge(ref: MappingRef, live: Sequence[ConfigMapData], allowed_groups: frozenset[str]) -> Candidate | Refused:
    """Pick and check the live document. Pure: a Candidate is fit to be accepted, else why there is none."""
    found: list[tuple[ConfigMapData, Mapping | str]] = []
    for source in live:
        read = _read(source)
        name = read.name if isinstance(read, Mapping) else _name(source)
        if name in {ref.name, ""}:
            found.append((source, read))
    sources = tuple(source for source, _ in found)
    if not found:
        told = f"No ConfigMap with the label microseg.dev/mapping=v1 carries the mapping {ref.name}."
        return Refused(_invalid(Reason.MAPPING_MISSING, told))
    carriers = [source.name for source, read in found if isinstance(read, Mapping) or _name(source) == ref.name]
    if len(carriers) > 1:
        told = f"ConfigMaps {', '.join(sorted(carriers))} all carry the mapping {ref.name}; leave one."
        return Refused(_invalid(Reason.MAPPING_AMBIGUOUS, told), sources)
    for source, read in found:
        if isinstance(read, Mapping):
            return _checked(Candidate(source, read), allowed_groups)
    broken = " ".join(read for _, read in found if isinstance(read, str))
    return Refused(_invalid(Reason.MAPPING_INVALID, f"The newest document is refused: {broken}"), sources)


def _read(source: ConfigMapData) -> Mapping | str:
    """The document, or what is wrong with it."""
    text = source.data.get(KEY)
    if text is None:
        return f"ConfigMap {source.name} has no key {KEY}."
    try:
        return parse(text, f"{source.name}/{KEY}")
    except MappingError as error:
        return "; ".join(str(problem) for problem in error.problems[:_TOLD])


def _name(source: ConfigMapData) -> str:
    """The name that a broken document seems to have; "" where even that cannot be seen."""
    found = _NAME.search(source.data.get(KEY, ""))
    return found.group(1) if found else ""


def _checked(candidate: Candidate, allowed_groups: frozenset[str]) -> Candidate | Refused:
    """The document's own tests, and groups that the estate does not allow."""
    rules = candidate.rules
    failures = run_tests(rules)
    findings = lint(rules, allowed_groups or None)
    refused = [finding for finding in findings if isinstance(finding, Problem)]
    told = ""
    if failures:
        told = f"The document's own tests fail: {'; '.join(str(failure) for failure in failures[:_TOLD])}"
    elif refused:
        told = f"The newest document is refused: {'; '.join(str(problem) for problem in refused[:_TOLD])}"
    if told:
        return Refused(_invalid(Reason.MAPPING_INVALID, told), (candidate.source,))
    for warning in findings[:_TOLD]:
        log.info("mapping lint", extra={"mapping": rules.name, "warning": str(warning)})
    return candidate


def _invalid(reason: Reason, message: str) -> SystemState:
    return SystemState(ConditionStatus.FALSE, reason, message)


class Mappings:
    """Accepts documents. Called in a worker thread: it reads and writes revisions."""

    def __init__(self, store: RevisionStore, ref: MappingRef, allowed_groups: frozenset[str]) -> None:
        """`ref`: the estate's mapping name and pin."""
        self._store, self._ref, self._allowed = store, ref, allowed_groups

    def accept(
        self, live: Sequence[ConfigMapData], now: datetime, named: Collection[str] | None = None, instead: str = ""
    ) -> InForce:
        """The mapping in force after looking at the live documents. Raises KubeError.

        `named`: digests that hosts name, which must stay readable; None: not known yet, so none is deleted.
        `instead`: the digest that a hold names; its rules are returned, too.
        """
        kept = self._store.list(self._ref.name)
        found = self._pinned(kept) if self._ref.pin else self._newest(kept, live, now, named, instead)
        held = next((revision for revision in reversed(kept) if revision.digest == instead), None)
        return replace(found, instead=_parsed(held)) if instead else found

    def _newest(
        self,
        kept: Sequence[MappingRevision],
        live: Sequence[ConfigMapData],
        now: datetime,
        named: Collection[str] | None,
        instead: str,
    ) -> InForce:
        """The newest document that is fit, kept from now on."""
        verdict = judge(self._ref, live, self._allowed)
        if isinstance(verdict, Refused):
            last = kept[-1] if kept else None
            stays = f" Revision {last.digest} stays in force." if last else " None was ever accepted."
            told = SystemState(verdict.valid.status, verdict.valid.reason, verdict.valid.message + stays)
            return InForce(_parsed(last), _state(last), told, verdict.sources)
        if kept and kept[-1].digest == verdict.rules.digest:
            revision = kept[-1]
        else:
            revision = self._kept(kept, verdict, now)
            if named is not None:
                self._store.prune(self._ref.name, {*named, instead})
        message = f"Revision {revision.digest} of {self._ref.name} is in force."
        valid = SystemState(ConditionStatus.TRUE, Reason.ACCEPTED, message)
        return InForce(verdict.rules, _state(revision), valid, (verdict.source,))

    def _pinned(self, kept: Sequence[MappingRevision]) -> InForce:
        """An emergency: an earlier revision is held on to, loudly."""
        pinned = next((revision for revision in reversed(kept) if revision.digest == self._ref.pin), None)
        if pinned is None:
            last = kept[-1] if kept else None
            told = _invalid(
                Reason.MAPPING_MISSING, f"spec.mapping.pin names revision {self._ref.pin}, which is not kept."
            )
            return InForce(_parsed(last), _state(last), told)
        message = f"PINNED to revision {pinned.digest} by spec.mapping.pin: newer documents are not looked at."
        return InForce(
            _parsed(pinned), _state(pinned), SystemState(ConditionStatus.TRUE, Reason.MAPPING_PINNED, message)
        )

    def _kept(self, kept: Sequence[MappingRevision], candidate: Candidate, now: datetime) -> MappingRevision:
        """Keep an accepted document, also where somebody took the next number since `kept` was read.

        That is another estate of the same mapping, or the holder of the Lease before us.
        """
        try:
            return self._write(kept, candidate, now)
        except AlreadyExists:
            kept = self._store.list(self._ref.name)
            same = bool(kept) and kept[-1].digest == candidate.rules.digest
            return kept[-1] if same else self._write(kept, candidate, now)

    def _write(self, kept: Sequence[MappingRevision], candidate: Candidate, now: datetime) -> MappingRevision:
        """Keep an accepted document."""
        source = candidate.source
        return self._store.create(
            MappingRevision(
                mapping=self._ref.name,
                number=kept[-1].number + 1 if kept else 1,
                digest=candidate.rules.digest,
                document=source.data[KEY],
                source=f"{source.namespace}/{source.name} {source.uid}@{source.resource_version}",
                accepted_at=now.replace(microsecond=0),
                commit=source.annotations.get("microseg.dev/commit", ""),
                author=source.annotations.get("microseg.dev/author", ""),
            )
        )


def _parsed(revision: MappingRevision | None) -> Mapping | None:
    """An accepted document parses: it did when it was accepted. One that an older version accepted may not any more."""
    if revision is None:
        return None
    try:
        return parse(revision.document, revision.name)
    except MappingError as error:
        log.error("accepted revision no longer parses", extra={"revision": revision.name, "error": str(error)})
        return None


def _state(revision: MappingRevision | None) -> MappingState | None:
    if revision is None:
        return None
    rules = _parsed(revision)
    return MappingState(revision=revision.digest, owner=rules.owner if rules else "", accepted_at=revision.accepted_at)
