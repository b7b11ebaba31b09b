"""The Illumio gateway against the PCE world: whole collections, labels, stamps, keys, and every family of error."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from microseg.gateways.illumio.gateway import IllumioPceGateway
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
from microseg.model.illumio_facts import Label, PairingProfile
from microseg.model.secret import Secret

from .conftest import ORG, SHORT, assert_no_secrets, read, shorten_timeout, tries
from .illumio_objects import OWNER, PceWorld, labels, preload, profile, traits


def test_a_few_workloads_come_at_once_with_labels_and_addresses(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    href = preload(pce_world, 3)[0]
    app, env = labels(pce_world, ("app", "shop"), ("env", "prod"))
    pce.set_labels([href], [app, env], [])
    found = {workload.href: workload for workload in read(pce.workloads())}
    assert len(found) == 3
    mine = found[href]
    assert mine.labels == (Label("app", "shop", app), Label("env", "prod", env))
    assert (mine.hostname, mine.addresses) == ("host0", frozenset({"10.0.0.0"}))
    assert mine.ven.startswith(f"/orgs/{ORG}/vens/")
    assert mine.created_at is not None
    assert pce_world.count("jobs.get") == 0
    assert ("illumio", "workloads", "200") in pce_world.observed.calls


def test_what_the_pce_says_of_a_ven_is_read_by_the_pces_own_clock(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    preload(pce_world, 1)
    assert pce.time() is None
    (found,) = read(pce.workloads())
    now = pce.time()
    assert now is not None
    assert found.heartbeat_at is not None
    assert (found.online, found.ven_status, found.silent) == (True, "active", False)
    assert abs((now - found.heartbeat_at).total_seconds()) < 60


@pytest.mark.parametrize("status", [502, 404, 200])
def test_the_clock_of_something_in_between_is_not_the_pces(
    pce_world: PceWorld, pce: IllumioPceGateway, status: int
) -> None:
    """By the time of a balancer that is ahead, heartbeats after a VM went missing would count as those before."""
    href = preload(pce_world, 1)[0]
    read(pce.workloads())
    fast = formatdate(time.time() + 7200, usegmt=True)
    pce_world.fault("workloads.get", action="html", status=status, headers={"Date": fast}, count=tries(Unreachable))
    with pytest.raises(Unreachable):
        read(pce.workload(href))
    now = pce.time()
    assert now is not None
    assert abs(now.timestamp() - time.time()) < 60


@pytest.mark.parametrize("absolute", [False, True])
def test_many_workloads_come_by_a_job_and_the_next_time_by_a_job_at_once(
    pce_world: PceWorld, pce: IllumioPceGateway, *, absolute: bool
) -> None:
    traits(pce_world, absolute_location=absolute)
    running_host = pce_world.url.removeprefix("https://")
    pce_world.act(lambda: setattr(pce_world.world.context, "host", running_host))
    preload(pce_world, 701)
    assert len(read(pce.workloads())) == 701
    before = pce_world.count("workloads.list")
    assert len(read(pce.workloads())) == 701
    assert pce_world.count("workloads.list") == before + 1


def test_a_total_of_all_workloads_does_not_make_a_short_list_long(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    preload(pce_world, 4)
    traits(pce_world, unfiltered_total=True)
    assert len(read(pce.workloads())) == 4


def test_a_workload_that_a_list_lacks_is_read_by_its_href(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    href = preload(pce_world, 1)[0]
    pce_world.fault("workloads.list", action="page-missing")
    assert read(pce.workloads()) == ()
    found = read(pce.workload(href))
    assert found is not None
    assert (found.href, found.has_ven) == (href, True)
    assert read(pce.workload(f"/orgs/{ORG}/workloads/00000000-0000-4000-8000-000000000000")) is None


@pytest.mark.parametrize("answer", [(404, "<html>"), (404, [{"token": "invalid_uri"}]), (403, [])])
def test_only_the_pces_own_404_means_that_a_workload_is_gone(
    pce_world: PceWorld, pce: IllumioPceGateway, answer: tuple[int, object]
) -> None:
    href = preload(pce_world, 1)[0]
    pce_world.fault("workloads.get", action="status", status=answer[0], body=answer[1], count=9)
    with pytest.raises(GatewayError):
        read(pce.workload(href))


def test_a_job_that_fails_is_unreachable(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    preload(pce_world, 501)
    traits(pce_world, job_fails=True)
    with pytest.raises(Unreachable):
        read(pce.workloads())


@pytest.mark.parametrize("location", ["https://evil.example/orgs/50/jobs/1", "/orgs/51/jobs/1", "/users/login", ""])
def test_a_job_of_another_place_is_never_followed(pce_world: PceWorld, pce: IllumioPceGateway, location: str) -> None:
    preload(pce_world, 501)
    pce_world.fault("workloads.list", nth=2, count=3, status=202, headers={"Location": location, "Retry-After": "1"})
    before = len(pce_world.stage.ledger.entries("illumio"))
    with pytest.raises(Unreachable):
        read(pce.workloads())
    assert len(pce_world.stage.ledger.entries("illumio")) == before + 4


def test_an_older_pce_that_shows_labels_as_hrefs_only_is_read_all_the_same(
    pce_world: PceWorld, pce: IllumioPceGateway
) -> None:
    href = preload(pce_world, 1)[0]
    (app,) = labels(pce_world, ("app", "shop"))
    pce.set_labels([href], [app], [])
    traits(pce_world, labels_with_key_value=False)
    assert read(pce.workloads())[0].labels == (Label("app", "shop", app),)


@pytest.mark.parametrize("old", [False, True])
def test_labels_are_set_and_cleared_by_key_and_others_stay(
    pce_world: PceWorld, pce: IllumioPceGateway, *, old: bool
) -> None:
    one, two = preload(pce_world, 2)
    app, app2, env, loc = labels(pce_world, ("app", "shop"), ("app", "bank"), ("env", "prod"), ("loc", "west"))
    pce.set_labels([one, two], [app, env, loc], [])
    traits(pce_world, has_set_labels=not old)
    pce.set_labels([one], [app2], ["loc"])
    found = {workload.href: [label.href for label in workload.labels] for workload in read(pce.workloads())}
    assert found == {one: [app2, env], two: [app, env, loc]}


def test_one_bad_workload_stops_only_itself_on_an_old_pce(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    (one,) = preload(pce_world, 1)
    (app,) = labels(pce_world, ("app", "shop"))
    traits(pce_world, has_set_labels=False)
    gone = f"/orgs/{ORG}/workloads/00000000-0000-0000-0000-000000000000"
    with pytest.raises(Rejected, match="1 of 2"):
        pce.set_labels([gone, one], [app], [])
    assert [label.href for label in read(pce.workloads())[0].labels] == [app]


def test_stamps_and_enforcement_are_written_and_cleared_in_bulk(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    one, two = preload(pce_world, 2)
    changes = [
        WorkloadChange(one, external_set=OWNER, external_reference="vm-1", enforcement_mode="selective"),
        WorkloadChange(two, external_set=OWNER, external_reference="vm-2"),
    ]
    assert pce.update_workloads(changes) == {}
    found = {workload.href: workload for workload in read(pce.workloads())}
    assert (found[one].external_set, found[one].external_reference) == (OWNER, "vm-1")
    assert found[one].enforcement_mode == "selective"
    assert pce.update_workloads([WorkloadChange(one, external_set="", external_reference="")]) == {}
    assert {workload.external_set for workload in read(pce.workloads())} == {"", OWNER}


@pytest.mark.parametrize("terse", [False, True])
def test_a_bulk_update_names_those_that_failed_and_the_others_are_done(
    pce_world: PceWorld, pce: IllumioPceGateway, *, terse: bool
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
    assert {workload.enforcement_mode for workload in read(pce.workloads()) if workload.href == one} == {"full"}


def test_a_label_is_created_or_found_where_it_is_already(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    (there,) = labels(pce_world, ("app", "Shop"))
    labels(pce_world, ("app", "web-shop"))
    assert pce.create_label("app", "shop") == Label("app", "Shop", there)
    made = pce.create_label("app", "bank")
    assert made in read(pce.labels())


def test_a_label_that_the_pce_refuses_is_rejected(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    with pytest.raises(Rejected) as caught:
        pce.create_label("colour", "blue")
    assert caught.value.code == "input_validation_error"
    assert pce_world.count("labels.create") == 1


def test_a_key_is_made_once_and_is_a_secret(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
    profile(pce_world)
    found = next(found for found in read(pce.profiles()) if found.name == "linux")
    assert (found.uses_per_key, found.key_life, found.enabled) == (1, 1800, True)
    assert next(found for found in read(pce.profiles()) if found.name != "linux").uses_per_key is None
    key = pce.make_key(found)
    assert key.reveal() in pce_world.stage.ledger.secrets
    assert key.reveal() not in repr(key)


@pytest.mark.parametrize(
    "fault", [{"action": "cut"}, {"status": 500}, {"action": "hang"}, {"action": "html", "status": 502}]
)
def test_a_key_whose_answer_is_lost_is_never_requested_again(
    pce_world: PceWorld, pce: IllumioPceGateway, fault: dict[str, object]
) -> None:
    profile(pce_world)
    wanted = next(found for found in read(pce.profiles()) if found.name == "linux")
    pce_world.fault("pairing_keys.create", phase="after", seconds=1.2, **fault)
    with pytest.raises(OutcomeUnknown) as caught:
        pce.make_key(wanted)
    assert_no_secrets(caught.value, pce_world.stage)
    deadline = time.monotonic() + 5
    while (asked := pce_world.count("pairing_keys.create")) == 0:
        assert time.monotonic() < deadline
    assert asked == 1


def test_a_profile_of_another_organisation_is_never_sent(pce_world: PceWorld, pce: IllumioPceGateway) -> None:
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
    pce_world: PceWorld, pce: IllumioPceGateway, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    preload(pce_world, 5)
    shorten_timeout(pce._http_client._session, fault)
    pce_world.fault("workloads.list", count=tries(expected), **fault)
    with pytest.raises(expected) as caught:
        read(pce.workloads())
    assert_no_secrets(caught.value, pce_world.stage)
    assert len(read(pce.workloads())) == 5


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
    pce_world: PceWorld, pce: IllumioPceGateway, fault: dict[str, object], expected: type[GatewayError]
) -> None:
    (one,) = preload(pce_world, 1)
    pce_world.fault("workloads.bulk_update", **fault)
    with pytest.raises(expected) as caught:
        pce.update_workloads([WorkloadChange(one, enforcement_mode="full")])
    assert_no_secrets(caught.value, pce_world.stage)
    assert pce_world.count("workloads.bulk_update") == 1


def test_a_wrong_key_is_refused(pce_world: PceWorld) -> None:
    pce = IllumioPceGateway(
        pce_world.url, ORG, "api_x", Secret("not-the-secret"), ca_file=str(pce_world.ca), limits=SHORT
    )
    with pytest.raises(Refused) as caught:
        read(pce.labels())
    assert "not-the-secret" not in repr(caught.value)
    pce.close()
