"""Arbitrary hosts, facts, estates and wishes, drawn from small pools so that their parts meet one another.

What is drawn keeps to what the gateways and the API server can hand over, and to nothing else: records may be stale,
foreign, contradictory or written by an older version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st

from lab.memory import samples as m
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.azure_facts import RunCommand, Unsupported
from microseg.model.checkpoint_facts import EnforcementPoint, Group, HostObject, Revision
from microseg.model.checkpoint_record import CheckPointRecord, FirewallObject, InstalledAt
from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.desired import Desired
from microseg.model.facts import (
    ABSENT,
    UNREADABLE,
    HostFacts,
    ObjectMatches,
    Postponed,
    Presence,
    Rival,
    Seen,
    WorkloadMatches,
)
from microseg.model.host import HostStatus, MappingRecord, Timeline
from microseg.model.illumio_facts import Label, PairingProfile, Workload
from microseg.model.illumio_record import IllumioRecord, LabelRecord
from microseg.model.names import Annotation
from microseg.stages.agent import cause_digest
from microseg.stages.context import EstateContext, Policy
from microseg.stages.object_names import object_name

T = TypeVar("T")
IPS = (m.IP, "10.2.0.4", "fd00::4")
GROUPS = ("SO", "Web", "Gone")
KEYS = ("app", "env", "role")
VALUES = ("A", "B")
LONG = "x" * 300
TEXTS = st.sampled_from(["", "said so.", "ü" * 2000, LONG])


def some(items: Iterable[T]) -> st.SearchStrategy[tuple[T, ...]]:
    """Some of the items, in their order."""
    pool = tuple(items)
    return st.integers(0, 2 ** len(pool) - 1).map(
        lambda mask: tuple(item for at, item in enumerate(pool) if mask >> at & 1)
    )


times = st.sampled_from([-7200, -3600, -600, -120, -61, -15, -1, 0, 1, 15, 600, 3600, 7200]).map(
    lambda seconds: m.NOW + timedelta(seconds=seconds)
)
past = st.sampled_from([-7200, -3600, -600, -120, -61, -15, -1, 0]).map(
    lambda seconds: m.NOW + timedelta(seconds=seconds)
)
maybe_past: st.SearchStrategy[datetime | None] = st.none() | past
revisions = st.builds(Revision, st.sampled_from(["r1", "r2", LONG]), past)


vms = st.builds(
    lambda ips, selected, unsupported, power, os: m.vm(
        selected=selected, unsupported=unsupported, power_state=power, os_type=os, nics=m.nics(*ips) if ips else ()
    ),
    some(IPS),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([None, None, None, *Unsupported]),
    st.sampled_from(["running", "running", "stopped", ""]),
    st.sampled_from(["Linux", "Linux", "Windows", "BeOS"]),
)


def workloads(mark: tuple[str, ...], references: tuple[str, ...]) -> st.SearchStrategy[Workload]:
    """Workloads of the PCE that carry one of these marks and references."""
    return st.builds(
        Workload,
        href=st.sampled_from([m.HREF, "/orgs/50/workloads/other", "/orgs/50/workloads/" + LONG]),
        ven=TEXTS,
        hostname=TEXTS,
        enforcement_mode=st.sampled_from(["idle", "visibility_only", "selective", "full", "new-word", LONG]),
        labels=st.dictionaries(st.sampled_from(KEYS), st.sampled_from([*VALUES, LONG])).map(
            lambda found: tuple(Label(key, value, "/l") for key, value in found.items())
        ),
        external_set=st.sampled_from(mark),
        external_reference=st.sampled_from(references),
        addresses=some([*IPS, "192.0.2.1"]).map(frozenset),
        created_at=maybe_past,
        online=st.sampled_from([True, False, None]),
        ven_status=st.sampled_from(["active", "suspended", "stopped", "uninstalled", "new-word", ""]),
        silent=st.booleans(),
        heartbeat_at=maybe_past,
    )


def objects(*, ours: bool) -> st.SearchStrategy[HostObject]:
    """Published objects, ours or another's, whose names and addresses may be the wanted ones."""
    names = [object_name("az-", m.NAME, "" if rank == 0 else ip) for rank, ip in enumerate(IPS)]
    foreign = {} if ours else {"owner": "theirs", "vm_id": ""}
    return st.builds(
        lambda name, address, groups: m.host_object(name, address, *groups, **foreign),
        st.sampled_from([*names, "az-left-over", "az-" + LONG]),
        st.sampled_from([*IPS, "10.9.9.9"]),
        some([*GROUPS, "ByHand"]),
    )


