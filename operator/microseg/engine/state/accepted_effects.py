"""Counts, per effect that a system accepted, the complete readings that still show what was there before (L6).

An effect that is accepted and not seen would be asked for again at every reading, for ever: a label that the PCE lists
under another spelling, a publish that changes nothing. After `ENOUGH` readings it is held for an hour, or until what is
desired or what is shown changes. Memory only: after a restart it is tried again, as often as before. `HostTable` owns
it, the lanes report through the table; the policy installs count by the same `Series`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from microseg.engine.ground.ports import Clock
from microseg.engine.state.latest import Latest
from microseg.model.condition import ConditionType
from microseg.model.plan import (
    Action,
    CreateLabel,
    DropObject,
    PutObject,
    RaiseEnforcement,
    ReleaseAddress,
    SetLabels,
    StampWorkload,
)
from microseg.model.spelling import fold
from microseg.model.untaken import Subject, Untaken, shared, subject
from microseg.model.verdict import Act, Done, Verdict

ENOUGH = 3
"""Complete readings after which an accepted effect should be seen."""
MOST = 9
"""Tries of one effect in an hour, however often what is desired or shown changes meanwhile."""
PAUSE = timedelta(hours=1)
"""Until an effect that does not take is tried again; such a try is looked at by one reading."""
REFUSED_PAUSE = timedelta(minutes=10)
"""The same for an effect that the system refused each time: only a person can have mended the cause."""


@dataclass(slots=True)
class Series:
    """The tries of one effect, from the first that was accepted."""

    desired: object
    shown: object
    since: datetime
    tries: int = 1
    readings: int = 0
    until: datetime | None = None
    """It does not take, and is held until then; None: it may be tried."""
    pause: timedelta = PAUSE

    @property
    def exhausted(self) -> bool:
        """Whether it was tried too often, whatever changed meanwhile."""
        return self.tries >= MOST

    def tried(self, desired: object, shown: object, now: datetime, *, refused: bool = False) -> None:
        """It was accepted once more, or refused."""
        again = self.until is not None and self.until <= now and (desired, shown) == (self.desired, self.shown)
        if again or now - self.since >= PAUSE:
            self.since, self.tries = now, 0
        if again:
            self.readings = ENOUGH - 1
        elif (desired, shown) != (self.desired, self.shown):
            self.readings = 0
        self.desired, self.shown, self.until = desired, shown, None
        self.pause = REFUSED_PAUSE if refused else PAUSE
        self.tries += 1

    def looked(self, shown: object, now: datetime) -> bool:
        """A complete reading shows this. Returns whether it is held now and was not before, or the other way round."""
        held = self.until is not None
        if shown != self.shown:
            self.shown, self.readings = shown, 0
            if not self.exhausted:
                self.until = None
        else:
            self.readings += 1
        if self.until is None and (self.readings >= ENOUGH or self.exhausted):
            self.until = now + self.pause
        return held != (self.until is not None)


class AcceptedEffects:
    """The series of every effect that was accepted and is not seen yet."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none."""
        self._clock = clock
        self._by_host: dict[str, dict[Subject, tuple[Action, Series]]] = {}
        """VmId -> subject -> effect; those that all hosts share are at the empty vmId."""

    def tried(self, action: Action, latest: Latest, *, refused: bool) -> None:
        """A system accepted it, or refused this one effect; it is seen, or not, at the next readings."""
        effect, about = shared(action), subject(action)
        if about is None:
            return
        series_of = self._by_host.setdefault(effect.vm_id, {})
        shown, now = _shown(effect, latest), self._clock()
        known = series_of.get(about)
        series = known[1] if known is not None else Series(effect, shown, now, tries=0)
        series.tried(effect, shown, now, refused=refused)
        series_of[about] = effect, series

    def looked(self, system: str, latest: Latest, everybody: Iterable[str]) -> Iterable[str]:
        """A complete reading of this system. Returns the vmIds for whom something is held now, or no longer."""
        now = self._clock()
        self._labels_seen(latest)
        concerned = {
            vm_id
            for vm_id, series_of in self._by_host.items()
            for effect, series in series_of.values()
            if _system(effect) == system and series.looked(_shown(effect, latest), now)
        }
        return everybody if "" in concerned else concerned

    def decided(self, vm_id: str, verdicts: Mapping[ConditionType, Verdict]) -> None:
        """What a stage that is certain asks for no more was seen, or is not desired any more: its series ends."""
        series_of = self._by_host.get(vm_id)
        if not series_of:
            return
        certain = {kind: verdict for kind, verdict in verdicts.items() if isinstance(verdict, Done | Act)}
        asked = {subject(action) for verdict in certain.values() for action in verdict.actions}
        ended = {about for about, (effect, _) in series_of.items() if about not in asked and _stage(effect) in certain}
        self._end(vm_id, ended)

    def _labels_seen(self, latest: Latest) -> None:
        """Labels that the PCE lists now were created."""
        if "" in self._by_host and latest.illumio is not None:
            listed = {(key, fold(value)) for key, value in latest.illumio.labels}
            self._end("", {about for about in self._by_host[""] if (about[1], fold(about[2])) in listed})

    def try_again(self) -> None:
        """A person wants everything tried anew."""
        self._by_host.clear()

    def forget(self, vm_id: str) -> None:
        """The host's record is gone."""
        self._by_host.pop(vm_id, None)

    def untaken(self, vm_id: str) -> tuple[Untaken, ...]:
        """What does not take for this host."""
        return tuple(self._untaken("")) + tuple(self._untaken(vm_id)) if self._by_host else ()

    def _untaken(self, vm_id: str) -> Iterator[Untaken]:
        for about, (effect, series) in self._by_host.get(vm_id, {}).items():
            if series.until is not None:
                yield Untaken(about, None if series.exhausted else effect, series.until)

    def _end(self, vm_id: str, subjects: Iterable[Subject]) -> None:
        for about in subjects:
            del self._by_host[vm_id][about]
        if not self._by_host[vm_id]:
            self.forget(vm_id)


