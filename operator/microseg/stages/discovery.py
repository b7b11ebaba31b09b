"""Stage 1: Azure's latest complete list has this VM, and the estate selects it."""

from __future__ import annotations

from typing import assert_never

from microseg.model.condition import Reason
from microseg.model.facts import Absent, Seen, Unreadable
from microseg.model.verdict import Done, Verdict, Wait
from microseg.stages.context import HostContext


def judge(context: HostContext) -> Verdict:
    """Absence and an unreadable list change nothing: they are doubt, not a verdict on the VM."""
    match context.facts.azure:
        case Seen(vm) if vm.selected:
            return Done(Reason.SEEN, f"VM {vm.record.name} is in Azure's list, in {vm.record.resource_group}.")
        case Seen(vm):
            return Wait(
                Reason.DESELECTED,
                f"The select of source {vm.source} no longer covers this VM. Its protection stays as it is; "
                "nothing further is done for it until it is selected again.",
                moving=False,
            )
        case Absent():
            return Wait(
                Reason.NOT_SEEN,
                "Azure's latest complete list lacks this VM. Absence alone changes nothing; its protection stays.",
                doubt=True,
                moving=False,
            )
        case Unreadable() if context.estate.unreadable_rows:
            return Wait(
                Reason.ROWS_UNREADABLE,
                "Azure's latest list does not show this VM, and has rows that cannot be read: the VM does not count as "
                "missing, and its protection stays. AzureReachable of the Estate says which rows.",
                doubt=True,
                moving=False,
            )
        case Unreadable() if context.estate.unread:
            return Wait(
                Reason.SUBSCRIPTION_UNREADABLE,
                "Azure's latest poll does not show this VM, and could not read every subscription: the VM does not "
                "count as missing, and its protection stays. AzureReachable of the Estate says which subscription.",
                doubt=True,
                moving=False,
            )
        case Unreadable():
            return Wait(Reason.AZURE_UNREADABLE, "Azure has not been read completely yet.", doubt=True)
        case unexpected:
            assert_never(unexpected)
