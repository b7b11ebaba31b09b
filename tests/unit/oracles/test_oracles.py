"""Every oracle can fail: each is shown a ledger in which what it guards is broken, beside one in which it holds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from lab import oracles
from lab.evidence import Evidence, digest
from lab.hosts import host
from simulators.ledger import Entry

Line = tuple[str, str, str, tuple[str, ...], str]
"""System, operation, who, changed, note."""
US, THEM, API, MARK = "microseg", "alice", "api_1", "microseg.dev/respiro"
VM_A, VM_B = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"


def ledger(*lines: Line, apart: float = 1.0) -> tuple[Entry, ...]:
    numbers = itertools.count(1)
    return tuple(
        Entry(seq, seq * apart, system, operation, who, 200, 0.0, 0, changed, note)
        for (system, operation, who, changed, note), seq in zip(lines, numbers, strict=False)
    )


def seen(*lines: Line, apart: float = 1.0, **more: Any) -> Evidence:
    empty: dict[str, Any] = dict.fromkeys(("objects", "sessions", "workloads", "secrets"), ())
    known = empty | {"places": {}, "mark": MARK, "session_prefix": "microseg/ns/respiro/"} | more
    return Evidence(entries=ledger(*lines, apart=apart), **known)


def script(what: str, command: str = "c-1", mode: str = "install") -> Line:
    return ("azure", f"world.script-{what}", "", (VM_A, command, mode), "")


def paired(href: str, what: str = "paired") -> Line:
    return ("illumio", f"world.workload-{what}", "", (f"workload {href} {what} (web1)",), "")


def put(name: str) -> Line:
    return ("azure", "commands.put", "client", (f"run-command {name} of {VM_A}",), "")


def published(name: str, who: str = US) -> Line:
    return ("checkpoint", "world.published", who, (name,), "r")


def thing(name: str, kind: str = "host", **more: Any) -> dict[str, Any]:
    made = {"name": name, "type": kind, "comments": f"{MARK} {VM_A}", "creator": US, "modifier": US, "groups": ["SO"]}
    return made | {"ipv4-address": "10.0.0.4"} | more


def workload(href: str, reference: str | None = VM_A, *, deleted: bool = False) -> dict[str, Any]:
    return {"href": href, "external_data_reference": reference, "deleted": deleted}


UPDATE: Line = ("illumio", "workloads.bulk_update", API, ("workload /w/1 changed: external_data_set",), "")
CREATED: Line = ("azure", "world.vm-created", "", (VM_A, "web1"), "")
DELETED: Line = ("azure", "world.vm-deleted", "", (VM_A, "web1"), "")
READDRESSED: Line = ("azure", "world.vm-readdressed", "", (VM_A, "web1"), "10.0.0.5")
UUID = "cccccccc-0000-4000-8000-000000000003"
HREF = f"/orgs/1/workloads/{UUID}"
UNPAIRED: Line = ("illumio", "vens.unpair", API, (f"ven /orgs/1/vens/{UUID} to be unpaired, firewall saved",), "")
DROPPED: Line = ("checkpoint", "delete-host", US, (f"az-web1-{digest(VM_A)}",), "")
OTHER_DELETED: Line = ("azure", "world.vm-deleted", "", (VM_B, "web2"), "")
APPROVED = {"metadata": {"annotations": {"microseg.dev/approve": "d:1"}}}
FEW: dict[str, Any] = {"spec": {"retirement": {"maxPerHour": {"count": 0, "percent": 5}}}}
ONE: dict[str, Any] = {"spec": {"retirement": {"maxPerHour": {"count": 1, "percent": 5}}}}
BOTH_GONE = (
    CREATED, ("azure", "world.vm-created", "", (VM_B, "web2"), ""), DELETED, OTHER_DELETED, DROPPED,
    ("checkpoint", "delete-host", US, (f"az-web2-{digest(VM_B)}",), ""),
)  # fmt: skip
ONE_MAY_GO = {"spec": {"action": "Retirement", "what": f"{'0' * 64}:1"}}
ONE_MAY_CHANGE = {"spec": {"action": "Plan", "what": f"{'0' * 64}:1"}}
INSTALL: Line = ("checkpoint", "install-policy", US, (), "")
INSTALLED: Line = ("checkpoint", "world.task-ended", US, ("install t-1",), "succeeded")
CALL: Line = ("illumio", "workloads.list", API, (), "")
RECORD = host(
    {
        "metadata": {"name": "web1"},
        "spec": {"vmId": VM_A},
        "status": {
            "summary": {"groups": "SO"},
            "checkPoint": {"hosts": [{"name": "az-web1"}]},
            "conditions": [{"type": "PolicyInstalled", "status": "True", "reason": "Installed"}],
        },
    }
)

Oracle = Callable[[Evidence], Iterable[str]]
BROKEN: list[tuple[Oracle, Evidence]] = [
    (oracles.one_installer_at_a_time, seen(script("started"), script("started", "c-2"))),
    (oracles.no_installer_for_a_paired_machine, seen(paired("/w/1"), paired("/w/2"))),
    (oracles.each_name_is_put_once, seen(put("m-1"), put("m-1"))),
    (oracles.nothing_foreign_is_touched, seen(objects=(thing("web1", comments="by hand", creator=THEM),))),
    (oracles.nothing_foreign_is_touched, seen(objects=(thing("az-new", "group"),))),
    (oracles.nothing_foreign_is_touched, seen(UPDATE, workloads=(workload("/w/1", None),))),
    (oracles.every_publish_is_ours_alone, seen(published("mail-server"))),
    (oracles.nothing_of_the_living_is_taken_away, seen(UNPAIRED, workloads=(workload(HREF),))),
    (oracles.nothing_of_the_living_is_taken_away, seen(CREATED, OTHER_DELETED, UNPAIRED, workloads=(workload(HREF),))),
    (oracles.nothing_of_the_living_is_taken_away, seen(CREATED, OTHER_DELETED, DROPPED)),
    (oracles.nothing_of_the_living_is_taken_away, seen(CREATED, DROPPED, DELETED)),
    (oracles.no_more_go_than_may, seen(CREATED, DELETED, DROPPED, estate=FEW)),
    (oracles.no_more_go_than_may, seen(CREATED, DELETED, DROPPED, estate=FEW, approvals=(ONE_MAY_CHANGE,))),
    (oracles.no_more_go_than_may, seen(*BOTH_GONE, estate=ONE, apart=3599.0)),
    (oracles.no_session_is_left, seen(sessions=({"name": "microseg/ns/respiro/3"},))),
    (oracles.no_secret_leaves, seen(secrets=("very-secret-key",), places={"a log": "it is very-secret-key"})),
    (oracles.an_address_has_one_holder, seen(objects=(thing("az-a"), thing("az-b", comments=f"{MARK} {VM_B}")))),
    (oracles.a_stamp_is_one_vms_alone, seen(CREATED, workloads=(workload("/w/1"), workload("/w/2")))),
    (oracles.a_stamp_is_one_vms_alone, seen(CREATED, workloads=(workload("/w/1", VM_B),))),
    (oracles.installed_is_more_than_published, seen(INSTALL, INSTALLED, published("az-web1"), hosts=(RECORD,))),
    (oracles.installed_is_more_than_published, seen(published("az-web1"), INSTALL, hosts=(RECORD,))),
    (oracles.the_pce_is_not_flooded, seen(*[CALL] * 501, apart=0.1)),
]
WHOLE: list[tuple[Oracle, Evidence]] = [
    (oracles.one_installer_at_a_time, seen(script("started"), script("ended"), script("started", "c-2"))),
    (oracles.one_installer_at_a_time, seen(script("started"), script("started", "c-2", "probe"))),
    (oracles.no_installer_for_a_paired_machine, seen(paired("/w/1"), paired("/w/1", "unpaired"), paired("/w/2"))),
    (oracles.no_installer_for_a_paired_machine, seen(paired("/w/1"), DELETED, paired("/w/2"))),
    (oracles.each_name_is_put_once, seen(put("m-1"), put("m-2"))),
    (oracles.nothing_foreign_is_touched, seen(UPDATE, objects=(thing("az-web1"),), workloads=(workload("/w/1"),))),
    (oracles.every_publish_is_ours_alone, seen(published("az-web1"), published("mail-server", THEM))),
    (
        oracles.nothing_of_the_living_is_taken_away,
        seen(CREATED, DELETED, UNPAIRED, DROPPED, workloads=(workload(HREF),)),
    ),
    (oracles.nothing_of_the_living_is_taken_away, seen(CREATED, READDRESSED, DROPPED)),
    (oracles.no_more_go_than_may, seen(CREATED, DELETED, DROPPED, estate={"spec": {}})),
    (oracles.no_more_go_than_may, seen(CREATED, DELETED, DROPPED, estate=FEW | APPROVED)),
    (oracles.no_more_go_than_may, seen(CREATED, DELETED, DROPPED, estate=FEW, approvals=(ONE_MAY_GO,))),
    (oracles.no_more_go_than_may, seen(*BOTH_GONE, estate=ONE, apart=3601.0)),
    (oracles.no_session_is_left, seen(sessions=({"name": "microseg/other/respiro/3"}, {"name": "alice@console"}))),
    (oracles.no_secret_leaves, seen(secrets=("very-secret-key", "abc"), places={"a log": "abc"})),
    (oracles.an_address_has_one_holder, seen(objects=(thing("az-a"), thing("az-b", groups=[])))),
    (oracles.a_stamp_is_one_vms_alone, seen(CREATED, workloads=(workload("/w/1"), workload("/w/2", deleted=True)))),
    (oracles.installed_is_more_than_published, seen(published("az-web1"), INSTALL, INSTALLED, hosts=(RECORD,))),
    (oracles.the_pce_is_not_flooded, seen(*[CALL] * 501, apart=0.2)),
]


def _name(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize(("oracle", "evidence"), BROKEN, ids=_name)
def test_an_oracle_speaks_when_its_invariant_is_broken(oracle: Oracle, evidence: Evidence) -> None:
    sentences = list(oracle(evidence))

    assert len(sentences) == 1
    assert "very-secret-key" not in sentences[0]


@pytest.mark.parametrize(("oracle", "evidence"), WHOLE, ids=_name)
def test_an_oracle_is_silent_when_its_invariant_holds(oracle: Oracle, evidence: Evidence) -> None:
    assert list(oracle(evidence)) == []


def test_every_oracle_is_shown_what_breaks_it() -> None:
    shown = [{_name(oracle) for oracle, _ in table} for table in (BROKEN, WHOLE)]

    assert shown == [{_name(oracle) for oracle in oracles.ORACLES}] * 2


def test_effects_are_what_changed_outside_and_neither_looks_nor_logins() -> None:
    lines = (CALL, UPDATE, published("az-web1"), INSTALL, ("checkpoint", "login", US, (), ""))
    by_the_vm: Line = ("illumio", "agents.activate", "web1", ("workload /w/1 paired (web1)",), "")

    assert oracles.effects(ledger(*lines, by_the_vm)) == {
        "illumio workloads.bulk_update": list(UPDATE[3]),
        "checkpoint install-policy": ["entry 4"],
    }
