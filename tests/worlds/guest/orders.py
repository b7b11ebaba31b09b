"""Executions for guests' tests, each of a name of its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from simulators.azure.execution import Execution

_numbers = itertools.count(1)


def ordered(script: str, parameters: Mapping[str, str], seconds: float = 50.0) -> Execution:
    """What the handler orders for a script: its time is real seconds, and an empty parameter is not set."""
    given = {name: value for name, value in parameters.items() if value}
    return Execution(f"test-{next(_numbers)}", 0, script, given, timeout=seconds)
