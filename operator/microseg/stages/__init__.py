"""The life of a host on one screen: five stages, judged in this order, each unaware of the others.

    discovery ─▶ agent ─▶ labels
        └──────▶ firewall ─▶ policy          (the firewall does not wait for the agent)

A stage is a pure function from a `Situation` to a `Verdict`. It performs nothing and remembers nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from microseg.model.condition import ConditionType
from microseg.model.verdict import Verdict
from microseg.stages import agent, discovery, firewall, labels, policy
from microseg.stages.situation import Situation


@dataclass(frozen=True, slots=True)
class Stage:
    """One step that a host must hold."""

    condition: ConditionType
    """What it is called in status."""
    doing: str
    """`status.stage` while it is the first that does not hold."""
    judge: Callable[[Situation], Verdict]


STAGES = (
    Stage(ConditionType.DISCOVERED, "Discovered", discovery.judge),
    Stage(ConditionType.AGENT_PAIRED, "Pairing", agent.judge),
    Stage(ConditionType.LABELLED, "Labelling", labels.judge),
    Stage(ConditionType.GROUPED, "Grouping", firewall.judge),
    Stage(ConditionType.POLICY_INSTALLED, "Installing", policy.judge),
)
"""In the order in which people read them; `planning/decide.py` runs them."""
