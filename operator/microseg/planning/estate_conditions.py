"""The conditions of an Estate, each time all of them. `estate_status` puts them into its status.

kstatus goes by them, and takes the first that is True of Stalled and Reconciling (kubernetes-sigs/cli-utils,
pkg/kstatus/status/generic.go): Stalled stands first, because whoever waits for a person is not helped by more work.

    a person is needed                        Stalled      Failed
    something moves, or a system is away      Reconciling  InProgress
    suspended, observing                      neither, and Ready is not True: InProgress
    every host commissioned or waiting        Ready        Current
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from microseg.model.approval import ApprovalAction, command
from microseg.model.checkpoint_facts import EnforcementPoint
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason, find
from microseg.model.estate import Estate
from microseg.model.estate_status import KnownNames, MappingState, PollRecord
from microseg.planning.conditions import REASONS, condition
from microseg.planning.decide import Standing
from microseg.planning.guard import PlanHold
from microseg.planning.retirement_guard import RetirementHold
from microseg.stages.context import Policy


@dataclass(frozen=True, slots=True)
class SystemState:
    """One condition's worth of a system or of the mapping."""

    status: ConditionStatus
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class EstateOverview:
    """All that the Estate's status is made of."""

    systems: Mapping[ConditionType, SystemState]
    """AzureReachable, IllumioReachable, CheckPointReachable, MappingValid."""
    standings: Mapping[Standing, int]
    poll: PollRecord
    """The latest poll, without its time."""
    mapping: MappingState | None
    hold: PlanHold | None
    retirement_hold: RetirementHold | None
    policies: tuple[Policy, ...]
    gateways: Mapping[str, EnforcementPoint]
    known: KnownNames | None = None
    """The names that the outside has; None: not all of them have been read."""
    stalled: SystemState | None = None
    """What keeps the whole estate from being reconciled."""
    unsupported: Mapping[str, int] = field(default_factory=dict)
    """Why VMs cannot be protected -> how many."""
    unselected: Mapping[str, int] = field(default_factory=dict)
    """Field of `select` -> how many VMs it leaves out."""
    judged: bool = True
    """Whether the guard has judged the rules in force; until then the status keeps what it has of the mapping."""
    holds_known: bool = True
    """Whether it is known what is held; until then the status keeps what it has of that."""
    counted: bool = True
    """Whether every record was read and every host was decided once: before that the counts are of nobody."""
    mistakes: tuple[str, ...] = ()
    """What the spec names and its system does not have, one sentence each."""


_SYSTEMS = (
    ConditionType.AZURE_REACHABLE,
    ConditionType.ILLUMIO_REACHABLE,
    ConditionType.CHECK_POINT_REACHABLE,
    ConditionType.MAPPING_VALID,
)
_FOR_A_PERSON = {
    Reason.REFUSED,
    Reason.PROXY_REFUSED,
    Reason.MAPPING_INVALID,
    Reason.MAPPING_MISSING,
    Reason.MAPPING_AMBIGUOUS,
}
"""Reasons of a system that no waiting mends."""


_OF_HOSTS = {Reason.HOSTS_BLOCKED, Reason.NOTHING_SELECTED, Reason.NAMES_UNKNOWN}
"""Reasons that are known once the systems were read, and every host was decided."""


_PASSES = {
    Reason.UNREACHABLE,
    Reason.PROXY_FAILED,
    Reason.NEVER_DECIDED,
    Reason.ROWS_UNREADABLE,
    Reason.NIC_UNREADABLE,
}
"""Reasons of a system that waiting may mend: lists that are read one after the other can lack each other's rows."""


