"""What a life is when nothing goes wrong: its messages, and how everything looks at its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.processes import wait_until
from lab.rig import Rig
from lab.sweep.lives import LIVES, Life
from lab.sweep.looks import Look, look
from lab.sweep.points import Message
from lab.sweep.stand import Ground
from simulators.ledger import Entry

_ENDS_WITHIN = 60.0
_NOT_THE_OPERATOR = ("world.", "software.", "agents.", "pairing_profiles.create")
"""Beginnings of operations that VMs, people and the lab ask for."""


@dataclass(frozen=True, slots=True)
class Recording:
    """All messages of the lives, in order, and life -> how everything looks after it."""

    messages: tuple[Message, ...]
    ends: dict[str, Look]

    def write(self, path: Path) -> None:
        """Keep it, so that one point can be repeated without recording anew."""
        document = {"messages": [asdict(each) for each in self.messages], "ends": self.ends}
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read one that was kept."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(tuple(Message(**each) for each in document["messages"]), document["ends"])


def record(ground: Ground, folder: Path, pool: Executor) -> Recording:
    """Tell every life once with nothing going wrong, side by side."""
    told = [pool.submit(_tell, ground, folder, life) for life in LIVES.values()]
    results = [each.result() for each in told]
    messages = tuple(message for found, _ in results for message in found)
    return Recording(messages, {life.name: end for life, (_, end) in zip(LIVES.values(), results, strict=True)})


def _tell(ground: Ground, folder: Path, life: Life) -> tuple[list[Message], Look]:
    with ground.stand(folder / f"recording-{life.name}", f"recording-{life.name}") as rig:
        life.prepare(rig)
        since = rig.worlds.ledger()[-1].seq
        life.begin(rig)
        rig.wait_until(lambda: life.over(rig.hosts()), seconds=_ENDS_WITHIN, what=f"the end of {life.name}")
        end = _steady(rig)
        return numbered(life.name, rig.worlds.ledger(since=since)), end


def _steady(rig: Rig) -> Look:
    """How everything looks when it looks the same twice in a row and nothing is under way."""
    looks: list[Look] = [{}]

    def same() -> bool:
        looks.append(look(rig))
        conditions = rig.estate()["status"]["conditions"]
        done = any(each["type"] == "Reconciling" and each["status"] == "False" for each in conditions)
        return done and looks[-1] == looks[-2]

    wait_until(same, seconds=_ENDS_WITHIN, what="nothing changes any more", pause=1.5)
    return looks[-1]


def numbered(life: str, entries: Sequence[Entry]) -> list[Message]:
    """The operator's requests among the entries, each with its number among those of its operation."""
    count: Counter[tuple[str, str]] = Counter()
    messages = []
    for entry in entries:
        if entry.operation.startswith(_NOT_THE_OPERATOR):
            continue
        count[entry.system, entry.operation] += 1
        messages.append(Message(life, entry.system, entry.operation, count[entry.system, entry.operation]))
    return messages
