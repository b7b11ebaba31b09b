"""The life of a host on one screen: five stages, judged in this order, each unaware of the others.

    discovery ─▶ agent ─▶ labels
        └──────▶ grouping ─▶ policy          (grouping does not wait for the agent)

A stage is a pure function from a `HostContext` to a `Verdict`. It does nothing outside and keeps no state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from microseg.model.condition import ConditionType
from microseg.model.verdict import Verdict
from microseg.stages import agent, discovery, grouping, labels, policy
from microseg.stages.context import HostContext


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a host's protection."""

    condition: ConditionType
    """What it is called in status."""
    doing: str
    """`status.stage` while it is the first that is not satisfied."""
    judge: Callable[[HostContext], Verdict]


STAGES = (
    Stage(ConditionType.DISCOVERED, "Discovered", discovery.judge),
    Stage(ConditionType.AGENT_PAIRED, "Pairing", agent.judge),
    Stage(ConditionType.LABELLED, "Labelling", labels.judge),
    Stage(ConditionType.GROUPED, "Grouping", grouping.judge),
    Stage(ConditionType.POLICY_INSTALLED, "InstallingPolicy", policy.judge),
)
"""In the order in which people read them; `planning/decide.py` runs them."""