def _said(word: AgentOutcome) -> str:
    paired = word in {AgentOutcome.PAIRED, AgentOutcome.ALREADY_PAIRED}
    return m.result_line(AgentRecord(nonce=m.nonce(1)), word.value, 9, m.UUID if paired else "-")


run_commands = st.builds(
    RunCommand,
    name=st.sampled_from([m.command_name(1), m.command_name(1), m.command_name(2)]),
    execution_state=st.sampled_from(
        ["Running", "Pending", "Succeeded", "Succeeded", "Failed", "TimedOut", "Unknown", ""]
    ),
    output=st.sampled_from(["", "garbage", *map(_said, AgentOutcome)]),
    started_at=maybe_past,
    ended_at=maybe_past,
)
views = st.builds(
    WorkloadMatches,
    stamped=st.none() | workloads((m.MARK,), (m.VM_ID,)),
    claimed=st.none() | workloads(("", "", "theirs", m.MARK), ("", "", m.OTHER_VM_ID)),
    candidates=some([m.workload(), m.workload(href="/orgs/50/workloads/2", created_at=None)]),
)
_foreign = objects(ours=False)
walls = st.builds(
    ObjectMatches,
    own=st.lists(objects(ours=True), max_size=3, unique_by=lambda item: item.name).map(tuple),
    name_clashes=st.just({}) | _foreign.map(lambda item: {item.name.lower(): item}),
    address_clashes=st.just({})
    | _foreign.map(lambda item: {item.address: (item,)})
    | objects(ours=True).map(lambda item: {m.IP: (replace(item, address=m.IP, vm_id=m.OTHER_VM_ID),)}),
)
rivals = st.builds(
    Rival,
    vm_id=st.just(m.OTHER_VM_ID),
    name=TEXTS,
    presence=st.sampled_from(Presence),
    primary=st.booleans(),
    onboarded=st.booleans(),
    created_at=maybe_past,
)
facts = st.builds(
    HostFacts,
    rivals=st.just({}) | rivals.map(lambda rival: {m.IP: (rival,)}),
    azure=vms.map(Seen) | st.sampled_from([ABSENT, UNREADABLE]),
    illumio=st.just(UNREADABLE) | views.map(Seen),
    check_point=st.just(UNREADABLE) | walls.map(Seen),
    run_command=st.sampled_from([ABSENT, UNREADABLE]) | run_commands.map(Seen),
    looked_at=maybe_past,
    looks=st.integers(0, 12),
    postponed=st.none() | st.builds(Postponed, st.just(Reason.START_PUT_OFF), TEXTS, times),
    concluded=st.sampled_from([None, None, AgentOutcome.REFUSED, AgentOutcome.NEVER_BEGAN]),
    illumio_complaint=TEXTS,
    rejection=st.sampled_from(["", "", "", "said so.", LONG]),
    held_up=st.sampled_from(["", "", "Check Point is busy", LONG]),
    look_failed=st.sampled_from(["", "", "Azure could not be reached", LONG]),
)
"""What the three systems say, each on its own."""


def _attempt(outcome: AgentOutcome | None, **fields: Any) -> AgentRecord:
    paired = outcome in {AgentOutcome.PAIRED, AgentOutcome.ALREADY_PAIRED}
    finished_at = fields.pop("finished_at") if outcome else fields.pop("finished_at") and None
    return m.attempt(outcome=outcome, finished_at=finished_at, workload=m.UUID if paired else "", **fields)


agents = st.builds(
    _attempt,
    outcome=st.none() | st.sampled_from(list(AgentOutcome)),
    mode=st.sampled_from(["install", "probe", ""]),
    intended_at=maybe_past,
    seals_at=st.none() | times,
    started_at=maybe_past,
    finished_at=maybe_past,
    exit_code=st.sampled_from([None, 0, 605]),
    failures=st.integers(0, 5),
    retry_at=st.none() | times,
    cause=st.sampled_from(["", "other", cause_digest(m.vm(), m.PROFILE, {})]),
)
"""An attempt that runs, or one that is over; an older version may have left its times out."""

