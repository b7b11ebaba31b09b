"""show-changes, and the lifetime of a connection, with the vendor's own client."""

from __future__ import annotations

import requests

from .conftest import Json, Management


def changes(management: Management, **parameters: object) -> list[Json]:
    """What show-changes tells."""
    client = management.login(name="asking")
    (task,) = management.ok(client, "show-changes", **parameters)["tasks"]
    assert task["status"] == "succeeded"
    found: list[Json] = task["task-details"][0]["changes"]
    return found


def revisions(management: Management) -> list[str]:
    return [revision.uid for revision in management.world.published.revisions]


def test_each_publish_is_told_with_what_it_added_modified_and_deleted(management: Management) -> None:
    client = management.login(name="mine")
    management.ok(client, "add-host", name="h1", ip_address="10.0.0.1", groups=["SO"])
    management.ok(client, "publish")
    management.order("edit", {"do": "set-host", "host": "h1", "comments": "theirs"})
    management.order("edit", {"do": "delete-host", "host": "h1"})
    mine, altered, deleted = changes(management, from_session=revisions(management)[0], limit=500)
    operations = mine["operations"]
    assert (mine["session"]["name"], mine["session"]["user-name"]) == ("mine", "microseg")
    assert [each["name"] for each in operations["added-objects"]] == ["h1"]
    assert [each["new-object"]["name"] for each in operations["modified-objects"]] == ["SO"]
    assert [each["new-object"]["comments"] for each in altered["operations"]["modified-objects"]] == ["theirs"]
    assert [each["name"] for each in deleted["operations"]["deleted-objects"]] == ["h1"]


def test_changes_are_asked_for_between_two_sessions_and_page_by_page(management: Management) -> None:
    for number in range(3):
        management.order("edit", {"do": "add-host", "host": f"h{number}", "ip-address": f"10.0.0.{number + 1}"})
    first, *_, last = revisions(management)
    names = [
        cp_object["name"]
        for change in changes(management, from_session=first, to_session=last, limit=1, offset=1)
        for cp_object in change["operations"]["added-objects"]
    ]
    assert names == ["h1"]
    client = management.login()
    assert management.refused(client, "show-changes", from_session="nobody")[1] == "generic_err_object_not_found"
    assert management.refused(client, "show-changes", from_date="yesterday")[0] == 400


def test_a_connection_carries_so_many_requests_and_says_how_many_are_left(management: Management) -> None:
    management.order("traits", {"keep_alive_requests": 2})
    with requests.Session() as session:
        session.trust_env = False
        ask: Json = {
            "url": f"{management.url}/web_api/show-hosts",
            "json": {},
            "verify": str(management.ca),
            "timeout": 10,
        }
        first, second = session.post(**ask), session.post(**ask)
    assert first.headers["Keep-Alive"] == "timeout=15, max=1"
    assert second.headers["Connection"] == "close"
