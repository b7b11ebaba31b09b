"""Every fault action has, per system, a test in which the vendor's own client meets it."""

from __future__ import annotations

import pytest

from simulators.faults import HTTP_FAULTS, LIST_FAULTS, SYSTEM_ACTIONS

from . import (
    fault_coverage,
    test_azure_faults,
    test_azure_list_faults,
    test_checkpoint_faults,
    test_checkpoint_list_faults,
    test_illumio_faults,
)

_MARKED = (
    test_azure_faults,
    test_azure_list_faults,
    test_illumio_faults,
    test_checkpoint_faults,
    test_checkpoint_list_faults,
)  # importing them marks their tests


@pytest.mark.parametrize("system", ["azure", "illumio", "checkpoint"])
def test_fault_coverage_is_met_in_every_system_or_refused_by_it(system: str) -> None:
    assert _MARKED
    assert fault_coverage.covered[system] == HTTP_FAULTS | LIST_FAULTS | SYSTEM_ACTIONS
