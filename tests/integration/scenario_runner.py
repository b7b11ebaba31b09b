"""Tells the stories of a run side by side, each in a thread of its own on a rig of its own (see `life.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.integration.life import TEMPO, Scene
from tests.integration.pages import Tale

from lab import oracles
from lab.controlplane import ControlPlane
from lab.rig import Rig

_AT_ONCE = 6
"""Stories told side by side: each is two processes that mostly wait."""


@dataclass(frozen=True, slots=True)
class Story:
    """What a module's tests look at."""

    name: str
    tell: Callable[[Scene], None]
    own_plane: bool = False
    """It does things to the cluster that others must not meet."""
    module: str = "microseg"
    """What runs in the operator's place; see `lab.operator_process.Operator`."""
    long: bool = False
    """More than a minute: it is begun before the others, so that none of them waits for it in the end."""


class Library:
    """Tells the stories of a run. A context manager: at its end whatever is still told is broken off."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        """`plane` is shared by all stories that do not ask for their own."""
        self._plane, self._folder = plane, folder
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="story")
        self._tales: dict[str, Tale] = {}

    def begin(self, stories: Iterable[Story]) -> Self:
        """Begin to tell them, the long ones first, a few at a time."""
        for story in sorted(stories, key=lambda story: not story.long):
            tale = self._tales[story.name] = Tale(story.name)
            tale.follow(self._pool.submit(self._tell, story, tale))
        return self

    def tale(self, story: Story) -> Tale:
        """The tale of a story that was begun."""
        return self._tales[story.name]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Break off."""
        for tale in self._tales.values():
            tale.abandon()
        self._pool.shutdown(cancel_futures=True)

    def _tell(self, story: Story, tale: Tale) -> None:
        tale.check()
        folder, namespace = self._folder / story.name, f"life-{story.name}"
        cluster = None if story.own_plane else self._plane
        with Rig.build(
            folder, cluster=cluster, namespace=namespace, tempo=TEMPO, audit=True, module=story.module
        ) as rig:
            story.tell(Scene(rig, tale))
            rig.operator.stop()
            broken = oracles.judge(rig)
            assert not broken, "\n".join([f"the story {story.name} broke what must always hold:", *broken, rig.state()])
