"""One line of the verdict. The verdict and the mapping's chapter make them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be true, and what was seen."""

    passed: bool
    sentence: str
