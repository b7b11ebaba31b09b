"""The wire format of the Check Point simulator: paths, versions, bodies, faults, the control port, and size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from simulators.checkpoint.edits import Editor
from simulators.checkpoint.fields import Delta, ObjectSpec
from simulators.faults import Fault

if TYPE_CHECKING:
    from tests.worlds.checkpoint.conftest import Management


def test_a_command_is_reached_with_and_without_a_version(management: Management) -> None:
    sid = management.login().sid
    for version in ("", "v1.9/", "v1.6.1/"):
        assert management.post("keepalive", {}, sid, version).json() == {"message": "OK"}
    unknown = management.post("keepalive", {}, sid, "v2/")
    assert (unknown.status_code, unknown.json()["code"]) == (400, "err_unknown_api_version")
    versions = management.post("show-api-versions", {}, sid).json()
    assert versions["current-version"] == versions["supported-versions"][-1] == "1.9"


def test_an_unknown_command_and_an_unknown_parameter_have_codes_of_their_own(management: Management) -> None:
    sid = management.login().sid
    command = management.post("make-coffee", {}, sid)
    assert (command.status_code, command.json()["code"]) == (404, "generic_err_command_not_found")
    parameter = management.post("keepalive", {"strong": True}, sid)
    assert parameter.status_code == 400
    assert parameter.json() == {
        "code": "generic_err_invalid_parameter_name",
        "message": "Unrecognized parameter [strong]",
    }


@pytest.mark.parametrize("body", ["", "{", "[]", "7"])
def test_a_body_that_is_no_json_object_is_a_syntax_error(management: Management, body: str) -> None:
    headers = {"X-chkp-sid": management.login().sid, "Content-Type": "application/json"}
    url = f"{management.url}/web_api/keepalive"
    answer = requests.post(url, data=body, headers=headers, verify=str(management.ca), timeout=10)
    assert (answer.status_code, answer.json()["code"]) == (400, "generic_err_invalid_syntax")


def test_another_content_type_is_refused_and_only_post_is_served(management: Management) -> None:
    url, ca = f"{management.url}/web_api/keepalive", str(management.ca)
    plain = requests.post(url, data="{}", headers={"Content-Type": "text/plain"}, verify=ca, timeout=10)
    assert (plain.status_code, plain.json()["code"]) == (400, "generic_err_invalid_header")
    assert requests.get(url, verify=ca, timeout=10).status_code == 405


def test_a_lost_answer_leaves_the_host_behind_and_the_vendors_client_trips_over_it(management: Management) -> None:
    client = management.login()
    management.environment.faults.add(Fault("checkpoint", "add-host", phase="after", action="cut"))
    refusal = management.refused(client, "add-host", name="a", ip_address="10.0.0.1")
    assert refusal[1] == "err_validation_failed"
    assert management.ok(client, "show-session")["changes"] == 1


def test_an_html_answer_is_reported_by_the_vendors_client_as_no_json(management: Management) -> None:
    client = management.login()
    management.environment.faults.add(Fault("checkpoint", "show-hosts", action="html", status=503))
    answer = client.api_call("show-hosts")
    assert not answer.success
    assert answer.status_code == 503
    assert "not a valid JSON" in answer.error_message


def test_the_control_port_sums_up_and_takes_new_groups(management: Management) -> None:
    management.order("groups", {"names": ["az-new", "SO"]})
    summary = management.look("summary")
    assert sorted(summary["groups"]) == ["SO", "az-db", "az-new", "az-pci", "az-web"]
    assert summary["revision"]["number"] == 2
    assert summary["gateways"]["gw-east"]["revision"] == 1
    assert management.order("traits", {"nonsense": True}, status=400)["error"]
    assert management.order("gateway", {"name": "gw-north"}, status=404)["code"] == "generic_err_object_not_found"


def test_many_hosts_are_read_page_by_page_from_one_sorted_listing(management: Management) -> None:
    def fill(editor: Editor) -> None:
        for number in range(8_000):
            address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            editor.add(ObjectSpec("host", name=f"az-{number:05d}", ipv4=address, groups=Delta("replace", ("SO",))))

    management.background.call(lambda: management.world.edit("alice", fill))
    management.order("durations", {"read": 0.0})
    client = management.login()
    answer = client.api_query("show-hosts", details_level="uid", payload={"limit": 500})
    assert len(set(answer.data)) == 8_000
    (session,) = management.world.sessions.listed()
    before = session.view.listing("host")
    assert before is session.view.listing("host") is management.world.published.listing("host")
    last = management.ok(client, "show-hosts", limit=500, offset=7_500, details_level="full", show_membership=True)
    assert (last["from"], last["to"], last["total"]) == (7_501, 8_000, 8_000)
    assert last["objects"][-1]["groups"][0]["name"] == "SO"
    management.ok(client, "add-host", name="az-99999", ip_address="11.0.0.1", groups="SO", details_level="uid")
    merged = session.view.listing("host")
    assert len(merged) == 8_001
    assert merged is session.view.listing("host")
