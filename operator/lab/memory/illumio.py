"""The PCE in memory: workloads, labels and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from lab.memory import samples as m
from lab.memory.scripted import Journal, Scripted
from microseg.gateways.ports import Reading, Rejected, Wait, WorkloadChange
from microseg.model.illumio_facts import Label, PairingProfile, Workload
from microseg.model.secret import Secret

CODE = "activation-code-5f2e"


class FakeIllumio(Scripted):
    """Workloads, labels and keys; `bad` hrefs make a call for them fail."""

    system = "illumio"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.stored: dict[str, Workload] = {}
        self.known = [Label(key, value, href) for (key, value), href in m.LABELS.items()]
        self.profile = m.PROFILE
        self.bad: set[str] = set()
        self.unlisted: set[str] = set()
        """Hrefs that the list lacks and a GET shows."""

    def problems(self) -> tuple[str, ...]:
        return self.left_out

    def workloads(self) -> Reading[tuple[Workload, ...]]:
        yield Wait()
        self.asked("workloads")
        return tuple(each for each in self.stored.values() if each.href not in self.unlisted)

    def workload(self, href: str) -> Reading[Workload | None]:
        yield Wait()
        self.asked("workload", href)
        return self.stored.get(href)

    def time(self) -> datetime | None:
        return None

    def labels(self) -> Reading[tuple[Label, ...]]:
        yield Wait()
        self.asked("labels")
        return tuple(self.known)

    def profiles(self) -> Reading[tuple[PairingProfile, ...]]:
        yield Wait()
        self.asked("profiles")
        return (self.profile,)

    def make_key(self, profile: PairingProfile) -> Secret:
        self.asked("make_key", profile.name)
        self.answered("make_key")
        return Secret(CODE)

    def create_label(self, key: str, value: str) -> Label:
        self.asked("create_label", key, value)
        label = Label(key, value, f"/orgs/50/labels/{key}-{value}")
        if self.takes("create_label"):
            self.known.append(label)
        self.answered("create_label")
        return label

    def update_workloads(self, changes: Sequence[WorkloadChange]) -> dict[str, str]:
        self.asked("update_workloads", tuple(changes))
        failures: dict[str, str] = {}
        for change in changes:
            if change.href in self.bad:
                failures[change.href] = "it is bad."
                continue
            if not self.takes("stamp" if change.external_set is not None else "enforce"):
                continue
            found = self.stored[change.href]
            self.stored[change.href] = replace(
                found,
                external_set=found.external_set if change.external_set is None else change.external_set,
                external_reference=change.external_reference or found.external_reference,
                enforcement_mode=change.enforcement_mode or found.enforcement_mode,
            )
        self.answered("update_workloads")
        return failures

    def set_labels(self, workloads: Sequence[str], labels: Sequence[str], clear: Sequence[str]) -> None:
        self.asked("set_labels", tuple(workloads), tuple(labels), tuple(clear))
        if self.bad & set(workloads):
            raise Rejected("one of them is bad.")
        by_href = {label.href: label for label in self.known}
        for href in workloads if self.takes("set_labels") else ():
            desired = [by_href[label] for label in labels]
            gone = {label.key for label in desired} | set(clear)
            kept = [label for label in self.stored[href].labels if label.key not in gone]
            self.stored[href] = replace(self.stored[href], labels=(*kept, *desired))
        self.answered("set_labels")

    def unpair(self, vens: Sequence[str], restore: str) -> dict[str, str]:
        self.asked("unpair", tuple(vens), restore)
        if self.takes("unpair"):
            self.stored = {href: found for href, found in self.stored.items() if found.ven not in vens}
        self.answered("unpair")
        return {}
