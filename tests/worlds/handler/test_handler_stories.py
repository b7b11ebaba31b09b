"""The simulated run-command handler against Azure's own: `make handler-judge` tells each story with both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.worlds.guest.conftest import Pce

from .machine import Machine
from .real_handler import RealMachine
from .simulated_handler import SimulatedMachine
from .stories import STORIES, Seen, Story

GIVEN = os.environ.get("MICROSEG_RUN_COMMAND_HANDLER", "")

pytestmark = pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)


async def tell(story: Story, vm: Machine) -> Seen:
    """Tell a story to its end."""
    try:
        return await story.tell(vm)
    finally:
        await vm.close()


async def test_the_simulated_handler(story: Story, tmp_path: Path, ca_file: Path, pce: Pce) -> None:
    assert await tell(story, SimulatedMachine(tmp_path / "vms", ca_file, pce)) == story.seen


@pytest.mark.skipif(not GIVEN, reason="MICROSEG_RUN_COMMAND_HANDLER does not name Azure's run-command-handler")
async def test_the_real_handler(story: Story, tmp_path: Path, ca_file: Path, pce: Pce) -> None:
    assert await tell(story, RealMachine(tmp_path / "vms", ca_file, pce, Path(GIVEN))) == story.seen
