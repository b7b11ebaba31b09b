"""Which mapping is in force: the newest document that parses and passes its own tests, kept as a ControllerRevision.

Whatever is wrong with the live ConfigMap, the last accepted revision stays in force, also over a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from microseg.kube.revisions import MappingRevision
from microseg.kube.secrets import ConfigMapData
from microseg.mapping import Mapping, MappingError, lint, parse, run_tests
from microseg.model.condition import ConditionStatus, Reason
from microseg.model.estate import MappingRef, MappingState
from microseg.planning.summary import SystemState

log = logging.getLogger(__name__)
KEY = "mapping.yaml"
_TOLD = 5


class RevisionStore(Protocol):
    """Accepted revisions (`kube.revisions.Revisions`)."""

    def list(self, mapping: str) -> tuple[MappingRevision, ...]:
        """The oldest first."""

    def create(self, revision: MappingRevision) -> MappingRevision:
        """Write-once."""


@dataclass(frozen=True, slots=True)
class InForce:
    """The mapping that decides now, and what is to be said of the live document."""

    rules: Mapping | None
    state: MappingState | None
    valid: SystemState


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live document that carries the estate's mapping name, parsed."""

    source: ConfigMapData
    rules: Mapping


def judge(ref: MappingRef, live: Sequence[ConfigMapData], allowed_groups: frozenset[str]) -> Candidate | SystemState:
    """Pick and check the live document. Pure: a Candidate is fit to be accepted, else the sentence that says why none is."""
    found: list[Candidate] = []
    broken: list[str] = []
    for source in live:
        text = source.data.get(KEY)
        if text is None:
            broken.append(f"ConfigMap {source.name} has no key {KEY}.")
            continue
        try:
            rules = parse(text, f"{source.name}/{KEY}")
        except MappingError as error:
            broken.append("; ".join(str(problem) for problem in error.problems[:_TOLD]))
            continue
        if rules.name == ref.name:
            found.append(Candidate(source, rules))
    if len(found) > 1:
        names = ", ".join(sorted(candidate.source.name for candidate in found))
        return _invalid(Reason.MAPPING_AMBIGUOUS, f"ConfigMaps {names} all carry the mapping {ref.name}; leave one.")
    if not found:
        if broken:
            return _invalid(Reason.MAPPING_INVALID, f"The newest document is refused: {' '.join(broken)}")
        return _invalid(
            Reason.MAPPING_MISSING,
            f"No ConfigMap with the label microseg.dev/mapping=v1 carries the mapping {ref.name}.",
        )
    return _checked(found[0], allowed_groups)


def _checked(candidate: Candidate, allowed_groups: frozenset[str]) -> Candidate | SystemState:
    """The document's own tests, and groups that the estate does not allow."""
    rules = candidate.rules
    failures = run_tests(rules)
    if failures:
        told = "; ".join(str(failure) for failure in failures[:_TOLD])
        return _invalid(Reason.MAPPING_INVALID, f"The document's own tests fail: {told}")
    foreign = sorted(group.name for group in rules.groups if allowed_groups and group.name not in allowed_groups)
    if foreign:
        return _invalid(Reason.MAPPING_INVALID, f"Groups {', '.join(foreign)} are not in the estate's allowedGroups.")
    for warning in lint(rules)[:_TOLD]:
        log.info("mapping lint", extra={"mapping": rules.name, "warning": str(warning)})
    return candidate


def _invalid(reason: Reason, message: str) -> SystemState:
    return SystemState(ConditionStatus.FALSE, reason, message)


class Mappings:
    """Accepts documents. Called in a worker thread: it reads and writes revisions."""

    def __init__(self, store: RevisionStore, ref: MappingRef, allowed_groups: frozenset[str]) -> None:
        """`ref`: the estate's mapping name and pin."""
        self._store, self._ref, self._allowed = store, ref, allowed_groups

    def accept(self, live: Sequence[ConfigMapData], now: datetime) -> InForce:
        """The mapping in force after looking at the live documents. Raises KubeError."""
        kept = self._store.list(self._ref.name)
        if self._ref.pin:
            return self._pinned(kept)
        verdict = judge(self._ref, live, self._allowed)
        if isinstance(verdict, SystemState):
            last = kept[-1] if kept else None
            stays = (
                f" Revision {last.digest} stays in force."
                if last
                else " None was ever accepted: labels and groups wait."
            )
            told = SystemState(verdict.status, verdict.reason, verdict.message + stays)
            return InForce(_parsed(last), _state(last), told)
        revision = kept[-1] if kept and kept[-1].digest == verdict.rules.digest else self._write(kept, verdict, now)
        message = f"Revision {revision.digest} of {self._ref.name} is in force."
        return InForce(verdict.rules, _state(revision), SystemState(ConditionStatus.TRUE, Reason.ACCEPTED, message))

    def _pinned(self, kept: Sequence[MappingRevision]) -> InForce:
        """An emergency: an earlier revision is held on to, loudly."""
        pinned = next((revision for revision in reversed(kept) if revision.digest == self._ref.pin), None)
        if pinned is None:
            last = kept[-1] if kept else None
            told = _invalid(
                Reason.MAPPING_MISSING, f"spec.mapping.pin names revision {self._ref.pin}, which is not kept."
            )
            return InForce(_parsed(last), _state(last), told)
        message = f"PINNED to revision {pinned.digest} by spec.mapping.pin; newer documents are not looked at."
        return InForce(_parsed(pinned), _state(pinned), SystemState(ConditionStatus.TRUE, Reason.ACCEPTED, message))

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
