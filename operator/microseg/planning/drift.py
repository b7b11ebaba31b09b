"""Drift: what the record says was confirmed still satisfies the mapping, yet the owning system shows something else."""

from __future__ import annotations

from collections.abc import Mapping

from microseg.model.condition import ConditionType
from microseg.model.host import ManagedHost
from microseg.model.plan import DropObject, PutObject, SetLabels
from microseg.model.verdict import Act, Verdict, Wait
from microseg.stages.situation import Situation


def found(
    before: ManagedHost, situation: Situation, verdicts: Mapping[ConditionType, Verdict]
) -> dict[ConditionType, str]:
    """Condition -> a sentence, for each stage that was confirmed as wanted and was changed from outside."""
    drifts: dict[ConditionType, str] = {}
    for kind, difference in ((ConditionType.LABELLED, _labels), (ConditionType.GROUPED, _objects)):
        verdict = verdicts[kind]
        if isinstance(verdict, Act) and (sentence := difference(before, situation, verdict)):
            drifts[kind] = sentence
    agent = verdicts[ConditionType.AGENT_PAIRED]
    lost = isinstance(agent, Act) or (isinstance(agent, Wait) and not agent.doubt)
    if lost and before.status.illumio is not None and before.status.illumio.workload:
        drifts[ConditionType.AGENT_PAIRED] = (
            f"The PCE no longer shows workload {before.status.illumio.workload} with our stamp."
        )
    return drifts


def _labels(before: ManagedHost, situation: Situation, verdict: Act) -> str:
    """Labels that were confirmed as wanted and differ now."""
    record, wanted = before.status.illumio, situation.wanted
    if record is None or wanted is None or not any(isinstance(action, SetLabels) for action in verdict.actions):
        return ""
    confirmed = {label.key: label.value for label in record.labels}
    if not confirmed or any(confirmed.get(key) != value for key, value in wanted.labels):
        return ""
    return "Labels that were set were changed in the PCE."


def _objects(before: ManagedHost, situation: Situation, verdict: Act) -> str:
    """Objects or memberships that were published as wanted and differ now."""
    record, wanted, vm = before.status.check_point, situation.wanted, situation.vm
    if record is None or wanted is None or vm is None or record.published_at is None:
        return ""
    if tuple(sorted(wanted.groups)) != record.groups:
        return ""
    known = {item.address for item in record.hosts}
    touched = [action for action in verdict.actions if isinstance(action, PutObject | DropObject)]
    if any(isinstance(action, PutObject) and action.address not in known for action in touched):
        return ""
    if {address.ip for address in vm.record.addresses()} < known:
        return ""
    return f"Published objects were changed: {', '.join(action.name for action in touched)}."
