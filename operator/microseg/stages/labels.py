"""Stage 3: the workload carries the labels that the mapping wants, set by key, so that other keys stay a person's."""

from __future__ import annotations

from microseg.model.condition import ConditionType, Reason
from microseg.model.facts import Unreadable, Workload
from microseg.model.plan import CreateLabel, SetLabels
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.model.wanted import Wanted
from microseg.stages.situation import Situation


def judge(situation: Situation) -> Verdict:
    """Compare the workload's labels with the wanted ones, key by key."""
    view = situation.facts.pce
    if isinstance(view, Unreadable):
        return Wait(Reason.ILLUMIO_UNREADABLE, "The PCE has not been read completely yet.", doubt=True)
    if situation.vm is None:
        return Wait(
            Reason.AZURE_UNREADABLE, "The VM is not in Azure's list now; nothing is changed.", doubt=True, moving=False
        )
    wanted = situation.wanted
    if wanted is None:
        return Wait(Reason.NO_MAPPING, "No mapping was ever accepted for this estate.", moving=False)
    if wanted.miss:
        return Wait(Reason.MAPPING_MISS, wanted.miss, moving=False)
    workload = view.value.stamped
    if workload is None or ConditionType.AGENT_PAIRED not in situation.held:
        return Wait(Reason.AWAITING_AGENT, "There is no workload to label before the agent is paired.", moving=False)
    return _compare(situation, wanted, workload)


def _compare(situation: Situation, wanted: Wanted, workload: Workload) -> Verdict:
    """Done, or the one call that makes it so; labels that the PCE lacks come first."""
    carried = {label.key: label for label in workload.labels}
    changes = tuple((key, value) for key, value in wanted.labels if _differs(carried.get(key), value))
    ours = set(situation.host.status.illumio.owned_keys) if situation.host.status.illumio else set()
    clear = tuple(key for key in wanted.removed if key in carried and key in ours)
    if not changes and not clear:
        return Done(Reason.LABELS_SET, _sentence(wanted))
    missing = tuple(pair for pair in changes if pair not in situation.estate.labels)
    if missing:
        return _missing(situation, missing)
    hrefs = tuple((key, situation.estate.labels[(key, value)]) for key, value in changes)
    names = ", ".join(f"{key}={value}" for key, value in changes) or f"without {', '.join(clear)}"
    return Act(
        Reason.SETTING_LABELS,
        f"Labels are being set: {names}.{situation.complaint}",
        (SetLabels(situation.vm_id, workload.href, hrefs, clear),),
    )


def _differs(label: object, value: str) -> bool:
    """Whether the workload's label of this key is not the wanted one."""
    return getattr(label, "value", None) != value


def _missing(situation: Situation, missing: tuple[tuple[str, str], ...]) -> Verdict:
    """Labels of the mapping that the PCE does not have."""
    names = ", ".join(f"{key}={value}" for key, value in missing)
    if not situation.estate.create_labels:
        return Blocked(
            Reason.LABEL_MISSING, f"The PCE lacks {names} and createLabels is false: create them in the PCE."
        )
    return Act(
        Reason.CREATING_LABELS,
        f"The PCE lacks {names}; they are being created.{situation.complaint}",
        tuple(CreateLabel(situation.vm_id, key, value) for key, value in missing),
    )


def _sentence(wanted: Wanted) -> str:
    """What is set, for a person."""
    names = ", ".join(f"{key}={value}" for key, value in wanted.labels)
    return f"The workload carries {names}." if names else "The mapping wants no label for this host."
