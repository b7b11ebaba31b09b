"""Which mapping is in force: the newest document that parses and passes its own tests, kept as a ControllerRevision.

Whatever is wrong with the live ConfigMap, the last accepted revision stays in force, also over a restart.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Protocol

from microseg.kube.errors import AlreadyExists
from microseg.kube.revisions import MappingRevision
from microseg.kube.secrets import ConfigMapData
from microseg.mapping import MappingDocument, MappingError, parse
from microseg.model.approval import Approval
from microseg.model.condition import ConditionStatus, Reason
from microseg.model.estate_spec import MappingRef
from microseg.model.estate_status import MappingState
from microseg.model.names import Annotation
from microseg.model.shown import DIGITS
from microseg.planning import fitness
from microseg.planning.estate_conditions import SystemState
from microseg.planning.fitness import Allowed

log = logging.getLogger(__name__)
KEY = "mapping.yaml"
_MOST_SHOWN = 5
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
class ActiveMapping:
    """The mapping that decides now, and what is to be said of the live document."""

    document: MappingDocument | None
    state: MappingState | None
    valid: SystemState
    sources: tuple[ConfigMapData, ...] = ()
    """The ConfigMaps that `valid` speaks of."""
    instead: MappingDocument | None = None
    """The document of the digest that a hold names, where it is kept."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live document that carries the estate's mapping name, parsed."""

    source: ConfigMapData
    document: MappingDocument


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no candidate, and of which ConfigMaps that is said."""

    valid: SystemState
    sources: tuple[ConfigMapData, ...] = ()


def judge(ref: MappingRef, live: Sequence[ConfigMapData], allowed: Allowed) -> Candidate | Refused:
    """Pick and check the live document. Pure: a Candidate is fit to be accepted, else why there is none."""
    documents: list[tuple[ConfigMapData, MappingDocument | str]] = []
    for source in live:
        document = _read(source)
        name = document.name if isinstance(document, MappingDocument) else _name(source)
        if name in {ref.name, ""}:
            documents.append((source, document))
    sources = tuple(source for source, _ in documents)
    if not documents:
        message = f"No ConfigMap with the label {Annotation.MAPPING}=v1 carries the mapping {ref.name}."
        return Refused(_invalid(Reason.MAPPING_MISSING, message))
    carriers = [
        source.name
        for source, document in documents
        if isinstance(document, MappingDocument) or _name(source) == ref.name
    ]
    if len(carriers) > 1:
        message = f"ConfigMaps {', '.join(sorted(carriers))} all carry the mapping {ref.name}; leave one."
        return Refused(_invalid(Reason.MAPPING_AMBIGUOUS, message), sources)
    for source, document in documents:
        if isinstance(document, MappingDocument):
            return _checked(Candidate(source, document), allowed)
    broken = " ".join(document for _, document in documents if isinstance(document, str))
    return Refused(_invalid(Reason.MAPPING_INVALID, f"The newest document is refused: {broken}"), sources)


def _read(source: ConfigMapData) -> MappingDocument | str:
    """The document, or what is wrong with it."""
    text = source.data.get(KEY)
    if text is None:
        return f"ConfigMap {source.name} has no key {KEY}."
    try:
        return parse(text, f"{source.name}/{KEY}")
    except MappingError as error:
        return "; ".join(str(problem) for problem in error.problems[:_MOST_SHOWN])


def _name(source: ConfigMapData) -> str:
    """The name that a broken document seems to have; "" where even that cannot be seen."""
    match = _NAME.search(source.data.get(KEY, ""))
    return match.group(1) if match else ""


def _checked(candidate: Candidate, allowed: Allowed) -> Candidate | Refused:
    """The document's own tests, and groups that the estate does not allow."""
    document = candidate.document
    fault, findings = fitness.fault(document, allowed)
    if fault:
        return Refused(
            _invalid(Reason.MAPPING_INVALID, f"The newest document is refused: {fault}"), (candidate.source,)
        )
    for warning in findings[:_MOST_SHOWN]:
        log.info("mapping lint", extra={"mapping": document.name, "warning": str(warning)})
    return candidate


def _invalid(reason: Reason, message: str) -> SystemState:
    return SystemState(ConditionStatus.FALSE, reason, message)


