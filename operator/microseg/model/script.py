"""A script as a VM gets it: the Azure lane builds it, and `gateways/azure` starts it as a run-command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from microseg.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Script:
    """A constant script with this VM's parameters. Azure never shows `protected` values again."""

    name: str
    location: str
    windows: bool
    text: str
    parameters: Mapping[str, str]
    protected: Mapping[str, Secret]
    timeout: int
    """Seconds."""
    tags: Mapping[str, str]
