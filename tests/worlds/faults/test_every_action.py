"""No action of the fault plan is without a test that shows the vendor's own client meeting it, in each world."""

from __future__ import annotations

import pytest

from simulators.faults import BENDS, DEEDS, WIRE

from . import covering, test_azure_faults, test_checkpoint_faults, test_illumio_faults

_MARKED = (test_azure_faults, test_illumio_faults, test_checkpoint_faults)  # importing them marks their tests


@pytest.mark.parametrize("system", ["azure", "illumio", "checkpoint"])
def test_every_action_is_met_in_every_world_or_refused_by_it(system: str) -> None:
    assert _MARKED
    assert covering.shown[system] == WIRE | BENDS | DEEDS
