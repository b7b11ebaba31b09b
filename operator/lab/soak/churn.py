"""What happens to the fleet: VMs are created, deleted and retagged, as many of each per minute. Called by `run.py`."""

from __future__ import annotations

from random import Random
from typing import Any

from lab.bench import fleet
from lab.rig import Rig


class Churn:
    """The fleet as it should be. Every choice is drawn from `random`, so a seed gives the same changes again."""

    def __init__(self, rig: Rig, random: Random) -> None:
        """Nothing exists yet."""
        self.alive: list[str] = []
        """Names of the VMs that exist."""
        self.changes = 0
        """Creations, deletions and changes of tags so far."""
        self._rig, self._random, self._made = rig, random, 0

    def orders(self, number: int) -> list[dict[str, Any]]:
        """Return orders of VMs that never existed, and count them as alive."""
        subscriptions = self._rig.worlds.described["azure"]["subscriptions"]
        ordered = fleet.orders(number, subscriptions, first=self._made)
        self._made += number
        self.alive += [str(each["name"]) for each in ordered]
        return ordered

    def create(self, number: int) -> None:
        """Create VMs."""
        self._rig.worlds.post("/azure/vms", self.orders(number))
        self.changes += number

    def delete(self, number: int) -> None:
        """Delete VMs as a person does: the machine shuts down, and its VEN says goodbye."""
        for _ in range(min(number, len(self.alive))):
            name = self.alive.pop(self._random.randrange(len(self.alive)))
            self._rig.worlds.post(f"/azure/vms/{name}/delete")
            self.changes += 1

    def retag(self, number: int) -> None:
        """Give VMs the tags of another one: other labels, other groups."""
        for name in self._random.sample(self.alive, min(number, len(self.alive))):
            (other,) = fleet.orders(1, [""], first=self._random.randrange(1000))
            self._rig.worlds.post(f"/azure/vms/{name}/retag", {"tags": other["tags"]})
            self.changes += 1
