"""Hosts, groups and tags of the Check Point simulator, single and listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.worlds.checkpoint.conftest import Management


def test_a_host_joins_its_group_in_the_call_that_makes_it_and_both_ends_show_it(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-tag", name="microseg.dev/o1")
    host = management.ok(
        client,
        "add-host",
        name="az-host24",
        ip_address="10.20.0.4",
        groups=["SO"],
        tags=["microseg.dev/o1"],
        comments="microseg.dev/o1 vm-1",
    )
    assert (host["type"], host["ipv4-address"], host["comments"]) == ("host", "10.20.0.4", "microseg.dev/o1 vm-1")
    assert [group["name"] for group in host["groups"]] == ["SO"]
    assert [tag["name"] for tag in host["tags"]] == ["microseg.dev/o1"]
    assert "ip-address" not in host
    members = management.ok(client, "show-group", name="SO")["members"]
    assert [(member["name"], member["uid"]) for member in members] == [("az-host24", host["uid"])]


def test_both_families_of_address_are_taken_and_an_ipv6_one_goes_by_either_name(management: Management) -> None:
    client = management.login()
    both = management.ok(client, "add-host", name="a", ipv4_address="10.0.0.1", ipv6_address="FD00::1")
    assert (both["ipv4-address"], both["ipv6-address"]) == ("10.0.0.1", "fd00::1")
    six = management.ok(client, "add-host", name="b", ip_address="fd00::2")
    assert six["ipv6-address"] == "fd00::2"
    assert "ipv4-address" not in six


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"ip_address": "10.0.0.1"}, "generic_err_missing_required_parameters"),
        ({"name": "a"}, "generic_err_missing_required_parameters"),
        ({"name": "a", "ip_address": "10.0.0.300"}, "generic_err_invalid_parameter"),
        ({"name": "a", "ipv6_address": "10.0.0.3"}, "generic_err_invalid_parameter"),
        ({"name": "a", "ip_address": "10.0.0.1", "color": "ultraviolet"}, "generic_err_invalid_parameter"),
        ({"name": "a", "ip_address": "10.0.0.1", "group": "SO"}, "generic_err_invalid_parameter_name"),
        (
            {"name": "a", "ip_address": "10.0.0.1", "groups": {"add": "SO", "remove": "x"}},
            "generic_err_invalid_parameter",
        ),
        ({"name": "a", "ip_address": "10.0.0.1", "ignore_warnings": "yes"}, "generic_err_invalid_parameter"),
        ({"name": "a", "ip_address": "10.0.0.1", "details_level": "most"}, "generic_err_invalid_parameter"),
        ({"name": 7, "ip_address": "10.0.0.1"}, "generic_err_invalid_parameter"),
    ],
)
def test_a_host_with_wrong_parameters_is_refused_and_not_made(
    management: Management, parameters: dict[str, object], code: str
) -> None:
    client = management.login()
    assert management.refused(client, "add-host", **parameters)[:2] == (400, code)
    assert management.ok(client, "show-session")["changes"] == 0
    assert management.ok(client, "show-session")["locks"] == 0


@pytest.mark.parametrize("more", [{"groups": ["SO", "nowhere"]}, {"tags": ["nowhere"], "groups": "SO"}])
def test_an_unknown_group_or_tag_is_404_and_leaves_nothing_behind(
    management: Management, more: dict[str, object]
) -> None:
    management.order("traits", {"makes_tags": False})
    client = management.login()
    refusal = management.refused(client, "add-host", name="a", ip_address="10.0.0.1", **more)
    assert refusal == (404, "generic_err_object_not_found", "Requested object [nowhere] not found")
    session = management.ok(client, "show-session")
    assert (session["changes"], session["locks"]) == (0, 0)


def test_an_unknown_tag_is_made_unless_the_server_is_of_another_kind(management: Management) -> None:
    client = management.login()
    host = management.ok(client, "add-host", name="a", ip_address="10.0.0.1", tags=["new"])
    assert [tag["name"] for tag in host["tags"]] == ["new"]
    assert management.ok(client, "show-tag", name="new")["type"] == "tag"
    management.order("traits", {"makes_tags": False})
    assert management.refused(client, "set-host", name="a", tags=["newer"])[0] == 404


def test_a_name_is_taken_across_types_and_whatever_its_case(management: Management) -> None:
    client = management.login()
    answer = client.api_call("add-host", {"name": "so", "ip-address": "10.0.0.1"})
    assert (answer.status_code, answer.data["code"]) == (400, "err_validation_failed")
    assert answer.data["errors"] == [{"message": "More than one object named 'so' exists.", "current-session": True}]


def test_a_shared_address_is_a_warning_that_refuses_until_it_is_ignored(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1")
    answer = client.api_call("add-host", {"name": "b", "ip-address": "10.0.0.1"})
    assert (answer.status_code, answer.data["code"]) == (400, "err_validation_failed")
    text = "Multiple objects have the same IP address 10.0.0.1"
    assert answer.data["warnings"] == [{"message": text, "current-session": True}]
    management.order("traits", {"tells_whose": False})
    answer = client.api_call("add-host", {"name": "b", "ip-address": "10.0.0.1"})
    assert answer.data["warnings"] == [{"message": text}]
    assert management.refused(client, "show-host", name="b")[0] == 404
    management.ok(client, "add-host", name="b", ip_address="10.0.0.1", ignore_warnings=True)


def test_set_if_exists_makes_a_repeated_add_an_update(management: Management) -> None:
    client = management.login()
    first = management.ok(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    parameters = {"name": "A", "ip_address": "10.0.0.2", "groups": "az-web", "set_if_exists": True}
    second = management.ok(client, "add-host", **parameters)
    assert second["uid"] == first["uid"]
    assert second["ipv4-address"] == "10.0.0.2"
    assert [group["name"] for group in second["groups"]] == ["az-web"]


def test_groups_are_added_removed_and_replaced(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")

    def groups(wanted: object) -> list[str]:
        return [group["name"] for group in management.ok(client, "set-host", name="a", groups=wanted)["groups"]]

    assert groups({"add": ["az-web", "az-db"]}) == ["az-db", "az-web", "SO"]
    assert groups({"remove": "SO"}) == ["az-db", "az-web"]
    assert groups(["az-pci"]) == ["az-pci"]
    assert groups([]) == []


def test_members_are_added_and_removed_by_name_or_uid(management: Management) -> None:
    client = management.login()
    uids = [
        management.ok(client, "add-host", name=f"h{number}", ip_address=f"10.0.0.{number}")["uid"]
        for number in (1, 2, 3)
    ]
    management.ok(client, "set-group", name="SO", members={"add": ["h1", uids[1], "H3"]})
    group = management.ok(client, "set-group", name="SO", members={"remove": "h2"}, details_level="uid")
    assert group["members"] == sorted([uids[0], uids[2]])
    assert management.ok(client, "show-host", name="h2")["groups"] == []
    assert management.refused(client, "set-group", name="SO", members={"add": "nobody"})[0] == 404


def test_a_host_keeps_its_uid_through_a_new_name(management: Management) -> None:
    client = management.login()
    uid = management.ok(client, "add-host", name="a", ip_address="10.0.0.1")["uid"]
    management.ok(client, "set-host", uid=uid, new_name="b")
    assert management.ok(client, "show-host", uid=uid)["name"] == "b"
    assert management.refused(client, "show-host", name="a")[0] == 404
    management.ok(client, "add-host", name="a", ip_address="10.0.0.2")


def test_a_member_of_a_group_is_deleted_only_when_warnings_are_ignored(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    assert management.refused(client, "delete-host", name="a")[:2] == (409, "generic_err_object_deletion")
    assert management.ok(client, "delete-host", name="a", ignore_warnings=True) == {"message": "OK"}
    assert management.ok(client, "show-group", name="SO")["members"] == []
    assert management.refused(client, "delete-host", name="a")[0] == 404


def test_a_host_in_a_rule_cannot_be_deleted_and_where_used_says_why(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1", groups="SO")
    management.ok(client, "publish")
    management.order("rule", {"object": "a", "name": "Web in"})
    assert management.refused(client, "delete-host", name="a", ignore_warnings=True)[0] == 409
    used = management.ok(client, "where-used", name="a")["used-directly"]
    assert used["total"] == 2
    assert [group["name"] for group in used["objects"]] == ["SO"]
    assert [entry["rule"]["name"] for entry in used["access-control-rules"]] == ["Web in"]


def test_equals_compares_fields_and_is_blind_to_the_groups_of_an_object(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1", comments="c", tags=["t"])

    def equals(**params: object) -> bool:
        return bool(management.ok(client, "equals", type="host", params={"name": "a", **params})["equals"])

    assert equals(**{"ip-address": "10.0.0.1", "comments": "c"})
    assert not equals(**{"ip-address": "10.0.0.2"})
    assert (equals(tags=["T"]), equals(tags=[]), equals(tags=["t", "unknown"])) == (True, False, False)
    assert equals(groups=["SO"])
    assert management.refused(client, "equals", type="host", params={"name": "zz"})[0] == 404


def test_equals_sees_the_members_of_a_group(management: Management) -> None:
    client = management.login()
    for number in (1, 2):
        management.ok(client, "add-host", name=f"h{number}", ip_address=f"10.0.0.{number}", groups="SO")

    def equals(*members: str) -> bool:
        return bool(
            management.ok(client, "equals", type="group", params={"name": "SO", "members": [*members]})["equals"]
        )

    assert (equals("H2", "h1"), equals("h1"), equals("h1", "h2", "nobody")) == (True, False, False)


def test_the_vendors_query_reads_every_page_in_the_order_of_names(management: Management) -> None:
    client = management.login()
    items = [{"name": f"h{number:03d}", "ip-address": f"10.0.1.{number}"} for number in range(120)]
    management.ok(client, "add-objects-batch", objects=[{"type": "host", "list": items}])
    answer = client.api_query("show-hosts", details_level="standard", payload={"limit": 50})
    assert [host["name"] for host in answer.data] == [item["name"] for item in items]


def test_a_listing_has_levels_membership_filter_and_both_orders(management: Management) -> None:
    client = management.login()
    for number in (1, 2, 3):
        address = f"10.0.0.{number}"
        management.ok(client, "add-host", name=f"h{number}", ip_address=address, comments=f"n{number}", groups="SO")
    uids = management.ok(client, "show-hosts", details_level="uid")["objects"]
    assert all(isinstance(uid, str) for uid in uids)
    standard = management.ok(client, "show-hosts")["objects"]
    assert sorted(standard[0]) == ["domain", "ipv4-address", "name", "type", "uid"]
    full = management.ok(client, "show-hosts", details_level="full", show_membership=True)["objects"]
    assert [group["name"] for group in full[0]["groups"]] == ["SO"]
    assert "groups" not in management.ok(client, "show-hosts", details_level="full")["objects"][0]
    found = management.ok(client, "show-hosts", filter="N2")
    assert [host["name"] for host in found["objects"]] == ["h2"]
    turned = management.ok(client, "show-hosts", order=[{"DESC": "name"}], limit=2)
    assert [host["name"] for host in turned["objects"]] == ["h3", "h2"]
    assert (turned["from"], turned["to"], turned["total"]) == (1, 2, 3)
    last = management.ok(client, "show-hosts", order=[{"DESC": "name"}], limit=2, offset=2)
    assert [host["name"] for host in last["objects"]] == ["h1"]


def test_an_empty_listing_has_a_total_and_no_positions(management: Management) -> None:
    client = management.login()
    assert management.ok(client, "show-hosts") == {"objects": [], "total": 0}
    assert client.api_query("show-hosts").data == []


@pytest.mark.parametrize(
    "parameters", [{"limit": 0}, {"limit": 501}, {"limit": "50"}, {"offset": -1}, {"order": "name"}]
)
def test_a_page_outside_the_limits_is_refused(management: Management, parameters: dict[str, object]) -> None:
    refusal = management.refused(management.login(), "show-hosts", **parameters)
    assert refusal[:2] == (400, "generic_err_invalid_parameter")


def test_show_objects_gets_many_by_uid_and_one_type_at_a_time(management: Management) -> None:
    client = management.login()
    uid = management.ok(client, "add-host", name="a", ip_address="10.0.0.1")["uid"]
    group = management.ok(client, "show-group", name="SO")["uid"]
    both = management.ok(client, "show-objects", uids=[uid, group, "no-such-uid"])["objects"]
    assert [cp_object["name"] for cp_object in both] == ["a", "SO"]
    assert management.ok(client, "show-objects", type="host")["total"] == 1
    assert management.ok(client, "show-objects", filter="az-")["total"] == 3


def test_a_tag_is_made_once_and_listed(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-tag", name="t")
    assert management.refused(client, "add-tag", name="t")[1] == "err_validation_failed"
    assert [tag["name"] for tag in management.ok(client, "show-tags")["objects"]] == ["t"]


def test_groups_are_made_nested_and_deleted(management: Management) -> None:
    client = management.login()
    management.ok(client, "add-host", name="a", ip_address="10.0.0.1")
    management.ok(client, "add-group", name="inner", members=["a"], groups="SO")
    assert [group["name"] for group in management.ok(client, "show-group", name="inner")["groups"]] == ["SO"]
    assert management.refused(client, "delete-group", name="inner")[0] == 409
    management.ok(client, "set-group", name="SO", members={"remove": "inner"})
    management.ok(client, "delete-group", name="inner")
    assert management.ok(client, "show-groups")["total"] == 4
