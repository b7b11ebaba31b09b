"""How a change of rules reaches hosts: guarded, held over a restart, let through; and tags that change meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.unit.cli.world import MOVED, RULES, estate, host

from microseg.engine.mapping.rollout import MappingRollout
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import AzureSnapshot, CheckPointSnapshot, IllumioSnapshot
from microseg.engine.state.tag_hold_down import TagHoldDown
from microseg.mapping import MappingDocument, parse
from microseg.model.azure_facts import Vm
from microseg.model.azure_record import Tag
from microseg.model.checkpoint_facts import Group
from microseg.model.estate import Estate
from microseg.model.estate_status import HeldPlan, UsedApproval
from microseg.model.host import ManagedHost
from microseg.model.illumio_facts import Label, Workload
from microseg.model.names import Annotation
from microseg.planning.preview import preview

NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)
OLD, NEW = parse(RULES, "old"), parse(MOVED, "new")


def vm_of(one: ManagedHost) -> Vm:
    assert one.status.azure is not None
    return Vm(one.spec.vm_id, one.status.azure, "main")


def workload_of(one: ManagedHost) -> Workload:
    recorded = one.status.illumio.labels if one.status.illumio is not None else ()
    labels = tuple(Label(each.key, each.value, "") for each in recorded)
    return Workload(f"/w/{one.name}", "", one.name, "full", labels, "mark", one.spec.vm_id, frozenset(), NOW)


class Process:
    """One life of the operator: what it has read, and the rules."""

    def __init__(self, hosts: Iterable[ManagedHost], rules: MappingDocument, told: Estate) -> None:
        self.now, self.told = NOW, told
        self.table = HostTable()
        self.hosts = {one.name: one for one in hosts}
        for one in self.hosts.values():
            self.table.upsert(one)
        self.table.latest.azure = AzureSnapshot.of(map(vm_of, self.hosts.values()))
        workloads = [workload_of(one) for one in self.hosts.values()]
        self.table.latest.illumio = IllumioSnapshot.of("mark", workloads, (), ())
        groups = (Group("az-shop", "g1"), Group("az-pci", "g2"))
        self.table.latest.check_point = CheckPointSnapshot.of("o", (), groups, (), None)
        self.rules = MappingRollout(self.table, lambda: self.now)
        self.change(rules)

    def change(self, rules: MappingDocument) -> None:
        self.table.saw_mapping(rules)
        self.rules.reconsider()
        self.rules.refresh(self.told)

    def desired(self, name: str) -> tuple[dict[str, str], tuple[str, ...]]:
        found = self.rules.desired(self.hosts[name].spec.vm_id)
        assert found is not None
        return dict(found.labels), found.groups


def annotated(text: str, *used: UsedApproval) -> Estate:
    made = estate(approvals=used)
    return msgspec.structs.replace(made, annotations={Annotation.APPROVE: text})


FLEET = [*(host(f"dev{number}", env="dev") for number in range(6)), *(host(f"prod{number}") for number in range(4))]
NEWCOMER = host("new", commissioned=False)


def test_rules_that_were_let_through_before_a_restart_are_let_through_after_it() -> None:
    process = Process(FLEET, OLD, estate())
    assert process.rules.judged
    assert process.rules.hold is None
    assert process.desired("prod0-1") == ({"app": "shop", "env": "Prod"}, ("az-pci", "az-shop"))


def test_too_large_a_change_is_held_for_exactly_the_hosts_that_preview_foresees() -> None:
    process = Process([*FLEET, NEWCOMER], OLD, estate())
    process.change(NEW)
    foreseen = preview(NEW, OLD, [*FLEET, NEWCOMER], percent=10, now=NOW)
    assert process.rules.hold is not None
    assert foreseen.hold is not None
    assert process.rules.hold.approval == foreseen.hold.approval
    assert process.rules.hold.hosts == foreseen.hold.hosts == {one.spec.vm_id for one in FLEET if "prod" in one.name}
    assert process.rules.hold.instead == OLD.digest
    assert process.desired("prod0-1") == ({"app": "shop", "env": "Prod"}, ("az-pci", "az-shop"))
    assert process.desired("new-1")[0]["env"] == "Test"


def test_a_small_change_goes_through_at_once() -> None:
    process = Process(
        [*FLEET[:6], *(host(f"d{number}", env="dev") for number in range(10)), host("prod")], OLD, estate()
    )
    process.change(NEW)
    assert process.rules.hold is None
    assert process.desired("prod-1")[0]["env"] == "Test"


def held_before(process: Process) -> Estate:
    """The Estate as the process before left it."""
    hold = process.rules.hold
    assert hold is not None
    plan = HeldPlan(kind="mapping", digest=hold.digest, hosts=len(hold.hosts), since=NOW, instead=hold.instead)
    made = estate(held=(plan,))
    assert made.status.mapping is not None
    state = msgspec.structs.replace(made.status.mapping, revision=NEW.digest)
    return msgspec.structs.replace(made, status=msgspec.structs.replace(made.status, mapping=state))


def retagged(one: ManagedHost, env: str, app: str = "shop") -> ManagedHost:
    assert one.status.azure is not None
    azure = msgspec.structs.replace(one.status.azure, tags=(Tag(key="app", value=app), Tag(key="env", value=env)))
    return msgspec.structs.replace(one, status=msgspec.structs.replace(one.status, azure=azure))


def test_after_a_restart_the_same_is_held_and_a_vm_whose_tags_changed_is_not_taken_for_the_rules_doing() -> None:
    first = Process(FLEET, OLD, estate())
    first.change(NEW)
    fleet = [retagged(FLEET[0], "dev", app="sap"), *FLEET[1:]]
    second = Process(fleet, NEW, held_before(first))
    assert second.rules.hold is not None  # nobody has told yet what was let through before: all that differs is held
    assert len(second.rules.hold.hosts) == 5
    second = Process(fleet, NEW, held_before(first))
    second.rules.resume(OLD)
    second.change(NEW)
    assert second.rules.hold is not None
    assert first.rules.hold is not None
    assert second.rules.hold == first.rules.hold
    assert second.desired("dev0-1") == ({"app": "sap", "env": "Dev"}, ())


def test_an_override_that_ended_during_a_hold_is_undone_also_after_a_restart() -> None:
    one = FLEET[0]
    override = (
        f"overrides:\n  - {{vmId: {one.spec.vm_id}, labels: {{env: Prod}}, reason: r, until: {NOW.isoformat()}}}\n"
    )
    old, new = parse(RULES + override, "old"), parse(MOVED.replace("dev:", "p: Prod, dev:") + override, "new")
    excepted = host("dev0", env="prd")
    excepted = msgspec.structs.replace(retagged(excepted, "dev"), spec=one.spec)
    process = Process(
        [excepted, *FLEET[1:]], new, estate(held=(HeldPlan(kind="mapping", digest="d", hosts=4, since=NOW),))
    )
    process.rules.resume(old)
    process.change(new)
    assert process.rules.hold is not None
    assert one.spec.vm_id not in process.rules.hold.hosts
    assert process.desired("dev0-1") == ({"app": "shop", "env": "Dev"}, ("az-shop",))


def test_an_approval_admits_exactly_that_plan_and_only_once() -> None:
    process = Process(FLEET, OLD, estate())
    process.change(NEW)
    hold = process.rules.hold
    assert hold is not None
    for text, admits in (
        ("", False), (f"{hold.digest}:3", False), ("000000000000:9", False), (hold.digest, False),
        (hold.approval, True), (f"x, {hold.approval}", True), (f"{hold.digest}:9", True),
    ):  # fmt: skip
        process.told = annotated(text)
        process.change(NEW)
        assert (process.rules.admitted is not None) is admits, text
    process.told = annotated(hold.approval, UsedApproval(digest=hold.digest, max_hosts=4, at=NOW))
    process.change(NEW)
    assert process.rules.admitted is None
    assert process.rules.hold is not None
    assert process.rules.hold.used_at == NOW


def test_what_is_released_is_wanted_at_once() -> None:
    process = Process(FLEET, OLD, estate())
    process.change(NEW)
    process.rules.release()
    assert process.desired("prod0-1") == ({"app": "shop", "env": "Test"}, ("az-shop",))


def test_a_commissioned_host_stays_as_recorded_until_the_change_is_judged() -> None:
    process = Process([*FLEET, NEWCOMER], OLD, estate())
    process.table.latest.illumio = None
    process.change(NEW)
    assert not process.rules.judged
    assert process.desired("prod0-1")[0]["env"] == "Prod"
    assert process.desired("new-1")[0]["env"] == "Test"


@pytest.mark.parametrize("seconds", [1, 4])
def test_while_something_is_held_the_fleet_is_judged_again_but_not_at_every_decision(seconds: int) -> None:
    process = Process(FLEET, OLD, estate())
    process.change(NEW)
    before = process.rules.hold
    process.now += timedelta(seconds=seconds)
    process.rules.refresh(process.told)
    assert process.rules.hold is before
    process.now += timedelta(seconds=5)
    process.rules.refresh(process.told)
    assert process.rules.hold is not before
    assert process.rules.hold is not None
    assert before is not None
    assert process.rules.hold.approval == before.approval


def test_names_of_groups_that_were_never_read_leave_a_change_unjudged_and_those_that_the_estate_keeps_do() -> None:
    process = Process(FLEET, OLD, estate(known=None))
    process.table.latest.check_point = None
    process.change(NEW)
    assert not process.rules.judged
    assert process.desired("prod0-1")[0]["env"] == "Prod"
    process.told = estate()
    process.rules.refresh(process.told)
    assert process.rules.hold is not None


# the hold-down of tags -----------------------------------------------------------------------------------------------


def tags(*values: str) -> tuple[Tag, ...]:
    return tuple(Tag(key="env", value=value) for value in values)


def polls(*seen: str, first: str | None = None) -> list[str]:
    """What rules read after each poll that shows these values; `first`: what the record has at the start."""
    down, before = TagHoldDown(), tags(first) if first is not None else None
    one = vm_of(host("one"))
    read = []
    for value in seen:
        shown = replace(one, record=msgspec.structs.replace(one.record, tags=tags(value)))
        last = before
        down.saw({one.vm_id: shown}, lambda _, last=last: last)  # type: ignore[misc]
        read.append(down.as_read(shown).record.tags[0].value)
        before = shown.record.tags
    return read


def test_a_changed_tag_counts_from_the_second_poll_that_shows_it() -> None:
    assert polls("a", "b", "b", "b") == ["a", "a", "b", "b"]


def test_a_tag_that_changes_at_every_poll_never_counts() -> None:
    assert polls("a", "b", "a", "b", "c", "a") == ["a"] * 6


def test_a_vm_that_was_never_seen_waits_for_nothing_and_one_with_a_record_does() -> None:
    assert polls("a") == ["a"]
    assert polls("b", "b", first="a") == ["a", "b"]
