"""The Illumio gateway against the PCE world: whole collections, labels, stamps, keys, and every family of error."""

from __future__ import annotations

import time
from typing import Any

import pytest

from microseg.gateways.illumio import Pce
from microseg.gateways.ports import (
    Busy,
    GatewayError,
    OutcomeUnknown,
    Refused,
    Rejected,
    Throttled,
    Unreachable,
    WorkloadChange,
)
from microseg.model.facts import Label, PairingProfile
from microseg.model.secret import Secret
from simulators.illumio import World
from simulators.illumio.bodies import InterfaceBody, LabelCreate, ProfileBody
from simulators.illumio.context import Caller, caller

from .conftest import ORG, SHORT, Running, assert_silent, impatient

PceWorld = Running[World]
OWNER = "microseg.dev/plant/estate"


def preload(running: PceWorld, count: int, first: int = 0) -> list[str]:
    """Paired machines; returns their workloads' hrefs."""
    made: list[str] = []

    def make() -> None:
        for number in range(first, first + count):
            address = f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
            interface = InterfaceBody(name="eth0", address=address, cidr_block=8)
            made.append(running.world.pairing.preload(f"host{number}", [interface], "linux", None).href)

    running.act(make)
    return made


def labels(running: PceWorld, *pairs: tuple[str, str]) -> list[str]:
    made: list[str] = []

    def make() -> None:
        token = caller.set(Caller("/users/7"))
        made.extend(running.world.labels.create(LabelCreate(key=key, value=value)).href for key, value in pairs)
        caller.reset(token)

    running.act(make)
    return made


def profile(running: PceWorld, **fields: Any) -> None:
    wanted: dict[str, Any] = {
        "enabled": True,
        "name": "linux",
        "allowed_uses_per_key": 1,
        "key_lifespan": 1800,
    } | fields
    running.act(lambda: running.world.profiles.create(ProfileBody(**wanted)))


def traits(running: PceWorld, **values: object) -> None:
    def change() -> None:
        running.world.traits.change(values)
        for workload in running.world.workloads.all():
            running.world.workloads.touch(workload)

    running.act(change)


def test_a_few_workloads_come_at_once_with_labels_and_addresses(pce_world: PceWorld, pce: Pce) -> None:
    href = preload(pce_world, 3)[0]
    app, env = labels(pce_world, ("app", "shop"), ("env", "prod"))
    pce.set_labels([href], [app, env], [])
    found = {workload.href: workload for workload in pce.workloads()}
    assert len(found) == 3
    mine = found[href]
    assert mine.labels == (Label("app", "shop", app), Label("env", "prod", env))
    assert (mine.hostname, mine.addresses, mine.online) == ("host0", frozenset({"10.0.0.0"}), True)
    assert mine.ven.startswith(f"/orgs/{ORG}/vens/")
    assert mine.created_at is not None
    assert pce_world.count("jobs.get") == 0
    assert ("illumio", "workloads", "ok") in pce_world.seen.calls


@pytest.mark.parametrize("absolute", [False, True])
def test_many_workloads_come_by_a_job_and_then_go_there_directly(
    pce_world: PceWorld, pce: Pce, *, absolute: bool
) -> None:
    traits(pce_world, absolute_location=absolute)
    running_host = pce_world.url.removeprefix("https://")
    pce_world.act(lambda: setattr(pce_world.world.context, "host", running_host))
    preload(pce_world, 701)
    assert len(pce.workloads()) == 701
    before = pce_world.count("workloads.list")
    assert len(pce.workloads()) == 701
    assert pce_world.count("workloads.list") == before + 1


def test_a_total_of_all_workloads_does_not_make_a_short_list_long(pce_world: PceWorld, pce: Pce) -> None:
    preload(pce_world, 4)
    traits(pce_world, unfiltered_total=True)
    assert len(pce.workloads()) == 4


def test_a_job_that_fails_is_unreachable(pce_world: PceWorld, pce: Pce) -> None:
    preload(pce_world, 501)
    traits(pce_world, job_fails=True)
    with pytest.raises(Unreachable):
        pce.workloads()


@pytest.mark.parametrize("location", ["https://evil.example/orgs/50/jobs/1", "/orgs/51/jobs/1", "/users/login", ""])
def test_a_job_of_another_place_is_never_followed(pce_world: PceWorld, pce: Pce, location: str) -> None:
    preload(pce_world, 501)
    pce_world.fault("workloads.list", nth=2, status=202, headers={"Location": location, "Retry-After": "1"})
    before = len(pce_world.stage.ledger.entries("illumio"))
    with pytest.raises(Unreachable):
        pce.workloads()
    assert len(pce_world.stage.ledger.entries("illumio")) == before + 2


