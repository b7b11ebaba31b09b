"""The vendor's own client (`illumio` 1.1.3) against the PCE simulator."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import sdk as illumio

if TYPE_CHECKING:
    from .conftest import Pce


def test_the_client_connects_and_is_refused_with_a_wrong_secret_or_organisation(pce: Pce) -> None:
    assert pce.sdk().check_connection()
    wrong = pce.sdk()
    wrong.set_credentials(pce.world.api_user, "wrong")
    with pytest.raises(illumio.IllumioApiException, match="error code 401"):
        wrong.must_connect()
    other = pce.sdk()
    other.org_id = "51"
    with pytest.raises(illumio.IllumioApiException, match="error code 403"):
        other.must_connect()


def test_labels_are_made_found_in_part_renamed_and_deleted(pce: Pce) -> None:
    client = pce.sdk()
    web = client.labels.create(illumio.Label(key="role", value="WEB"))
    client.labels.create(illumio.Label(key="app", value="WEB-APP"))
    assert web.href == "/orgs/50/labels/1"
    assert [label.value for label in client.labels.get(params={"value": "web"})] == ["WEB", "WEB-APP"]
    assert [label.value for label in client.labels.get(params={"key": "role", "value": "w"})] == ["WEB"]
    client.labels.update(web, {"value": "Webserver"})
    assert client.labels.get_by_reference(web).value == "Webserver"
    client.labels.delete(web)
    assert [label.value for label in client.labels.get()] == ["WEB-APP"]
    assert client.labels.get_by_reference(web).deleted is True


def test_a_label_in_another_case_or_with_a_reserved_value_or_an_unknown_key_is_refused(pce: Pce) -> None:
    client = pce.sdk()
    client.labels.create(illumio.Label(key="env", value="Prod"))
    for label, said in (
        (illumio.Label(key="env", value="PROD"), "already exists"),
        (illumio.Label(key="env", value="All Environments"), "reserved"),
        (illumio.Label(key="tier", value="1"), "label dimension"),
    ):
        with pytest.raises(illumio.IllumioApiException, match=rf"(?s)error code 406.*{said}"):
            client.labels.create(label)


def test_a_profile_is_made_with_labels_and_gives_a_key_that_is_a_secret_of_the_ledger(pce: Pce) -> None:
    client = pce.sdk()
    label = client.labels.create(illumio.Label(key="loc", value="azure"))
    made = client.pairing_profiles.create(
        illumio.PairingProfile(
            name="linux",
            enabled=True,
            labels=[label],
            enforcement_mode="visibility_only",
            visibility_level="flow_summary",
            allowed_uses_per_key=1,
            key_lifespan=600,
        )
    )
    found = client.pairing_profiles.get_by_name("linux")
    assert (found.href, found.allowed_uses_per_key, found.key_lifespan) == (made.href, 1, 600)
    assert [item.href for item in found.labels] == [label.href]
    code = client.generate_pairing_key(made.href)
    assert int(code, 16) > 0
    assert code in pce.environment.ledger.secrets
    assert pce.world.api_secret in pce.environment.ledger.secrets
    client.pairing_profiles.update(made, {"enabled": False})
    with pytest.raises(illumio.IllumioApiException, match="disabled"):
        client.generate_pairing_key(made.href)


def test_a_managed_workload_reads_back_whole(pce: Pce) -> None:
    href = pce.preload("web1")
    workload = pce.sdk().workloads.get_by_reference(href)
    assert (workload.hostname, workload.online, workload.enforcement_mode) == ("web1", True, "visibility_only")
    assert (workload.interfaces[0].address, workload.interfaces[0].cidr_block) == ("10.0.0.4", 24)
    assert workload.ven.href == href.replace("/workloads/", "/vens/")
    assert workload.agent.status.security_policy_sync_state == "active"
    assert workload.services.open_service_ports == []
    ven = pce.sdk().vens.get_by_reference(workload.ven.href)
    assert [item.href for item in ven.workloads] == [href]


def test_a_managed_workload_takes_its_own_fields_and_refuses_the_agents(pce: Pce) -> None:
    client, href = pce.sdk(), pce.preload("web1")
    label = client.labels.create(illumio.Label(key="role", value="web"))
    changes = illumio.Workload(
        name="the web", labels=[label], external_data_set="microseg.dev/a", external_data_reference="vm-1"
    )
    client.workloads.update(href, changes)
    workload = client.workloads.get_by_reference(href)
    assert (workload.name, workload.external_data_reference) == ("the web", "vm-1")
    assert [item.href for item in workload.labels] == [label.href]
    with pytest.raises(illumio.IllumioApiException, match=r"(?s)406.*hostname"):
        client.workloads.update(href, illumio.Workload(hostname="other"))


def test_a_list_is_capped_and_counted_and_the_asynchronous_one_is_whole(pce: Pce) -> None:
    assert pce.world.traits.collection_cap == 500
    pce.world.traits.collection_cap = 50  # fewer are quicker, and no different
    pce.order("preloaded", [{"hostname": f"vm{number}"} for number in range(55)], 201)
    client = pce.sdk()
    assert len(client.workloads.get_all()) == 50
    answer = pce.call("GET", "/workloads", params={"managed": "true", "max_results": "0"})
    assert (answer.json(), answer.headers["X-Total-Count"]) == ([], "55")
    rows = client.workloads.get_async(params={"managed": True})
    assert len({row.href for row in rows}) == 55


def test_bulk_changes_succeed_in_part_and_say_which_failed(pce: Pce) -> None:
    client = pce.sdk()
    first, second = pce.preload("web1"), pce.preload("web2")
    results = client.workloads.bulk_update(
        [
            illumio.Workload(href=first, external_data_set="s", external_data_reference="1"),
            illumio.Workload(href=second, external_data_set="s", external_data_reference="1"),
            illumio.Workload(href=second, hostname="x"),
            illumio.Workload(href="/orgs/50/workloads/none", name="x"),
        ]
    )
    tokens = [[error["token"] for error in result["errors"]] for result in results]
    assert tokens == [[], ["external_reference_not_unique"], ["input_validation_error"], ["not_found_error"]]
    assert client.workloads.get_by_reference(first).external_data_reference == "1"


def test_bulk_creation_and_deletion_of_unmanaged_workloads(pce: Pce) -> None:
    client, managed = pce.sdk(), pce.preload("web1")
    made = client.workloads.bulk_create([illumio.Workload(name=f"u{number}") for number in range(3)])
    assert [result["errors"] for result in made] == [[], [], []]
    failed = client.workloads.bulk_delete([made[0]["href"], managed])
    assert [(item["href"], item["errors"][0]["token"]) for item in failed] == [(managed, "method_not_allowed_error")]
    assert {row.name for row in client.workloads.get(params={"managed": False})} == {"u1", "u2"}


def test_a_second_bulk_operation_at_the_same_time_is_refused(pce: Pce) -> None:
    pce.world.traits.bulk_seconds = 0.4 * pce.environment.clock.scale
    href, statuses = pce.preload("web1"), []
    body: Any = [{"href": href, "name": "a"}]

    def change() -> None:
        statuses.append(pce.call("PUT", "/workloads/bulk_update", json=body).status_code)

    threads = [threading.Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(statuses) == [200, 429]


def test_the_audit_trail_tells_what_was_changed_by_whom(pce: Pce) -> None:
    client = pce.sdk()
    client.labels.create(illumio.Label(key="role", value="web"))
    events = client.events.get(params={"event_type": "label.create"})
    assert len(events) == 1
    assert events[0].created_by["user"]["href"] == pce.world.user
    href = pce.preload("web1")
    activated = pce.call("GET", "/events", params={"event_type": "agent.activate"}).json()
    assert href in str(activated[0]["resource_changes"])
