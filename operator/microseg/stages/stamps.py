"""Which of the workloads that carry a VM's stamp is the VM's own (S3).

Whoever may write workloads in the PCE may write our stamp, too, and a VM's id is no secret. So a stamp counts on the
workload that the host's record names. On another one it counts where the facts bear it out: it has an address of the
VM, and the record names none that the PCE still lists, except that the VM itself named this one, or a person vouches
for it. Any other is left alone, and nothing is started meanwhile: it may be the VM's all the same. Pure;
`engine/state/latest.py` calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from microseg.model.azure_facts import Vm
from microseg.model.condition import Reason
from microseg.model.illumio_facts import Workload
from microseg.model.verdict import Blocked, Verdict, Wait

Stamps = tuple[Workload | None, tuple[Workload, ...]]
"""The workload with a VM's stamp that is its own, if it is known, and the others that carry it."""


def told_apart(
    stamped: Sequence[Workload],
    vm: Vm | None,
    claimed: str,
    recorded: str,
    *,
    listed: bool,
    vouched: Callable[[Workload], bool],
) -> Stamps:
    """The VM's own, if it is known, and the others.

    `claimed`: the uuid that the script printed; `recorded`: the record's href, and whether the PCE has it `listed`.
    `vouched`: whether a person names this workload as the VM's.
    """
    own = _own(stamped, vm, claimed.lower(), recorded, listed=listed, vouched=vouched)
    return own, tuple(each for each in stamped if each is not own)


def _own(
    stamped: Sequence[Workload],
    vm: Vm | None,
    claimed: str,
    recorded: str,
    *,
    listed: bool,
    vouched: Callable[[Workload], bool],
) -> Workload | None:
    for each in stamped:
        if each.href == recorded:
            return each
    named = [each for each in stamped if vouched(each)]
    if not named:
        fitting = [each for each in stamped if _has_address(each, vm)]
        known = listed or (vm is None and bool(recorded))
        named = [each for each in fitting if each.uuid.lower() == claimed] or ([] if known else fitting)
    return named[0] if len(named) == 1 else None


def _has_address(workload: Workload, vm: Vm | None) -> bool:
    """Whether it has an address of the VM; of a VM that Azure does not show nothing is known, and nothing changed."""
    return vm is None or any(address.ip in workload.addresses for address in vm.record.addresses())


def doubt(doubtful: tuple[Workload, ...], vm: Vm, recorded: Workload | None, vouch: str) -> Verdict:
    """What keeps a VM from being paired whose stamp is on workloads that are not known to be its own.

    `vouch`: the command by which a person says that the first one is the VM's.
    """
    if vm.record.unreadable_nics() and len(doubtful) == 1 and recorded is None:
        return Wait(
            Reason.NIC_UNREADABLE,
            f"The VM has {', '.join(vm.record.unreadable_nics())}, which Azure's list of NICs does not show, so it is "
            f"not known whether workload {doubtful[0].uuid}, which carries this VM's stamp, is its own.",
            doubt=True,
            moving=False,
        )
    if len(doubtful) > 1:
        carried = f"{len(doubtful)} workloads carry this VM's stamp, and nothing tells which is its own"
    elif recorded is not None:
        carried = f"Workload {doubtful[0].uuid} carries this VM's stamp, and the record names {recorded.uuid}"
    else:
        carried = f"Workload {doubtful[0].uuid} carries this VM's stamp, and has none of its addresses"
    return Blocked(
        Reason.IDENTITY_MISMATCH,
        f"{carried}: somebody else may have written it. Nothing is touched or started. Look who wrote it in the PCE's "
        f"events, and take it off (external data reference). If workload {doubtful[0].uuid} is this VM's, run "
        f"`{vouch}`.",
    )


def notice(doubtful: tuple[Workload, ...]) -> str:
    """What a person is told of workloads that carry the stamp beside the VM's own, as a further sentence."""
    if not doubtful:
        return ""
    others = ", ".join(each.uuid for each in doubtful[:3])
    return f" The same stamp is on {others}, which is left alone: somebody else wrote it there."
