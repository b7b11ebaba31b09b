"""The PCE simulator's rules, by plain requests: errors, filters, labels by key, references, unpairing, limits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from simulators.faults import Fault

from .conftest import refusal

if TYPE_CHECKING:
    from .conftest import Pce


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/labels/99", None, (404, "not_found_error")),
        ("GET", "/nothing", None, (404, "invalid_uri")),
        ("DELETE", "/workloads", None, (405, "method_not_allowed_error")),
        ("POST", "/labels", {"key": "role", "value": "a", "colour": "red"}, (406, "input_validation_error")),
        ("POST", "/labels", {"key": "role", "value": 7}, (406, "input_validation_error")),
        ("PUT", "/pairing_profiles/1", {"allowed_uses_per_key": "1"}, (406, "input_validation_error")),
        ("POST", "/pairing_profiles", {"name": "x"}, (406, "input_validation_error")),
        ("PUT", "/workloads/bulk_update", [{"href": "/orgs/50/workloads/x"}] * 1001, (406, "input_validation_error")),
        ("GET", "/workloads?colour=red", None, (406, "input_validation_error")),
        ("GET", "/workloads?max_results=-1", None, (406, "input_validation_error")),
        ("GET", "/workloads?labels=x", None, (406, "input_validation_error")),
    ],
)
def test_a_wrong_call_is_refused_as_the_pce_refuses_it(
    pce: Pce, method: str, path: str, body: object, expected: tuple[int, str]
) -> None:
    assert refusal(pce.call(method, path, json=body)) == expected


def test_an_answer_is_exactly_json_and_the_ledger_knows_who_asked(pce: Pce) -> None:
    answer = pce.call("GET", "/labels")
    assert answer.headers["Content-Type"] == "application/json"
    assert [(entry.who, entry.status) for entry in pce.entries("labels.list")] == [(pce.world.api_user, 200)]
    assert refusal(pce.call("GET", "/labels", auth=("api_x", "y"))) == (401, "authentication_error")
    assert refusal(pce.call("GET", "/orgs/1/labels")) == (403, "authorization_error")


def test_malformed_json_is_a_400(pce: Pce) -> None:
    answer = pce.call("POST", "/labels", data=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


def test_the_global_calls_answer(pce: Pce) -> None:
    assert pce.call("GET", "/api/v2/product_version").json()["version"] == "24.2.0"
    assert pce.call("GET", "/api/v2/users/login").json()["orgs"][0]["org_id"] == 50
    assert {item["key"] for item in pce.call("GET", "/label_dimensions").json()} == {"role", "app", "env", "loc"}


def test_workloads_are_filtered_by_part_of_the_name_by_labels_and_by_flags(pce: Pce) -> None:
    web, app = pce.preload("web1", "10.0.0.4"), pce.preload("myweb", "10.0.1.4")
    label = pce.label("role", "web")
    pce.call("PUT", "/workloads/set_labels", json={"workloads": [{"href": web}], "labels": [{"href": label}]})
    pce.order(f"workloads/{app.rpartition('/')[2]}/offline")

    def found(**query: str) -> set[str]:
        return {row["href"] for row in pce.call("GET", "/workloads", params=query).json()}

    assert found(hostname="WEB") == {web, app}
    assert found(ip_address="10.0.1") == {app}
    assert found(labels=json.dumps([[label]])) == {web}
    assert found(labels=json.dumps([["/orgs/50/labels?key=role&exists=false"]])) == {app}
    assert found(online="True") == {web}
    assert found(managed="yes", online="false") == {app}
    assert found(external_data_set="s", external_data_reference="r") == set()


def test_labels_by_key_leave_the_other_keys_alone_and_a_put_replaces_all(pce: Pce) -> None:
    href = pce.preload("web1")
    role, other, env = pce.label("role", "web"), pce.label("role", "db"), pce.label("env", "dev")

    def worn() -> dict[str, str]:
        return {item["key"]: item["value"] for item in pce.call("GET", href).json()["labels"]}

    def set_labels(*labels: str, gone: tuple[str, ...] = ()) -> int:
        body = {
            "workloads": [{"href": href}],
            "labels": [{"href": label} for label in labels],
            "delete_existing_keys": list(gone),
        }
        return pce.call("PUT", "/workloads/set_labels", json=body).status_code

    assert set_labels(role, env) == 200
    assert set_labels(other) == 200
    assert worn() == {"role": "db", "env": "dev"}
    assert set_labels(role, other) == 406
    assert set_labels(gone=("env",)) == 200
    assert worn() == {"role": "db"}
    assert pce.call("PUT", href, json={"labels": [{"href": env}]}).status_code == 204
    assert worn() == {"env": "dev"}
    body = {"workloads": [{"href": href}], "label_keys": ["env"]}
    assert pce.call("PUT", "/workloads/remove_labels", json=body).status_code == 200
    assert worn() == {}


def test_an_older_pce_has_no_set_labels_and_shows_hrefs_only(pce: Pce) -> None:
    href, label = pce.preload("web1"), pce.label("role", "web")
    pce.order("traits", {"has_set_labels": False, "labels_with_key_value": False}, 200)
    body = {"workloads": [{"href": href}], "labels": [{"href": label}]}
    assert refusal(pce.call("PUT", "/workloads/set_labels", json=body)) == (404, "invalid_uri")
    pce.call("PUT", href, json={"labels": [{"href": label}]})
    assert pce.call("GET", href).json()["labels"] == [{"href": label}]


def test_a_renamed_label_shows_in_the_list_at_once(pce: Pce) -> None:
    href, label = pce.preload("web1"), pce.label("role", "web")
    pce.call("PUT", href, json={"labels": [{"href": label}]})
    assert pce.call("GET", "/workloads").json()[0]["labels"][0]["value"] == "web"
    pce.call("PUT", label, json={"value": "front"})
    assert pce.call("GET", "/workloads").json()[0]["labels"][0]["value"] == "front"


def test_a_label_in_use_stays_and_one_deleted_twice_says_so_in_an_object(pce: Pce) -> None:
    href, label = pce.preload("web1"), pce.label("role", "web")
    pce.call("PUT", href, json={"labels": [{"href": label}]})
    assert refusal(pce.call("DELETE", label)) == (406, "label_in_use")
    assert pce.call("GET", "/labels?usage=true").json()[0]["usage"]["workload"] is True
    pce.call("PUT", href, json={"labels": []})
    assert pce.call("DELETE", label).status_code == 204
    again = pce.call("DELETE", label)
    assert (again.status_code, again.json()["token"]) == (406, "label_already_deleted")


def test_a_reference_is_held_by_one_workload_and_free_after_unpairing(pce: Pce) -> None:
    first, second = pce.preload("web1"), pce.preload("web1")
    mark = {"external_data_set": "microseg.dev/a", "external_data_reference": "vm-1"}
    assert pce.call("PUT", first, json=mark).status_code == 204
    assert pce.call("PUT", first, json=mark).status_code == 204
    assert refusal(pce.call("PUT", second, json=mark)) == (406, "external_reference_not_unique")
    assert refusal(pce.call("PUT", second, json={"external_data_set": "s"})) == (406, "input_validation_error")
    assert [row["href"] for row in pce.call("GET", "/workloads", params=mark).json()] == [first]
    pce.order(f"workloads/{first.rpartition('/')[2]}/unpair")
    assert pce.call("PUT", second, json=mark).status_code == 204


def test_a_refused_change_changes_nothing(pce: Pce) -> None:
    href = pce.preload("web1")
    body = {"name": "new", "labels": [{"href": "/orgs/50/labels/99"}]}
    assert pce.call("PUT", href, json=body).status_code == 406
    assert "name" not in pce.call("GET", href).json()


def test_a_managed_workload_leaves_by_unpairing_and_its_record_stays_readable(pce: Pce) -> None:
    href = pce.preload("web1")
    assert refusal(pce.call("DELETE", href)) == (406, "method_not_allowed_error")
    ven = href.replace("/workloads/", "/vens/")
    body = {"vens": [{"href": ven}, {"href": "/orgs/50/vens/none"}], "firewall_restore": "saved"}
    answer = pce.call("PUT", "/vens/unpair", json=body).json()
    assert [error["hrefs"] for error in answer["errors"]] == [["/orgs/50/vens/none"]]
    pce.until(lambda: pce.call("GET", "/workloads").json() == [], "the workload left the list")
    assert pce.call("GET", href).json()["deleted"] is True
    assert [row["href"] for row in pce.call("GET", "/workloads?include_deleted=true").json()] == [href]
    assert len(pce.entries("world.workload-unpaired")) == 1


def test_an_offline_agent_never_acknowledges_and_is_given_up_after_the_timeout(pce: Pce) -> None:
    pce.world.traits.unpair_timeout_seconds = 10**9
    href = pce.preload("web1")
    pce.order(f"workloads/{href.rpartition('/')[2]}/offline")
    pce.call("PUT", "/workloads/unpair", json={"workloads": [{"href": href}], "ip_table_restore": "saved"})
    pce.world.context.advance()
    assert pce.call("GET", href).json()["deleted"] is False
    pce.world.traits.unpair_timeout_seconds = 0
    other = pce.preload("web2")
    pce.order(f"workloads/{other.rpartition('/')[2]}/offline")
    pce.call("PUT", "/workloads/unpair", json={"workloads": [{"href": other}]})
    assert pce.call("GET", other).json()["deleted"] is True


def test_a_suspended_ven_can_not_be_unpaired(pce: Pce) -> None:
    ven = pce.preload("web1").replace("/workloads/", "/vens/")
    assert pce.call("PUT", ven, json={"status": "suspended"}).status_code == 204
    assert pce.call("GET", ven).json()["unpair_allowed"] is False
    assert pce.call("PUT", "/vens/unpair", json={"vens": [{"href": ven}]}).json()["errors"][0]["hrefs"] == [ven]


def test_limits_hold_only_where_the_stage_has_them(pce: Pce) -> None:
    body: dict[str, object] = {"vens": []}
    assert {pce.call("PUT", "/vens/unpair", json=body).status_code for _ in range(12)} == {200}
    pce.environment.limits = True
    statuses = [pce.call("PUT", "/vens/unpair", json=body).status_code for _ in range(12)]
    assert statuses == [200] * 10 + [429] * 2
    assert pce.call("GET", "/labels").status_code == 200
    for _ in range(500):
        pce.world.limits._calls[pce.world.api_user, "call"].append(pce.environment.clock.now())
    refused = pce.call("GET", "/labels")
    assert refusal(refused) == (429, "too_many_requests_error")
    assert "Retry-After" not in refused.headers
    pce.world.traits.retry_after = 7
    assert pce.call("GET", "/labels").headers["Retry-After"] == "7"


def test_a_failed_job_says_so(pce: Pce) -> None:
    pce.world.traits.job_fails = True
    started = pce.call("GET", "/workloads", headers={"Prefer": "respond-async"})
    assert (started.status_code, started.content, started.headers["Retry-After"]) == (202, b"", "1")
    job = started.headers["Location"]
    assert job.startswith("/orgs/50/jobs/")
    pce.until(lambda: pce.call("GET", job).json()["status"] == "failed", "the job failed")
    assert pce.call("GET", job).json()["result"]["message"]


def test_an_ordered_failure_after_the_effect_loses_the_answer_only(pce: Pce) -> None:
    pce.environment.faults.add(Fault("illumio", "labels.create", phase="after", action="html", status=503))
    answer = pce.call("POST", "/labels", json={"key": "role", "value": "web"})
    assert (answer.status_code, answer.headers["Content-Type"].startswith("text/html")) == (503, True)
    assert [item["value"] for item in pce.call("GET", "/labels").json()] == ["web"]


def test_the_twenty_first_label_dimension_is_refused(pce: Pce) -> None:
    statuses = [
        pce.call("POST", "/label_dimensions", json={"key": f"k{n}", "display_name": f"K{n}"}).status_code
        for n in range(17)
    ]
    assert statuses == [201] * 16 + [406]


def test_people_change_labels_and_heartbeats_by_the_control_port(pce: Pce) -> None:
    href = pce.preload("Web1")
    pce.label("role", "web")
    row = pce.order("workloads/web1/relabel", {"role": "WEB", "env": "dev"}, 200)
    assert row["labels"] == {"role": "web", "env": "dev"}
    assert pce.order("workloads/web1/relabel", {"env": None}, 200)["labels"] == {"role": "web"}
    assert pce.call("GET", href).json()["updated_by"] == {"href": "/users/7"}
    assert pce.order("workloads/web1/goodbye", None, 200)["online"] is True
    pce.until(lambda: pce.call("GET", href).json()["online"] is False, "offline after the goodbye time")
    assert pce.order("workloads/web1/online", None, 200)["online"] is True
    assert "no-order" in pce.order("workloads/web1/no-order", None, 400)["error"]
    pce.order("workloads/nobody/online", None, 404)
    pce.order("traits", {"colour": 1}, 400)


def test_people_change_attributes_and_suspend_agents_by_the_control_port(pce: Pce) -> None:
    href = pce.preload("web1")
    client = pce.sdk()
    stamp = {"external_data_set": "microseg.dev/a", "external_data_reference": "vm-1"}
    client.workloads.update(href, stamp)
    pce.order("workloads/web1/change", {"enforcement_mode": "idle", **dict.fromkeys(stamp)}, 200)
    workload = client.workloads.get_by_reference(href)
    assert (workload.enforcement_mode, workload.external_data_reference) == ("idle", None)
    pce.order("workloads/web1/change", {"mood": "good"}, 400)
    pce.order("workloads/web1/suspend", {}, 200)
    ven = {"href": href.replace("/workloads/", "/vens/")}
    answer = pce.call("PUT", "/vens/unpair", json={"vens": [ven], "firewall_restore": "default"})
    assert answer.json()["errors"][0]["token"] == "unpair_not_allowed"
    pce.order("workloads/web1/resume", {}, 200)
    assert client.vens.get_by_reference(ven["href"]).status == "active"


def test_lists_lag_behind_what_a_get_knows_where_a_pce_is_that_kind(pce: Pce) -> None:
    pce.preload("web1")
    pce.order("traits", {"list_lag_seconds": 1e6}, 200)
    client = pce.sdk()
    assert [each.hostname for each in client.workloads.get()] == ["web1"]
    href = pce.preload("web2")
    assert [each.hostname for each in client.workloads.get()] == ["web1"]
    assert client.workloads.get_by_reference(href).hostname == "web2"
    pce.order("traits", {"list_lag_seconds": 100.0}, 200)
    pce.until(lambda: len(client.workloads.get()) == 2, "the list has caught up")


def test_many_machines_are_put_in_at_once(pce: Pce) -> None:
    made = pce.order("preloaded", [{"hostname": f"vm{number}"} for number in range(3)], 201)["workloads"]
    assert [each["hostname"] for each in made] == ["vm0", "vm1", "vm2"]
    assert [each.hostname for each in pce.sdk().workloads.get()] == ["vm0", "vm1", "vm2"]


@pytest.mark.parametrize("collection", ["container_clusters", "container_workloads"])
def test_a_pce_without_containers_lists_none(pce: Pce, collection: str) -> None:
    """workloader loads them with everything else."""
    answer = pce.call("GET", f"/{collection}")
    assert (answer.status_code, answer.json(), answer.headers["X-Total-Count"]) == (200, [], "0")
