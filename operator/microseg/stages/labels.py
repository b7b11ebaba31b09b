"""Stage 3: the workload carries the labels that the mapping wants. They are set by key; other keys belong to people."""

from __future__ import annotations

from microseg.model.condition import Reason
from microseg.model.desired import Desired
from microseg.model.facts import Unreadable
from microseg.model.illumio_facts import Workload
from microseg.model.plan import CreateLabel, SetLabels
from microseg.model.verdict import Act, Blocked, Done, LabelDifference, Verdict, Wait
from microseg.stages.context import HostContext


def judge(context: HostContext) -> Verdict:
    """Compare the workload's labels with the desired ones, key by key."""
    matches = context.facts.illumio
    if isinstance(matches, Unreadable):
        return Wait(Reason.ILLUMIO_UNREADABLE, "The PCE has not been read completely yet.", doubt=True)
    desired, workload = context.desired, matches.value.stamped
    differences = _differences(desired, workload)
    if context.vm is None:
        return Wait(
            Reason.AZURE_UNREADABLE,
            "The VM is not in Azure's list now; nothing is changed.",
            doubt=True,
            moving=False,
            differences=differences,
        )
    if desired is None:
        return Wait(Reason.NO_MAPPING, "No mapping was ever accepted for this estate.", moving=False)
    if desired.miss:
        return Wait(Reason.MAPPING_MISS, desired.miss, moving=False)
    if workload is None:
        return Wait(Reason.AWAITING_AGENT, "There is no workload to label before the agent is paired.", moving=False)
    return _change(context, desired, workload, differences)


def _differences(desired: Desired | None, workload: Workload | None) -> tuple[LabelDifference, ...]:
    """Labels of the mapping that the workload does not carry; none where either is not known."""
    if desired is None or desired.miss or workload is None:
        return ()
    carried = {label.key: label.value for label in workload.labels}
    return tuple(
        LabelDifference(key, value, carried.get(key)) for key, value in desired.labels if carried.get(key) != value
    )


def _change(
    context: HostContext, desired: Desired, workload: Workload, differences: tuple[LabelDifference, ...]
) -> Verdict:
    """Done, or the one call that makes it so; labels that the PCE lacks come first."""
    carried = {label.key for label in workload.labels}
    ours = set(context.host.status.illumio.owned_keys) if context.host.status.illumio else set()
    clear = tuple(key for key in desired.removed if key in carried and key in ours)
    if not differences and not clear:
        return Done(Reason.LABELS_SET, _sentence(desired))
    missing = tuple(each for each in differences if (each.key, each.desired) not in context.estate.labels)
    if missing:
        return _missing(context, missing, differences)
    hrefs = tuple((each.key, context.estate.labels[(each.key, each.desired)]) for each in differences)
    names = _names(differences) or f"without {', '.join(clear)}"
    return Act(
        Reason.SETTING_LABELS,
        f"Labels are being set: {names}.{context.refusal_notice}",
        (SetLabels(context.vm_id, workload.href, hrefs, clear),),
        differences=differences,
    )


def _missing(
    context: HostContext, missing: tuple[LabelDifference, ...], differences: tuple[LabelDifference, ...]
) -> Verdict:
    """Labels of the mapping that the PCE does not have."""
    if not context.estate.create_labels:
        return Blocked(
            Reason.LABEL_MISSING,
            f"The PCE lacks {_names(missing)} and createLabels is false: create them in the PCE.",
            differences=differences,
        )
    return Act(
        Reason.CREATING_LABELS,
        f"The PCE lacks {_names(missing)}; they are being created.{context.refusal_notice}",
        tuple(CreateLabel(context.vm_id, each.key, each.desired) for each in missing),
        differences=differences,
    )


def _names(differences: tuple[LabelDifference, ...]) -> str:
    return ", ".join(f"{each.key}={each.desired}" for each in differences)


def _sentence(desired: Desired) -> str:
    """The sentence for what is set."""
    names = ", ".join(f"{key}={value}" for key, value in desired.labels)
    return f"The workload carries {names}." if names else "The mapping wants no label for this host."
