"""The Estate: the VMs of some subscriptions, and the one PCE organisation and Check Point domain that protect them.

`handlers/` decode it, `build_gateways.py` builds gateways from its spec.
"""

from __future__ import annotations

from msgspec import field

from microseg.model.estate_spec import EstateSpec, Mode
from microseg.model.estate_status import EstateStatus
from microseg.model.fields import Frozen


class Estate(Frozen, frozen=True, kw_only=True):
    """An Estate as the operator holds it."""

    name: str
    namespace: str
    spec: EstateSpec
    status: EstateStatus = EstateStatus()
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    deleting: bool = False
    approver: str = ""
    """Who wrote the annotation `approve` last, and when, by the API server's managedFields."""

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return (self.namespace, self.name)

    @property
    def owner_id(self) -> str:
        """What every mark in the outside systems contains."""
        return self.spec.owner_id or f"{self.namespace}/{self.name}"

    @property
    def enforcing(self) -> bool:
        """Whether anything outside may change. Every word but `Adopt` and `Enforce` means no."""
        return self.spec.mode in {Mode.ADOPT, Mode.ENFORCE} and not self.spec.suspend and not self.deleting

    @property
    def runs_scripts(self) -> bool:
        """Whether run-commands may be started and deleted on VMs."""
        return self.enforcing and self.spec.mode == Mode.ENFORCE