class MappingRevisions:
    """Accepts documents. Called in a worker thread: it reads and writes revisions."""

    def __init__(self, store: RevisionStore, ref: MappingRef, allowed: Allowed) -> None:
        """`ref`: the estate's mapping name and pin."""
        self._store, self._ref, self._allowed = store, ref, allowed

    def accept(
        self,
        live: Sequence[ConfigMapData],
        now: datetime,
        named: Collection[str] | None = None,
        instead: str = "",
        pin: Approval | None = None,
    ) -> ActiveMapping:
        """The mapping in force after looking at the live documents. Raises KubeError.

        `named`: digests that hosts name, which must stay readable; None: not known yet, so none is deleted.
        `instead`: the digest that a hold names; its rules are returned, too. `pin`: an Approval of a revision.
        """
        stored = self._store.list(self._ref.name)
        revisions = [revision for revision in stored if not revision.fault]
        if pin is not None or self._ref.pin:
            active = self._pinned(revisions, pin)
        else:
            active = self._newest(stored, live, now, named, instead)
        active = replace(active, valid=_with_faults(active.valid, stored))
        earlier = next((revision for revision in reversed(revisions) if revision.digest == instead), None)
        rules = _verified(earlier, self._allowed) if earlier is not None else None
        return replace(active, instead=rules if isinstance(rules, MappingDocument) else None) if instead else active

    def _newest(
        self,
        stored: Sequence[MappingRevision],
        live: Sequence[ConfigMapData],
        now: datetime,
        named: Collection[str] | None,
        instead: str,
    ) -> ActiveMapping:
        """The newest document that is fit, kept from now on."""
        revisions = [revision for revision in stored if not revision.fault]
        verdict = judge(self._ref, live, self._allowed)
        if isinstance(verdict, Refused):
            document, state, stays = _in_force(revisions[-1] if revisions else None, self._allowed)
            valid = SystemState(verdict.valid.status, verdict.valid.reason, f"{verdict.valid.message} {stays}")
            return ActiveMapping(document, state, valid, verdict.sources)
        if revisions and revisions[-1].digest == verdict.document.digest:
            revision = revisions[-1]
        else:
            revision = self._kept(stored, verdict, now)
            if named is not None:
                self._store.prune(self._ref.name, {*named, instead})
        message = f"Revision {revision.digest[:DIGITS]} of {self._ref.name} is in force."
        valid = SystemState(ConditionStatus.TRUE, Reason.ACCEPTED, message)
        return ActiveMapping(verdict.document, _state(revision, verdict.document), valid, (verdict.source,))

    def _pinned(self, revisions: Sequence[MappingRevision], pin: Approval | None) -> ActiveMapping:
        """An emergency: an earlier revision is held on to, loudly."""
        digest, by = (pin.spec.what, pin.source) if pin is not None else (self._ref.pin, "spec.mapping.pin")
        pinned = next((revision for revision in reversed(revisions) if revision.digest == digest), None)
        if pinned is None:
            document, state, _ = _in_force(revisions[-1] if revisions else None, self._allowed)
            message = f"{by} names revision {digest}, which is not kept."
            return ActiveMapping(document, state, _invalid(Reason.MAPPING_MISSING, message))
        document, state, told = _in_force(pinned, self._allowed)
        if document is None:
            return ActiveMapping(None, None, _invalid(Reason.MAPPING_INVALID, f"{by}: {told}"))
        message = f"PINNED to revision {pinned.digest[:DIGITS]} by {by}: newer documents are not looked at."
        return ActiveMapping(document, state, SystemState(ConditionStatus.TRUE, Reason.MAPPING_PINNED, message))

    def _kept(self, stored: Sequence[MappingRevision], candidate: Candidate, now: datetime) -> MappingRevision:
        """Keep an accepted document, also where somebody took the next number since `kept` was read.

        That is another estate of the same mapping, or the holder of the Lease before us.
        """
        try:
            return self._write(stored, candidate, now)
        except AlreadyExists:
            stored = self._store.list(self._ref.name)
            revisions = [revision for revision in stored if not revision.fault]
            same = bool(revisions) and revisions[-1].digest == candidate.document.digest
            return revisions[-1] if same else self._write(stored, candidate, now)

    def _write(self, stored: Sequence[MappingRevision], candidate: Candidate, now: datetime) -> MappingRevision:
        """Keep an accepted document under the next number whose name is free."""
        taken = {revision.name for revision in stored}
        latest = max((revision.number for revision in stored if not revision.fault), default=0)
        number = next(each for each in count(latest + 1) if f"{self._ref.name}-{each}" not in taken)
        source = candidate.source
        return self._store.create(
            MappingRevision(
                mapping=self._ref.name,
                number=number,
                digest=candidate.document.digest,
                document=source.data[KEY],
                source=f"{source.namespace}/{source.name} {source.uid}@{source.resource_version}",
                accepted_at=now.replace(microsecond=0),
                commit=source.annotations.get(Annotation.COMMIT, ""),
                author=source.annotations.get(Annotation.AUTHOR, ""),
            )
        )


def _with_faults(valid: SystemState, stored: Sequence[MappingRevision]) -> SystemState:
    """What is said of the live document, and which ControllerRevisions cannot be ours."""
    faulty = [f"{revision.name} ({revision.fault})" for revision in stored if revision.fault]
    if not faulty:
        return valid
    more = f" and {len(faulty) - _MOST_SHOWN} more" if len(faulty) > _MOST_SHOWN else ""
    told = f"Not used are the ControllerRevisions {', '.join(faulty[:_MOST_SHOWN])}{more}: somebody else wrote them."
    return replace(valid, message=f"{valid.message} {told}")


def _verified(revision: MappingRevision, allowed: Allowed) -> MappingDocument | str:
    """A kept revision's document, or why it is not used."""
    return fitness.verified(revision.document, revision.name, revision.digest, allowed)


def _in_force(
    revision: MappingRevision | None, allowed: Allowed
) -> tuple[MappingDocument | None, MappingState | None, str]:
    """Document and state of a kept revision that stays in force, and the sentence about it."""
    if revision is None:
        return None, None, "None was ever accepted."
    document = _verified(revision, allowed)
    if isinstance(document, str):
        log.error("kept revision not used", extra={"revision": revision.name, "why": document})
        return None, None, f"Kept revision {revision.name} is not used: {document}. None is in force."
    return document, _state(revision, document), f"Revision {revision.digest[:DIGITS]} stays in force."


def _state(revision: MappingRevision, document: MappingDocument) -> MappingState:
    return MappingState(revision=revision.digest, owner=document.owner, accepted_at=revision.accepted_at)
