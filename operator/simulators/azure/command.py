"""A run-command and a long-running operation as this world holds them.

A VM (`machine.py`) has run-commands; the desk (`commands.py`) makes and ends both; `render_commands.py` writes their
JSON.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from simulators.azure.bodies import CommandOrder
from simulators.faults import Outcome

ExecutionState = Literal["Unknown", "Pending", "Running", "Failed", "Succeeded", "TimedOut", "Canceled"]
Provisioning = Literal["Creating", "Updating", "Succeeded", "Failed", "Canceled", "Deleting"]
OperationStatus = Literal["InProgress", "Succeeded", "Failed", "Canceled"]


@dataclass(slots=True)
class Operation:
    """A long-running operation as its status URL shows it; `started` and `ended` are epoch seconds.

    `outcome` is the end that a fault ordered: `lost`: nobody knows it; `failed`: it fails though its effect happened;
    `half`: it succeeds and its effect is never seen to end; `endless`: it stays in progress.
    """

    id: str
    subscription: str
    location: str
    vm: str
    started: float
    status: OperationStatus = "InProgress"
    ended: float | None = None
    code: str = ""
    message: str = ""
    outcome: Outcome | None = None


@dataclass(slots=True)
class Command:
    """A run-command resource of one VM and its latest execution."""

    name: str
    order: CommandOrder
    operation: Operation
    provisioning: Provisioning = "Creating"
    state: ExecutionState = "Pending"
    message: str = ""
    exit_code: int | None = None
    output: str = ""
    error: str = ""
    started: float | None = None
    ended: float | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def busy(self) -> bool:
        """Whether an execution is under way."""
        return self.task is not None and not self.task.done()