def all_of(estate: Estate, overview: EstateOverview, now: datetime) -> Iterable[Condition]:
    """Every condition of an Estate."""

    def make(kind: ConditionType, state: SystemState) -> Condition:
        return condition(
            kind, state.status, state.reason, state.message,
            old=find(estate.status.conditions, kind), generation=estate.generation, now=now,
        )  # fmt: skip

    for kind in _SYSTEMS:
        yield make(kind, overview.systems[kind])
    stored = find(estate.status.conditions, ConditionType.PLAN_HELD)
    hold = _retirements_held(overview.retirement_hold) or _plan_held(overview.hold)
    hold_state = stored if stored and not overview.holds_known else make(ConditionType.PLAN_HELD, hold)
    yield hold_state
    held = SystemState(hold_state.status, REASONS[hold_state.reason], hold_state.message)
    stalled = _still_stalled(find(estate.status.conditions, ConditionType.STALLED), overview) or _stalled(
        overview, held
    )
    yield make(ConditionType.READY, _ready(estate, overview, held))
    yield make(ConditionType.STALLED, stalled)
    yield make(ConditionType.RECONCILING, _reconciling(overview))


def _still_stalled(stored: Condition | None, overview: EstateOverview) -> SystemState | None:
    """What stalled it before a start or a new spec stays, until that was looked at again. None: it does not."""
    if stored is None or stored.status != ConditionStatus.TRUE or overview.stalled is not None:
        return None
    unread = [kind for kind in _SYSTEMS if overview.systems[kind].reason == Reason.NEVER_DECIDED]
    of_hosts = stored.reason in _OF_HOSTS and (bool(unread) or not overview.counted)
    of_a_system = stored.reason in _FOR_A_PERSON and any(stored.message.startswith(f"{kind.value}:") for kind in unread)
    return _true(REASONS[stored.reason], stored.message) if of_hosts or of_a_system else None


def _stalled(overview: EstateOverview, held: SystemState) -> SystemState:
    """Whether a person must change something."""
    if overview.stalled is not None:
        return overview.stalled
    for kind in _SYSTEMS:
        state = overview.systems[kind]
        if state.status != ConditionStatus.TRUE and state.reason in _FOR_A_PERSON:
            return _true(state.reason, f"{kind.value}: {state.message}")
    if overview.mistakes:
        return _true(Reason.NAMES_UNKNOWN, " ".join(overview.mistakes[:3]))
    if held.status == ConditionStatus.TRUE:
        return held
    if blocked := overview.standings.get(Standing.BLOCKED, 0):
        return _true(Reason.HOSTS_BLOCKED, _blocked(blocked))
    if overview.counted and (left_out := _left_out(overview.standings)) is not None:
        return _true(left_out.reason, left_out.message)
    unread = [kind.value for kind in _SYSTEMS if overview.systems[kind].status != ConditionStatus.TRUE]
    known = f"No person is needed for what could be read; {unread[0]} says what could not." if unread else ""
    return SystemState(ConditionStatus.FALSE, Reason.NOTHING_BLOCKS, known or "No person is needed.")


def _reconciling(overview: EstateOverview) -> SystemState:
    """Whether something moves, or is waited for outside."""
    if overview.stalled is not None:
        return SystemState(ConditionStatus.FALSE, Reason.SETTLED, "Nothing is in progress.")
    if overview.standings.get(Standing.IN_PROGRESS, 0) + overview.standings.get(Standing.RETIRING, 0):
        return _true(Reason.IN_PROGRESS, "The operator is working on hosts, or retiring them.")
    for kind in _SYSTEMS:
        state = overview.systems[kind]
        if state.status != ConditionStatus.TRUE and state.reason in _PASSES:
            return _true(state.reason, f"It waits for {kind.value}.")
    if not overview.counted:
        return _true(Reason.IN_PROGRESS, _UNCOUNTED)
    return SystemState(ConditionStatus.FALSE, Reason.SETTLED, "Nothing is in progress.")


def _retirements_held(hold: RetirementHold | None) -> SystemState | None:
    if hold is None:
        return None
    return SystemState(
        ConditionStatus.TRUE,
        Reason.RETIREMENT_HELD,
        f"{len(hold.hosts)} VMs are gone, more than maxPerHour allows in this hour. None of their traces are removed; "
        "the oldest go first, hour by hour, and of one resource group at most half. `kubectl get mh --field-selector "
        "status.reason=RetirementHeld` lists them; to let them through at once, run "
        f"`{command(ApprovalAction.RETIREMENT, hold.approval)}`.",
    )