def test_an_older_pce_that_shows_labels_as_hrefs_only_is_read_all_the_same(pce_world: PceWorld, pce: Pce) -> None:
    href = preload(pce_world, 1)[0]
    (app,) = labels(pce_world, ("app", "shop"))
    pce.set_labels([href], [app], [])
    traits(pce_world, labels_with_key_value=False)
    assert pce.workloads()[0].labels == (Label("app", "shop", app),)


@pytest.mark.parametrize("old", [False, True])
def test_labels_are_set_and_cleared_by_key_and_others_stay(pce_world: PceWorld, pce: Pce, *, old: bool) -> None:
    one, two = preload(pce_world, 2)
    app, app2, env, loc = labels(pce_world, ("app", "shop"), ("app", "bank"), ("env", "prod"), ("loc", "west"))
    pce.set_labels([one, two], [app, env, loc], [])
    traits(pce_world, has_set_labels=not old)
    pce.set_labels([one], [app2], ["loc"])
    found = {workload.href: [label.href for label in workload.labels] for workload in pce.workloads()}
    assert found == {one: [app2, env], two: [app, env, loc]}


def test_one_bad_workload_stops_only_itself_on_an_old_pce(pce_world: PceWorld, pce: Pce) -> None:
    (one,) = preload(pce_world, 1)
    (app,) = labels(pce_world, ("app", "shop"))
    traits(pce_world, has_set_labels=False)
    gone = f"/orgs/{ORG}/workloads/00000000-0000-0000-0000-000000000000"
    with pytest.raises(Rejected, match="1 of 2"):
        pce.set_labels([gone, one], [app], [])
    assert [label.href for label in pce.workloads()[0].labels] == [app]


def test_stamps_and_enforcement_are_written_and_cleared_in_bulk(pce_world: PceWorld, pce: Pce) -> None:
    one, two = preload(pce_world, 2)
    changes = [
        WorkloadChange(one, external_set=OWNER, external_reference="vm-1", enforcement_mode="selective"),
        WorkloadChange(two, external_set=OWNER, external_reference="vm-2"),
    ]
    assert pce.update_workloads(changes) == {}
    found = {workload.href: workload for workload in pce.workloads()}
    assert (found[one].external_set, found[one].external_reference) == (OWNER, "vm-1")
    assert found[one].enforcement_mode == "selective"
    assert pce.update_workloads([WorkloadChange(one, external_set="", external_reference="")]) == {}
    assert {workload.external_set for workload in pce.workloads()} == {"", OWNER}


@pytest.mark.parametrize("terse", [False, True])
def test_a_bulk_update_names_those_that_failed_and_the_others_are_done(
    pce_world: PceWorld, pce: Pce, *, terse: bool
) -> None:
    one, two = preload(pce_world, 2)
    pce.update_workloads([WorkloadChange(one, external_set=OWNER, external_reference="vm-1")])
    traits(pce_world, terse_bulk_errors=terse)
    changes = [
        WorkloadChange(two, external_set=OWNER, external_reference="vm-1"),
        WorkloadChange(one, enforcement_mode="full"),
    ]
    failures = pce.update_workloads(changes)
    assert set(failures) == {two}
    assert terse or "external_reference_not_unique" in failures[two]
    assert {workload.enforcement_mode for workload in pce.workloads() if workload.href == one} == {"full"}


def test_a_label_is_created_or_found_where_it_is_already(pce_world: PceWorld, pce: Pce) -> None:
    (there,) = labels(pce_world, ("app", "Shop"))
    labels(pce_world, ("app", "web-shop"))
    assert pce.create_label("app", "shop") == Label("app", "Shop", there)
    made = pce.create_label("app", "bank")
    assert made in pce.labels()


def test_a_label_that_the_pce_does_not_want_is_rejected(pce_world: PceWorld, pce: Pce) -> None:
    with pytest.raises(Rejected) as caught:
        pce.create_label("colour", "blue")
    assert caught.value.code == "input_validation_error"
    assert pce_world.count("labels.create") == 1