def _system(effect: Action) -> str:
    """Whose readings show it."""
    return "checkpoint" if isinstance(effect, PutObject | DropObject | ReleaseAddress) else "illumio"


def _stage(effect: Action) -> ConditionType:
    """The stage that asks for it while the VM lives."""
    match effect:
        case StampWorkload() | RaiseEnforcement():
            return ConditionType.AGENT_PAIRED
        case CreateLabel() | SetLabels():
            return ConditionType.LABELLED
        case PutObject() | DropObject() | ReleaseAddress():
            return ConditionType.GROUPED
        case _:
            return ConditionType.DISCOVERED


def _shown(effect: Action, latest: Latest) -> object:
    """What the latest reading shows in the place that the effect changes; compared with itself only."""
    match effect:
        case PutObject(vm_id, name, uid) | DropObject(vm_id, name, uid):
            return _objects(latest, vm_id, name, uid)
        case ReleaseAddress(_, name, uid):
            return _objects(latest, "", name, uid)
        case StampWorkload() | RaiseEnforcement() | SetLabels():
            return _workload(effect, latest)
        case CreateLabel(_, key, value):
            labels = latest.illumio.labels if latest.illumio is not None else {}
            return sorted(each for kind, each in labels if kind == key and fold(each) == fold(value))
        case _:
            return None


def _workload(effect: StampWorkload | RaiseEnforcement | SetLabels, latest: Latest) -> object:
    """The part of the workload that the effect writes."""
    workload = latest.illumio.workloads.get(effect.workload) if latest.illumio is not None else None
    if workload is None:
        return None
    match effect:
        case StampWorkload():
            return workload.external_set, workload.external_reference
        case RaiseEnforcement():
            return workload.enforcement_mode
        case SetLabels(_, _, labels, clear):
            keys = {key for key, _ in labels} | set(clear)
            return sorted((label.key, label.href) for label in workload.labels if label.key in keys)


def _objects(latest: Latest, vm_id: str, name: str, uid: str) -> object:
    """The published object, by uid or by name: of this VM, or of any."""
    if latest.check_point is None:
        return None
    listed = latest.check_point.own.get(vm_id, ()) if vm_id else latest.check_point.objects
    found = [item for item in listed if item.uid == uid or fold(item.name) == fold(name)]
    return sorted((item.name, item.address, sorted(item.groups)) for item in found)