def _plan_held(hold: PlanHold | None) -> SystemState:
    if hold is None:
        return SystemState(ConditionStatus.FALSE, Reason.NOTHING_HELD, "No plan waits for approval.")
    at = hold.used_at
    used = f" The annotation works once, and this one was used at {at:%Y-%m-%d %H:%M}: remove it first." if at else ""
    facts = "Tags, addresses, pairing or the Estate's spec, within one hour,"
    what = "The mapping" if hold.cause == "mapping" else facts
    return SystemState(
        ConditionStatus.TRUE,
        Reason.HELD,
        f"{what} would change {len(hold.hosts)} commissioned hosts ({hold.summary(5)}). "
        f"They stay as they are; new hosts are onboarded.{hold.obstacle} To let it through, look at "
        f"`microseg plan`, then run `{command(ApprovalAction.PLAN, hold.approval)}`.{used}",
    )


def _ready(estate: Estate, overview: EstateOverview, held: SystemState) -> SystemState:
    """Ready: every system answers, nothing is held or frozen, and no host is under way or needs a person."""
    if (unknown := _unknown(overview)) is not None:
        return unknown
    if estate.spec.suspend:
        return _false(Reason.SUSPENDED, "The estate is suspended: it is read, and nothing outside is changed.")
    if not estate.enforcing:
        return _false(Reason.OBSERVING, "The estate observes: everything is planned, and nothing outside is changed.")
    if held.status == ConditionStatus.TRUE:
        return _false(held.reason, held.message)
    return _hosts(overview.standings)


def _hosts(standings: Mapping[Standing, int]) -> SystemState:
    """How the hosts make the estate ready. Where none is commissioned, those that wait or are left out do not."""
    commissioned, waiting = standings.get(Standing.COMMISSIONED, 0), standings.get(Standing.WAITING, 0)
    if standings.get(Standing.IN_PROGRESS, 0):
        return _false(Reason.IN_PROGRESS, "The operator is working on hosts.")
    if blocked := standings.get(Standing.BLOCKED, 0):
        return _false(Reason.HOSTS_BLOCKED, _blocked(blocked))
    if waiting:
        told = f"{waiting} hosts wait for a fact that the reason of each names"
        if commissioned:
            return _true(Reason.HOSTS_WAITING, f"{told}; {commissioned} are commissioned.")
        return _false(Reason.HOSTS_WAITING, f"{told}; none is commissioned.")
    if left_out := _left_out(standings):
        return left_out
    return _true(Reason.ALL_COMMISSIONED, "Every selected host is commissioned.")


def _left_out(standings: Mapping[Standing, int]) -> SystemState | None:
    """Every host is deselected, which nobody means: a subscription or selector is mistyped. None: not so."""
    deselected = standings.get(Standing.DESELECTED, 0)
    if not deselected or deselected != sum(standings.values()):
        return None
    return _false(
        Reason.NOTHING_SELECTED,
        f"None of the {deselected} hosts is selected any more: look at spec.azure.sources and its selectors. Their "
        "protection stays; nothing further is done.",
    )


def _unknown(overview: EstateOverview) -> SystemState | None:
    """Why nothing can be said of the hosts as a whole."""
    if overview.stalled is not None:
        return _false(overview.stalled.reason, overview.stalled.message)
    for kind in _SYSTEMS:
        state = overview.systems[kind]
        if state.status != ConditionStatus.TRUE:
            return _false(state.reason, f"{kind.value}: {state.message}")
    if not overview.counted:
        return _false(Reason.IN_PROGRESS, _UNCOUNTED)
    if overview.mistakes:
        return _false(Reason.NAMES_UNKNOWN, " ".join(overview.mistakes[:3]))
    return None


_UNCOUNTED = "The records are being read, and the hosts are decided for the first time."


def _blocked(hosts: int) -> str:
    return f"{hosts} hosts need a person; the reason of each says why."


def _true(reason: Reason, message: str) -> SystemState:
    return SystemState(ConditionStatus.TRUE, reason, message)


def _false(reason: Reason, message: str) -> SystemState:
    return SystemState(ConditionStatus.FALSE, reason, message)