def test_a_key_is_made_once_and_is_a_secret(pce_world: PceWorld, pce: Pce) -> None:
    profile(pce_world)
    found = next(found for found in pce.profiles() if found.name == "linux")
    assert (found.uses_per_key, found.key_life, found.enabled) == (1, 1800, True)
    assert next(found for found in pce.profiles() if found.name != "linux").uses_per_key is None
    key = pce.make_key(found)
    assert key.reveal() in pce_world.stage.ledger.secrets
    assert key.reveal() not in repr(key)


@pytest.mark.parametrize(
    "fault", [{"action": "cut"}, {"status": 500}, {"action": "hang"}, {"action": "html", "status": 502}]
)
def test_a_key_whose_answer_is_lost_is_never_asked_for_again(
    pce_world: PceWorld, pce: Pce, fault: dict[str, object]
) -> None:
    profile(pce_world)
    wanted = next(found for found in pce.profiles() if found.name == "linux")
    pce_world.fault("pairing_keys.create", phase="after", seconds=1.2, **fault)
    with pytest.raises(OutcomeUnknown) as caught:
        pce.make_key(wanted)
    assert_silent(caught.value, pce_world.stage)
    deadline = time.monotonic() + 5
    while (asked := pce_world.count("pairing_keys.create")) == 0:
        assert time.monotonic() < deadline
    assert asked == 1


def test_a_profile_of_another_organisation_is_never_sent(pce_world: PceWorld, pce: Pce) -> None:
    with pytest.raises(Rejected):
        pce.make_key(PairingProfile("x", "/orgs/51/pairing_profiles/1", enabled=True, uses_per_key=1, key_life=600))
    with pytest.raises(Rejected):
        pce.set_labels([f"/orgs/{ORG}/workloads/../labels"], [], ["app"])
    assert {entry.operation for entry in pce_world.stage.ledger.entries("illumio")} == {"world.changed"}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 503}, Unreachable),
        ({"status": 503, "headers": {"Retry-After": "40"}}, Throttled),
        ({"action": "html", "status": 200}, Unreachable),
        ({"action": "html", "status": 503}, Unreachable),
        ({"action": "cut"}, Unreachable),
        ({"action": "hang"}, Unreachable),
        ({"action": "truncate", "phase": "after"}, Unreachable),
        ({"status": 200, "body": {"rows": []}}, Unreachable),
        ({"status": 401, "body": [{"token": "authentication_error", "message": "no"}]}, Refused),
        ({"status": 403, "body": {"token": "authorization_error", "message": "no"}}, Refused),
        ({"status": 429, "body": [{"token": "too_many_requests_error"}]}, Throttled),
        ({"status": 301, "headers": {"Location": "https://evil.example/"}}, Unreachable),
    ],
)
def test_a_broken_list_is_an_error_and_never_a_short_list(
    pce_world: PceWorld, pce: Pce, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    preload(pce_world, 5)
    impatient(pce._transport._session, fault)
    pce_world.fault("workloads.list", **fault)
    with pytest.raises(expected) as caught:
        pce.workloads()
    assert_silent(caught.value, pce_world.stage)
    assert len(pce.workloads()) == 5


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 500, "phase": "after"}, OutcomeUnknown),
        ({"status": 503}, OutcomeUnknown),
        ({"action": "cut", "phase": "after"}, OutcomeUnknown),
        ({"action": "html", "status": 200}, OutcomeUnknown),
        ({"status": 429, "body": [{"token": "too_many_requests_error"}]}, Throttled),
        ({"status": 409}, Busy),
        ({"status": 406, "body": [{"token": "input_validation_error", "message": "bad"}]}, Rejected),
        ({"status": 403}, Refused),
    ],
)
def test_a_write_is_sent_once_whatever_comes_of_it(
    pce_world: PceWorld, pce: Pce, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    (one,) = preload(pce_world, 1)
    pce_world.fault("workloads.bulk_update", **fault)
    with pytest.raises(expected) as caught:
        pce.update_workloads([WorkloadChange(one, enforcement_mode="full")])
    assert_silent(caught.value, pce_world.stage)
    assert pce_world.count("workloads.bulk_update") == 1


def test_a_wrong_key_is_refused(pce_world: PceWorld) -> None:
    pce = Pce(pce_world.url, ORG, "api_x", Secret("not-the-secret"), ca_file=str(pce_world.ca), limits=SHORT)
    with pytest.raises(Refused) as caught:
        pce.labels()
    assert "not-the-secret" not in repr(caught.value)
    pce.close()


def test_the_version_is_told(pce_world: PceWorld, pce: Pce) -> None:
    assert pce.product_version() == pce_world.world.traits.version