_conditions = st.tuples(
    *(
        st.none()
        | st.builds(
            Condition,
            type=st.just(kind),
            status=st.sampled_from(ConditionStatus),
            reason=st.just("Seen"),
            last_transition_time=past,
        )
        for kind in list(ConditionType)[:9]
    )
).map(lambda made: tuple(condition for condition in made if condition is not None))
statuses = st.builds(
    HostStatus,
    conditions=_conditions,
    agent=st.none() | agents,
    illumio=st.none()
    | st.builds(
        IllumioRecord,
        workload=st.sampled_from(["", m.HREF]),
        labels=some(KEYS).map(lambda keys: tuple(LabelRecord(key=key, value="A") for key in keys)),
        owned_keys=some(KEYS),
    ),
    check_point=st.none()
    | st.builds(
        CheckPointRecord,
        hosts=some(IPS).map(lambda ips: tuple(FirewallObject(name=f"az-{ip}", ipv4=ip) for ip in ips)),
        groups=some(GROUPS),
        published_at=maybe_past,
        installed_at=st.just(()) | past.map(lambda at: (InstalledAt(target="gw1", at=at),)),
    ),
    mapping=st.sampled_from([None, MappingRecord(revision="old", cases=("orchestrate",))]),
    timeline=st.sampled_from([None, Timeline(discovered_at=m.ago(hours=1))]),
)
"""A record as an earlier version, or an earlier truth, left it."""

hosts = st.builds(
    lambda status, suspend, annotations: m.host(status, suspend=suspend, annotations=annotations),
    st.just(HostStatus()) | statuses,
    st.sampled_from([False, False, False, True]),
    st.sampled_from([{}, {}, {Annotation.RETRY: "agent"}]),
)
"""A record, suspended or annotated now and then."""

_gateways = st.builds(
    EnforcementPoint,
    st.sampled_from(["gw1", "gw2"]),
    st.sampled_from(["Standard", "Edge", ""]),
    st.none() | revisions,
    maybe_past,
)
_policies = st.builds(Policy, st.sampled_from(["Standard", "Edge"]), some(["gw1", "gw2"]))
_profiles: list[dict[str, PairingProfile | str]] = [
    {"Linux": m.PROFILE, "Windows": m.PROFILE},
    {"Linux": m.PROFILE},
    {"Linux": "It is disabled."},
    {},
]
estates = st.builds(
    EstateContext,
    owner_id=st.just(m.OWNER),
    enforcing=st.sampled_from([True, True, True, False]),
    enforcement_floor=st.sampled_from(["idle", "visibility_only", "selective", "full"]),
    create_labels=st.booleans(),
    labels=some([(key, value) for key in KEYS for value in VALUES]).map(lambda found: dict.fromkeys(found, "/l")),
    profiles=st.sampled_from(_profiles),
    all_addresses=st.booleans(),
    allowed_groups=st.sampled_from([frozenset(), frozenset(), frozenset({"SO"}), frozenset({"Web", "Gone"})]),
    groups=st.dictionaries(st.sampled_from(GROUPS[:2]), st.sampled_from(["", "", "anna"])).map(
        lambda found: {name: Group(name, "g", holder) for name, holder in found.items()}
    ),
    last_revision=st.none() | revisions,
    policies=st.lists(_policies, max_size=2, unique_by=lambda policy: policy.package).map(tuple),
    gateways=st.lists(_gateways, max_size=2).map(lambda found: {gateway.name: gateway for gateway in found}),
    install_failures=st.just({}) | TEXTS.map(lambda text: {"gw1": text}),
    window_opens=st.sampled_from([None, None, m.ahead(minutes=1), m.ahead(hours=9)]),
)
"""An estate in any state of readiness."""

wishes: st.SearchStrategy[Desired | None] = st.none() | st.builds(
    Desired,
    revision=st.sampled_from(["abc", "def"]),
    labels=st.dictionaries(st.sampled_from(KEYS[:2]), st.sampled_from(VALUES)).map(lambda found: tuple(found.items())),
    removed=st.sampled_from([(), ("role",)]),
    groups=some(GROUPS),
    pending_groups=st.sampled_from([(), (), (), ("Web",)]),
    cases=st.sampled_from([(), ("orchestrate",), (LONG,)]),
    miss=st.sampled_from(["", "", "", "No rule knows it."]),
)
