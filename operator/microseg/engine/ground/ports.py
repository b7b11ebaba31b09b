"""What an engine needs of the cluster and of its Lease: protocols, so that tests run it in memory."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from microseg.kube.secrets import ConfigMapData
from microseg.model.estate import Estate
from microseg.model.estate_status import EstateStatus
from microseg.model.host import HostStatus, ManagedHost


class HostStore(Protocol):
    """The ManagedHosts of a namespace (`kube.hosts.Hosts`)."""

    def create(self, vm_name: str, vm_id: str, estate_name: str) -> ManagedHost:
        """Make the record of a VM, or find it."""

    def read(self, name: str) -> ManagedHost:
        """Read one."""

    def patch_status(self, host: ManagedHost, status: HostStatus) -> ManagedHost:
        """Compare-and-swap of the status."""

    def delete(self, name: str, uid: str) -> None:
        """Delete that very record; one that is gone already is as wanted."""

    def clear_annotation(self, host: ManagedHost, key: str) -> ManagedHost:
        """Take an annotation off that was acted on."""


class EstateStore(Protocol):
    """The Estates (`kube.estates.Estates`)."""

    def read(self, namespace: str, name: str) -> Estate:
        """Read one."""

    def patch_status(self, estate: Estate, status: EstateStatus) -> Estate:
        """Compare-and-swap of the status."""


class EventSink(Protocol):
    """Where Events go (`kube.events.Events`)."""

    def post(
        self,
        regarding: ManagedHost | Estate | ConfigMapData,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        action: str = "Reconcile",
    ) -> bool:
        """Post one Event; never raises."""


class Term(Protocol):
    """The time for which this process holds the estate's Lease."""

    @property
    def number(self) -> int:
        """Counts the holders; part of the session's name."""

    def check(self) -> None:
        """Raise LeaseLost if the Lease may have run out: called right before every effect outside."""


class LeaseLost(Exception):
    """The Lease may have run out: nothing outside may be called any more."""


class SpecChanged(Exception):
    """The Estate's spec is another than the engine was built from: it ends at once, and is built anew."""


class Clock(Protocol):
    """The wall clock, as a value for decisions."""

    def __call__(self) -> datetime:
        """Now, in UTC."""
