"""A settled fleet behind a relay to the API server, and what people do with it. Called by `run.py` and `storms.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab import estate
from lab.bench import fleet
from lab.bench.run import TEMPO
from lab.controlplane import ControlPlane
from lab.processes import run_program
from lab.relay import Relay
from lab.resting import onboard
from lab.rig import Rig, Say
from simulators.background import Background

_OPTIONS = ("--limits", "--guests", "fast")
_SHORTER = {"goodbye_seconds": 60, "unpair_timeout_seconds": 120}
"""What the PCE waits for a VEN that is gone: a quarter of an hour each is most of a retirement, and nothing happens."""
_PATIENCE_PER_HOST, _LEAST_PATIENCE = 1.5, 180.0
_TENTH = """\
      - {name: tenth-web, when: {name: ["*0"], tags: {rol: [web]}}, value: Database}
      - {name: tenth-database, when: {name: ["*0"], tags: {rol: [db]}}, value: Web}
"""
"""Swaps role and group of the VMs whose names end in 0. None is left without a group: its object would rightly go."""
_BEFORE_ROLES = "      - {name: web, when:"
_HELD_WITHIN = 60.0
_WORD = "microseg approve plan "


class Settled:
    """The fleet. `relay` is the operator's way to the API server, in `background`."""

    def __init__(self, rig: Rig, plane: ControlPlane, relay: Relay, background: Background, hosts: int) -> None:
        """Everything runs, and is commissioned."""
        self.rig, self.plane, self.relay, self.background = rig, plane, relay, background
        self.hosts = hosts
        """How many VMs there are."""
        self.subscriptions: list[str] = rig.worlds.described["azure"]["subscriptions"]
        self._made = hosts
        self._swapped = False
        self._names = [str(each["name"]) for each in fleet.orders(hosts, self.subscriptions)]

    @classmethod
    @contextmanager
    def build(cls, folder: Path, hosts: int, say: Say) -> Iterator[Settled]:
        """Commission a fleet, with the vendors' rate limits enforced. Raises NotInTime."""
        with (
            ControlPlane.start(folder / "control-plane") as plane,
            Rig.build(folder, cluster=plane, tempo=TEMPO, world_options=_OPTIONS, say=say) as rig,
            Background() as background,
        ):
            relay = Relay("127.0.0.1", urlsplit(plane.url).port or 0)
            port = background.run(relay.open())
            try:
                config = rig.operator_kubeconfig
                text = config.read_text(encoding="utf-8").replace(plane.url, f"https://127.0.0.1:{port}")
                config.write_text(text, encoding="utf-8")
                rig.worlds.post("/illumio/traits", _SHORTER)
                rig.apply_estate(_bounds)
                rig.operator.start()
                settled = cls(rig, plane, relay, background, hosts)
                say(f"{hosts} VMs are created and commissioned")
                ordered = fleet.orders(hosts, settled.subscriptions)
                onboard(rig, ordered, seconds=_LEAST_PATIENCE + hosts * _PATIENCE_PER_HOST)
                yield settled
                rig.operator.stop()  # before its way to the API server ends
            finally:
                background.run(relay.close())

    def delete_vms(self, percent: int) -> None:
        """Delete VMs, the oldest ones first, as people do: the machine shuts down, and its VEN says goodbye."""
        number = max(1, self.hosts * percent // 100)
        for name in self._names[:number]:
            self.rig.worlds.post(f"/azure/vms/{name}/delete")
        del self._names[:number]
        self.hosts -= number

    def create_vms(self, number: int, subscription: str) -> None:
        """Create VMs in one subscription."""
        ordered = fleet.orders(number, [subscription], first=self._made)
        self._made += number
        self._names += [str(each["name"]) for each in ordered]
        self.hosts += number
        self.rig.worlds.post("/azure/vms", ordered)

    def remap(self) -> None:
        """Give the VMs whose names end in 0 another role, or their own again; approve it, as it will be held."""
        self._swapped = not self._swapped
        documents = estate.documents(self.rig.worlds, self.rig.namespace)
        text = next(str(each["data"]["mapping.yaml"]) for each in documents if "mapping.yaml" in each.get("data", {}))
        if self._swapped:
            text = text.replace(_BEFORE_ROLES, _TENTH + _BEFORE_ROLES, 1)
        self.rig.apply_estate(_bounds, mapping=text)
        told = self.rig.wait_until(self._held, seconds=_HELD_WITHIN, what="the change of the mapping is held")
        approval = told.partition(_WORD)[2].split("`")[0]
        where = ("-n", self.rig.namespace, "--kubeconfig", self.plane.admin_kubeconfig)
        run_program([sys.executable, "-m", "microseg", "approve", "plan", approval, "--reason", "CHG-1", *where])

    def _held(self) -> str:
        conditions = self.rig.estate()["status"]["conditions"]
        held = (each for each in conditions if (each["type"], each["status"]) == ("PlanHeld", "True"))
        return next((str(each["message"]) for each in held if _WORD in each["message"]), "")


def _bounds(estate_: dict[str, Any]) -> None:
    """Retirements are not what is measured, so their hour lets them all through; one VM in twenty is a large change."""
    estate_["spec"]["retirement"] = {"missedPolls": 2, "after": "5s", "maxPerHour": {"count": 10_000, "percent": 100}}
    estate_["spec"]["guard"] = {"maxChangedPercent": 5}
