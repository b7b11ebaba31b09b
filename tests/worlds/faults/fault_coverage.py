"""Records which fault action of which system a test covers; `test_fault_coverage.py` finds actions without a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import requests

from simulators.faults import Action

Test = TypeVar("Test", bound=Callable[..., object])
covered: dict[str, set[Action]] = {"azure": set(), "illumio": set(), "checkpoint": set()}


def covers(system: str, *actions: Action) -> Callable[[Test], Test]:
    """Mark a test in which the vendor's own client meets these actions."""

    def mark(test: Test) -> Test:
        covered[system].update(actions)
        return test

    return mark


def inject(control: str, system: str, operation: str, action: Action, **more: Any) -> None:
    """Inject a fault by the control port, as people do."""
    fault = {"system": system, "operation": operation, "action": action, **more}
    answer = requests.post(f"{control}/faults", json=fault, timeout=5)
    assert answer.status_code == 201, answer.text


def refusal(control: str, system: str, operation: str, action: Action, **more: Any) -> str:
    """Return why this system refuses such a fault."""
    fault = {"system": system, "operation": operation, "action": action, **more}
    answer = requests.post(f"{control}/faults", json=fault, timeout=5)
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])
