"""One run of a script inside a VM: what `handler.py` orders of a guest, and what the guest answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Execution:
    """A script with its parameters, as the handler starts it. Times are real seconds.

    `environment`: named parameters; `arguments`: nameless ones, which the shell splits; `timeout`: how long after its
    start the script's own process is killed; `partial`: how often `show` gets stdout and stderr so far; `killed`: set
    when something in the VM kills the script's own process (the OOM killer).
    """

    name: str
    sequence: int
    script: str = field(repr=False)
    environment: dict[str, str] = field(repr=False, default_factory=dict)
    arguments: tuple[str, ...] = field(repr=False, default=())
    timeout: float = 5400.0
    partial: float = 15.0
    show: Callable[[str, str], None] = field(repr=False, default=lambda _stdout, _stderr: None)
    killed: asyncio.Event = field(repr=False, default_factory=asyncio.Event)


class ScriptResult(Protocol):
    """The result of a script, with the last 4,096 bytes per stream; `exit_code` is -1 if a signal ended it.

    `failure` says why the handler could not start it; empty: it was started.
    """

    @property
    def exit_code(self) -> int: ...  # noqa: D102
    @property
    def stdout(self) -> str: ...  # noqa: D102
    @property
    def stderr(self) -> str: ...  # noqa: D102
    @property
    def failure(self) -> str: ...  # noqa: D102
    @property
    def timed_out(self) -> bool: ...  # noqa: D102
