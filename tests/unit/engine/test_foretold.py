"""What `microseg plan` foretells is what then happens: over random mappings, on a fleet in memory (S6)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.unit.engine.test_reconciler import COMMISSIONED, rounds
from tests.unit.engine.test_retirement import held

from lab.memory.world import Process, World, until, vm
from microseg.cli.cluster import Live
from microseg.cli.plan import foresee
from microseg.engine.ground.workers import Workers
from microseg.mapping import parse
from microseg.model.estate_spec import Guard
from microseg.model.illumio_facts import Label
from microseg.planning.preview import Preview

APPS = ("Orchestrate", "Shop")
State = dict[str, tuple[dict[str, str], frozenset[str]]]
"""Name of a host -> its labels in the PCE, and the groups of its objects at Check Point."""

apps = st.lists(st.sampled_from(APPS), min_size=3, max_size=5)
percents = st.sampled_from([20, 60, 100])
"""Of five hosts at most: more than five changes in an hour are held whatever a single plan says."""
misses = st.sampled_from(["keep", "remove", "default, default: Dev", "default, default: New"])
conditions = st.sampled_from(
    ["tags: {app: [Shop]}", "tags: {app: [Orchestrate]}", "labels: {env: [New]}", "name: [vm0, vm1]", "name: [nobody]"]
)


rarely = st.integers(0, 7).map(lambda number: number == 7)


@st.composite
def mappings(draw: st.DrawFn) -> str:
    """A document; now and then it names the group Gone or the label env=Old, which do not exist."""
    known = "Orchestrate" if draw(rarely) else "Orchestrate, Shop"
    value = "Old" if draw(rarely) else draw(st.sampled_from(["New", "Dev"]))
    case = f"{{name: c, when: {{{draw(conditions.filter(lambda text: 'labels' not in text))}}}, value: {value}}}"
    groups = draw(st.lists(st.sampled_from(["SO", "Web"]), unique=True, max_size=2)) + ["Gone"] * draw(rarely)
    lines = [
        "apiVersion: mapping.microseg.dev/v1",
        "name: platform",
        "labels:",
        f"  app: {{fromTag: [app], oneOf: [{known}], onMiss: hold}}",
        f"  env: {{fromTag: [env], oneOf: [Dev, New], cases: [{case}], onMiss: {draw(misses)}}}",
        *(["groups:"] if groups else []),
        *(f"  - {{name: {name}, when: {{{draw(conditions)}}}}}" for name in groups),
    ]
    return "\n".join(lines) + "\n"


def outside(world: World) -> State:
    """What the two systems have, by the fakes themselves."""
    names = {made.vm_id: made.record.name for made in world.azure.vms}
    labels = {
        names[found.external_reference]: {label.key: label.value for label in found.labels}
        for found in world.illumio.stored.values()
    }
    groups: dict[str, frozenset[str]] = {}
    for item in world.check_point.published.values():
        groups[names[item.vm_id]] = groups.get(names[item.vm_id], frozenset()) | item.groups
    return {name: (labels.get(name, {}), groups.get(name, frozenset())) for name in names.values()}


def planned(world: World, text: str) -> Preview:
    """What the command is told by the cluster."""
    estate, hosts = world.estates.stored, tuple(world.hosts.stored.values())
    return foresee(Live(estate, hosts, tuple(world.revisions.kept), datetime.now(UTC)), parse(text, "t"))


def expected(world: World, before: State, foretold: Preview) -> State:
    """What the plan says that the systems will have."""
    vm_ids = {host.name: host.spec.vm_id for host in world.hosts.stored.values()}
    names = {made.vm_id: made.record.name for made in world.azure.vms}
    after = dict(before)
    for name, desired in foretold.desired.items():
        if foretold.hold is not None and vm_ids[name] in foretold.hold.hosts:
            continue
        labels, groups = before[names[vm_ids[name]]]
        if not desired.miss:  # else they wait for a person
            labels = {key: value for key, value in labels.items() if key not in desired.removed} | dict(desired.labels)
        there = frozenset(desired.groups) | groups & set(desired.pending_groups)
        after[names[vm_ids[name]]] = labels, there if there or not desired.pending_groups else groups
    return after


def kinds(before: State, after: State) -> dict[str, frozenset[str]]:
    """Name of a host -> what is different, in the words of a plan."""
    found = {}
    for name in before:
        (labels, groups), (then_labels, then_groups) = before[name], after[name]
        found[name] = frozenset(
            {
                f"label {key}: {labels.get(key, '(none)')} -> {then_labels.get(key, '(none)')}"
                for key in labels.keys() | then_labels.keys()
                if labels.get(key) != then_labels.get(key)
            }
            | {f"group {group}: join" for group in then_groups - groups}
            | {f"group {group}: leave" for group in groups - then_groups}
        )
    return {name: each for name, each in found.items() if each}


def changes(world: World, foretold: Preview) -> Mapping[str, frozenset[str]]:
    """The changes of a plan that is not held, by the VMs' own names."""
    if foretold.hold is not None:
        return {}
    names = {host.name: host.status.azure.name for host in world.hosts.stored.values() if host.status.azure}
    told = {names[name]: each - {"no rule of the mapping matches any more"} for name, each in foretold.changes.items()}
    return {name: each for name, each in told.items() if each}


