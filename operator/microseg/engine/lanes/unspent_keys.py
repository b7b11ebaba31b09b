"""One-use keys that Azure certainly did not take along: the next start of the same VM uses them while they are fresh.

A key is made right before the start that needs it. Where Azure puts that start off or refuses it, the key is still
good: making another one with every try would fill the PCE with keys that nobody uses. Memory only, so a restart makes
one more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from microseg.engine.ground.ports import Clock
from microseg.model.illumio_facts import PairingProfile
from microseg.model.secret import Secret


@dataclass(frozen=True, slots=True)
class PairingKey:
    """A key and what it came from."""

    secret: Secret
    profile: PairingProfile
    made_at: datetime

    @property
    def usable_until(self) -> datetime:
        """Half of its life is left for the start of the script: Azure may begin minutes after it took the start."""
        return self.made_at + timedelta(seconds=(self.profile.key_life or 0) / 2)

    @property
    def dies_at(self) -> datetime:
        """When the PCE takes it no longer."""
        return self.made_at + timedelta(seconds=self.profile.key_life or 0)


class UnspentKeys:
    """At most one key per VM."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none."""
        self._clock = clock
        self._keys: dict[str, PairingKey] = {}

    def keep(self, vm_id: str, key: PairingKey) -> None:
        """Azure certainly did not take it: it may be used once more."""
        self._keys[vm_id] = key

    def of(self, vm_id: str, profile: object) -> PairingKey | None:
        """The key that may still be used for this VM; None: there is none, or another profile is to be used now."""
        key = self._keys.get(vm_id)
        if key is None or key.profile != profile or self._clock() >= key.usable_until:
            self._keys.pop(vm_id, None)
            return None
        return key

    def take(self, vm_id: str, profile: PairingProfile) -> PairingKey | None:
        """The same, and it is not here any more: whoever takes it sends it."""
        key = self.of(vm_id, profile)
        self._keys.pop(vm_id, None)
        return key

    def keep_only(self, vm_ids: Collection[str]) -> None:
        """Forget the keys of hosts that are no more."""
        self._keys = {vm_id: key for vm_id, key in self._keys.items() if vm_id in vm_ids}
