"""How long Azure takes for things, in vendor seconds: each is divided by the clock's scale when waited for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The latencies of this world.

    `pickup`: from the PUT of a run-command until its script starts (learn.microsoft.com says about 20 s at least);
    `report`: from the script's end until Azure shows it; `agent_patience`: how long Azure waits for a silent agent
    (25 min in Azure/azure-powershell#5741).
    """

    pickup: float = 20.0
    report: float = 5.0
    remove: float = 15.0
    agent: float = 30.0
    agent_patience: float = 1500.0
    boot: float = 25.0
    stop: float = 20.0
    create: float = 20.0
