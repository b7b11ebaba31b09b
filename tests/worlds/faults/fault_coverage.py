"""Which fault action of which world a test shows: `test_every_action.py` finds those that no test shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import requests

from simulators.faults import Action

Test = TypeVar("Test", bound=Callable[..., object])
shown: dict[str, set[Action]] = {"azure": set(), "illumio": set(), "checkpoint": set()}


def shows(system: str, *actions: Action) -> Callable[[Test], Test]:
    """Mark a test: it shows the vendor's own client meeting these actions."""

    def mark(test: Test) -> Test:
        shown[system].update(actions)
        return test

    return mark


def order(control: str, system: str, operation: str, action: Action, **more: Any) -> None:
    """Order a failure over the control port, as people do."""
    fault = {"system": system, "operation": operation, "action": action, **more}
    answer = requests.post(f"{control}/faults", json=fault, timeout=5)
    assert answer.status_code == 201, answer.text


def refusal(control: str, system: str, operation: str, action: Action, **more: Any) -> str:
    """Why this world does not take such an order."""
    fault = {"system": system, "operation": operation, "action": action, **more}
    answer = requests.post(f"{control}/faults", json=fault, timeout=5)
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"])
