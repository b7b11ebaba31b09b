"""The stub of a PCE and its authority, for the stories in which the operator's own script runs."""

from __future__ import annotations

from tests.worlds.guest.conftest import Pce, ca_file, pce

__all__ = ["Pce", "ca_file", "pce"]
