"""Arbitrary hosts, facts, estates and wishes, drawn from small pools so that their parts meet one another.

What is drawn keeps to what the gateways and the API server can hand over, and to nothing else: records may be stale,
foreign, contradictory or written by an older version.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import strategies as st

from microseg.model.condition import Condition, ConditionStatus, ConditionType, Reason
from microseg.model.facts import (
    ABSENT,
    UNREADABLE,
    FirewallView,
    Gateway,
    Group,
    HostFacts,
    HostObject,
    Label,
    PairingProfile,
    PutOff,
    Revision,
    RunCommand,
    Seen,
    Unsupported,
    Vm,
    Workload,
    WorkloadView,
)
from microseg.model.host import (
    AgentOutcome,
    AgentRecord,
    CheckPointRecord,
    FirewallObject,
    HostStatus,
    IllumioRecord,
    InstalledAt,
    LabelRecord,
    ManagedHost,
    MappingRecord,
    Timeline,
)
from microseg.model.wanted import Wanted
from microseg.stages.agent import RETRY_ANNOTATION, cause_digest
from microseg.stages.attempt import command_name, nonce
from microseg.stages.firewall import object_name
from microseg.stages.situation import EstateView, Policy
from tests.unit.stages import makers as m

T = TypeVar("T")
IPS = (m.IP, "10.2.0.4", "fd00::4")
GROUPS = ("SO", "Web", "Gone")
KEYS = ("app", "env", "role")
VALUES = ("A", "B")
LONG = "x" * 300
TEXTS = st.sampled_from(["", "said so.", "ü" * 2000, LONG])


def some(items: Iterable[T], least: int = 0) -> st.SearchStrategy[tuple[T, ...]]:
    """Some of the items, in their order."""
    pool = list(items)
    return st.lists(st.sampled_from(range(len(pool))), unique=True, min_size=least).map(
        lambda chosen: tuple(pool[at] for at in sorted(chosen))
    )


times = st.sampled_from([-7200, -3600, -600, -120, -61, -15, -1, 0, 1, 15, 600, 3600, 7200]).map(
    lambda seconds: m.NOW + timedelta(seconds=seconds)
)
past = st.sampled_from([-7200, -3600, -600, -120, -61, -15, -1, 0]).map(lambda seconds: m.NOW + timedelta(seconds=seconds))
maybe_past: st.SearchStrategy[datetime | None] = st.none() | past
revisions = st.builds(Revision, st.sampled_from(["r1", "r2", LONG]), past)


def vms() -> st.SearchStrategy[Vm]:
    return st.builds(
        lambda ips, selected, unsupported, power, os: m.vm(
            selected=selected, unsupported=unsupported, power_state=power, os_type=os, nics=m.nics(*ips) if ips else ()
        ),
        some(IPS),
        st.sampled_from([True, True, True, False]),
        st.none() | st.sampled_from(list(Unsupported)),
        st.sampled_from(["running", "running", "stopped", ""]),
        st.sampled_from(["Linux", "Linux", "Windows", "BeOS"]),
    )


def workloads(*, mark: str = "", vm_id: str = "") -> st.SearchStrategy[Workload]:
    labels = some(KEYS).flatmap(
        lambda keys: st.tuples(*(st.builds(Label, st.just(key), st.sampled_from([*VALUES, LONG]), st.just("/l")) for key in keys))
    )
    return st.builds(
        Workload,
        href=st.sampled_from([m.HREF, "/orgs/50/workloads/other", "/orgs/50/workloads/" + LONG]),
        ven=TEXTS,
        hostname=TEXTS,
        enforcement_mode=st.sampled_from(["idle", "visibility_only", "selective", "full", "new-word", LONG]),
        labels=labels,
        external_set=st.just(mark) if mark else st.sampled_from(["", "", "theirs", m.MARK]),
        external_reference=st.just(vm_id) if vm_id else st.sampled_from(["", "", m.OTHER_VM_ID]),
        addresses=some([*IPS, "192.0.2.1"]).map(frozenset),
        created_at=maybe_past,
        online=st.booleans(),
    )


def objects(*, ours: bool) -> st.SearchStrategy[HostObject]:
    names = [object_name("az-", m.NAME, "" if rank == 0 else ip) for rank, ip in enumerate(IPS)]
    return st.builds(
        lambda name, address, groups: m.host_object(
            name, address, *groups, **({} if ours else {"owner": "theirs", "vm_id": ""})
        ),
        st.sampled_from([*names, "az-left-over", "az-" + LONG]),
        st.sampled_from([*IPS, "10.9.9.9"]),
        some([*GROUPS, "ByHand"]),
    )


def run_commands(number: int) -> st.SearchStrategy[Any]:
    outputs = st.sampled_from([word.value for word in AgentOutcome]).map(
        lambda word: m.result_line(
            AgentRecord(nonce=nonce(m.VM_ID, number)), word, 9, m.UUID if word in {"paired", "already-paired"} else "-"
        )
    )
    seen = st.builds(
        RunCommand,
        name=st.sampled_from([command_name(m.VM_ID, number), command_name(m.VM_ID, number + 1)]),
        execution_state=st.sampled_from(["Running", "Pending", "Succeeded", "Failed", "TimedOut", "Unknown", ""]),
        output=outputs | st.sampled_from(["", "garbage"]),
        started_at=maybe_past,
        ended_at=maybe_past,
    )
    return st.just(ABSENT) | st.just(UNREADABLE) | seen.map(Seen)


@st.composite
def facts(draw: st.DrawFn, number: int = 1) -> HostFacts:
    """What the three systems say, each on its own."""
    views = st.builds(
        WorkloadView,
        stamped=st.none() | workloads(mark=m.MARK, vm_id=m.VM_ID),
        claimed=st.none() | workloads(),
        candidates=some([m.workload(), m.workload(href="/orgs/50/workloads/2", created_at=None)]),
    )
    clash = objects(ours=False)
    walls = st.builds(
        FirewallView,
        own=st.lists(objects(ours=True), max_size=3, unique_by=lambda item: item.name).map(tuple),
        name_clashes=st.just({}) | clash.map(lambda item: {item.name.lower(): item}),
        address_clashes=st.just({}) | clash.map(lambda item: {item.address: item}),
    )
    put_offs = st.none() | st.builds(PutOff, st.just(Reason.START_PUT_OFF), TEXTS, times)
    return HostFacts(
        azure=draw(vms().map(Seen) | st.just(ABSENT) | st.just(UNREADABLE)),
        pce=draw(st.just(UNREADABLE) | views.map(Seen)),
        firewall=draw(st.just(UNREADABLE) | walls.map(Seen)),
        run_command=draw(run_commands(number)),
        looked_at=draw(maybe_past),
        looks=draw(st.integers(0, 12)),
        put_off=draw(put_offs),
        concluded=draw(st.none() | st.sampled_from([AgentOutcome.REFUSED, AgentOutcome.NEVER_BEGAN])),
        illumio_complaint=draw(TEXTS),
        rejection=draw(st.just("") | TEXTS),
    )


@st.composite
def agents(draw: st.DrawFn, number: int) -> AgentRecord | None:
    """No attempt, one that runs, or one that is over."""
    if draw(st.integers(0, 3)) == 0:
        return None
    outcome = draw(st.none() | st.sampled_from(list(AgentOutcome)))
    paired = outcome in {AgentOutcome.PAIRED, AgentOutcome.ALREADY_PAIRED}
    return AgentRecord(
        attempt=number,
        mode=draw(st.sampled_from(["install", "probe", ""])),
        run_command=command_name(m.VM_ID, number),
        nonce=nonce(m.VM_ID, number),
        intended_at=draw(maybe_past),
        seals_at=draw(st.none() | times),
        started_at=draw(maybe_past),
        finished_at=draw(maybe_past) if outcome else None,
        exit_code=draw(st.none() | st.integers(0, 700)),
        outcome=outcome,
        workload=m.UUID if paired else "",
        failures=draw(st.integers(0, 5)),
        retry_at=draw(st.none() | times),
        cause=draw(st.sampled_from(["", "other", cause_digest(m.vm(), m.PROFILE)])),
    )


@st.composite
def statuses(draw: st.DrawFn, number: int = 1) -> HostStatus:
    """A record as an earlier version, or an earlier truth, left it."""
    kinds = draw(some(list(ConditionType)[:9]))
    conditions = tuple(
        Condition(type=kind, status=draw(st.sampled_from(list(ConditionStatus))), reason="Seen", last_transition_time=draw(past))
        for kind in kinds
    )
    illumio = st.builds(
        IllumioRecord,
        workload=st.sampled_from(["", m.HREF]),
        labels=some(KEYS).map(lambda keys: tuple(LabelRecord(key=key, value="A") for key in keys)),
        owned_keys=some(KEYS),
    )
    check_point = st.builds(
        CheckPointRecord,
        hosts=some(IPS).map(lambda ips: tuple(FirewallObject(name=f"az-{ip}", ipv4=ip) for ip in ips)),
        groups=some(GROUPS),
        published_at=maybe_past,
        installed_at=st.just(()) | past.map(lambda at: (InstalledAt(target="gw1", at=at),)),
    )
    return HostStatus(
        conditions=conditions,
        agent=draw(agents(number)),
        illumio=draw(st.none() | illumio),
        check_point=draw(st.none() | check_point),
        mapping=draw(st.none() | st.just(MappingRecord(revision="old", cases=("orchestrate",)))),
        timeline=draw(st.none() | st.just(Timeline(discovered_at=m.ago(hours=1)))),
    )


@st.composite
def hosts(draw: st.DrawFn) -> ManagedHost:
    """A record, suspended or annotated now and then."""
    return m.host(
        draw(st.just(HostStatus()) | statuses()),
        suspend=draw(st.sampled_from([False, False, False, True])),
        annotations=draw(st.sampled_from([{}, {}, {RETRY_ANNOTATION: "agent"}])),
    )


@st.composite
def estates(draw: st.DrawFn) -> EstateView:
    """An estate in any state of readiness."""
    policies = st.lists(
        st.builds(Policy, st.sampled_from(["Standard", "Edge"]), some(["gw1", "gw2"])), max_size=2, unique_by=lambda p: p.package
    )
    gateways = some(["gw1", "gw2"]).flatmap(
        lambda names: st.tuples(
            *(
                st.builds(Gateway, st.just(name), st.sampled_from(["Standard", "Edge", ""]), st.none() | revisions, maybe_past)
                for name in names
            )
        )
    )
    groups = st.builds(Group, st.sampled_from(GROUPS[:2]), st.just("g"), st.sampled_from(["", "", "anna"]))
    unsafe: dict[str, PairingProfile | str] = {"Linux": "It is disabled."}
    return EstateView(
        owner_id=m.OWNER,
        enforcing=draw(st.sampled_from([True, True, True, False])),
        enforcement_floor=draw(st.sampled_from(["idle", "visibility_only", "selective", "full"])),
        create_labels=draw(st.booleans()),
        labels=draw(some([(key, value) for key in KEYS for value in VALUES]).map(lambda found: dict.fromkeys(found, "/l"))),
        profiles=draw(st.sampled_from([{"Linux": m.PROFILE, "Windows": m.PROFILE}, {"Linux": m.PROFILE}, unsafe, {}])),
        all_addresses=draw(st.booleans()),
        allowed_groups=draw(st.just(frozenset()) | some(GROUPS).map(frozenset)),
        groups={group.name: group for group in draw(st.lists(groups, max_size=3))},
        last_revision=draw(st.none() | revisions),
        policies=tuple(draw(policies)),
        gateways={gateway.name: gateway for gateway in draw(gateways)},
        install_failures=draw(st.just({}) | TEXTS.map(lambda text: {"gw1": text})),
        window_opens=draw(st.none() | st.sampled_from([m.ahead(minutes=1), m.ahead(hours=9)])),
    )


wishes: st.SearchStrategy[Wanted | None] = st.none() | st.builds(
    Wanted,
    revision=st.sampled_from(["abc", "def"]),
    labels=some(KEYS[:2]).flatmap(lambda keys: st.tuples(*(st.tuples(st.just(key), st.sampled_from(VALUES)) for key in keys))),
    removed=st.sampled_from([(), ("role",)]),
    groups=some(GROUPS),
    pending_groups=st.sampled_from([(), (), (), ("Web",)]),
    cases=st.sampled_from([(), ("orchestrate",), (LONG,)]),
    miss=st.sampled_from(["", "", "", "No rule knows it."]),
)
