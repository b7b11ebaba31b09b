"""A run-command and a long-running operation.

A VM (`machine.py`) has run-commands; `commands.py` starts and ends both, `handler.py` runs them inside the VM;
`render_commands.py` writes their JSON.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from simulators.azure.bodies import RunCommandSpec
from simulators.azure.execution import Execution
from simulators.faults import Outcome

ExecutionState = Literal["Unknown", "Pending", "Running", "Failed", "Succeeded", "TimedOut", "Canceled"]
Provisioning = Literal["Creating", "Updating", "Succeeded", "Failed", "Canceled", "Deleting"]
OperationStatus = Literal["InProgress", "Succeeded", "Failed", "Canceled"]


@dataclass(slots=True)
class Operation:
    """A long-running operation as its status URL shows it; `started` and `ended` are epoch seconds.

    `outcome` is the end that a fault decided: `lost`: a GET is 404; `failed`: it fails although its effect happened;
    `half`: it succeeds, but its effect never shows its end; `endless`: it stays in progress.
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


@dataclass(frozen=True, slots=True)
class Report:
    """What the handler in the VM tells of an execution. It never tells `TimedOut` or `Canceled`."""

    state: ExecutionState = "Pending"
    message: str = ""
    exit_code: int = 0
    output: str = ""
    error: str = ""


@dataclass(slots=True)
class Command:
    """A run-command resource of one VM and its latest execution.

    `sequence` counts the accepted PUTs of its name from 0, and from 0 again after a deletion (inferred: the symptom is
    MicrosoftDocs/azure-compute-docs#178). `runs`: how often its script ran. `execution`: the one that runs now; `lost`:
    the handler that began it is gone, so nobody reports its end; `reported`: the handler wrote its end, and Azure shows
    it soon.
    """

    name: str
    order: RunCommandSpec
    operation: Operation
    sequence: int = 0
    provisioning: Provisioning = "Creating"
    report: Report = field(default_factory=Report)
    runs: int = 0
    lost: bool = False
    reported: bool = False
    started: float | None = None
    ended: float | None = None
    execution: Execution | None = field(default=None, repr=False)
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def busy(self) -> bool:
        """Whether it waits for its run, runs, or its operation is in progress."""
        return self.task is not None and not self.task.done()