async def live(fleet: Sequence[str], percent: int, documents: Sequence[str], workers: Workers, *, create: bool) -> None:
    """Commission the fleet; then a person applies one document after another."""
    world = World(*(vm(number, app) for number, app in enumerate(fleet)))
    world.illumio.known += [Label("app", "Shop", "/orgs/50/labels/3"), Label("env", "New", "/orgs/50/labels/4")]
    async with Process(world, workers).running():
        await until(lambda: world.all_are(COMMISSIONED))
    spec = world.estates.stored.spec
    world.spec(
        guard=Guard(max_changed_percent=percent), illumio=msgspec.structs.replace(spec.illumio, create_labels=create)
    )
    process = Process(world, workers, term=4)
    async with process.running():
        await until(lambda: (kept := world.estates.stored.status.known) is not None and bool(kept.labels) is not create)
        await rounds(world, 1)
        for text in documents:
            await step(process, text)


async def step(process: Process, text: str) -> None:
    """Foretell, apply, and compare: when it is reached, and still after another reading of all systems."""
    world = process.world
    foretold, before = planned(world, text), outside(world)
    then = expected(world, before, foretold)
    assert kinds(before, then) == changes(world, foretold), "a plan's changes are the differences that it wants"
    waits = foretold.hold.approval if foretold.hold is not None else ""
    digest = parse(text, "t").digest
    process.map(text)

    def happened() -> bool:
        state = world.estates.stored.status.mapping
        return state is not None and state.revision == digest and (outside(world), held(world)) == (then, waits)

    await until(happened, 20)
    await rounds(world, 1)
    assert (outside(world), held(world)) == (then, waits)
    await until(lambda: recorded(world) == then, 20)


def recorded(world: World) -> State:
    """What the records have confirmed, which the next plan is made of."""
    return {
        host.status.azure.name: (
            {label.key: label.value for label in host.status.illumio.labels},
            frozenset(host.status.check_point.groups) if host.status.check_point is not None else frozenset(),
        )
        for host in world.hosts.stored.values()
        if host.status.azure is not None and host.status.illumio is not None
    }


@settings(max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate], derandomize=True)
@given(fleet=apps, percent=percents, documents=st.lists(mappings(), min_size=3, max_size=4), create=st.booleans())
def test_what_plan_foretells_is_what_then_happens_outside_and_what_is_held_does_not(
    fleet: list[str], percent: int, documents: list[str], create: bool
) -> None:
    pool = Workers("foretold", 4)
    try:
        asyncio.run(live(fleet, percent, documents, pool, create=create))
    finally:
        pool.close()
