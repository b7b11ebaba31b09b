"""Lists that are wrong in every way, and estates that look at less than before: nobody loses anything by it (S5).

Retirement is as hasty here as it can be, so that a wrong belief would show within seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Page, Tale

from lab.oracles import effects

NAMES = ("near", "far", "tagged", "gone")
CROWD = 55
"""VMs that were never started: they fill more than one page, and ask for nothing."""
POLLS = 4
"""Twice as many as a VM must be missing from before Azure is asked for it."""

NO_SUBSCRIPTION = {"error": {"code": "SubscriptionNotFound", "message": "The subscription could not be found."}}
DISABLED = {"error": {"code": "ReadOnlyDisabledSubscription", "message": "The subscription is disabled."}}
FORBIDDEN = {"error": {"code": "AuthorizationFailed", "message": "The client does not have authorization."}}
ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "empty": {"status": 200, "body": {"value": []}},
    "without its last page": {"action": "link-missing", "phase": "after"},
    "with an empty page": {"action": "page-missing", "phase": "after"},
    "forbidden": {"status": 403, "body": FORBIDDEN},
    "of a subscription that is gone": {"status": 404, "body": NO_SUBSCRIPTION},
    "of a disabled subscription": {"status": 409, "body": DISABLED},
}
"""What the list of VMs answers for some polls, while each VM by itself is answered truly."""


def _hasty(estate: dict[str, Any]) -> None:
    estate["spec"]["retirement"] = {"missedPolls": 2, "after": "1s", "maxPerHour": {"count": 20, "percent": 50}}


def tell(scene: Scene) -> None:
    """Wrong lists one after the other; then the estate looks away; then it looks again."""
    crowd = [vm(f"crowd-{number}", power="deallocated") for number in range(CROWD)]
    orders = [vm(name, tags=SEED) for name in NAMES if name != "far"]
    second = _subscriptions(scene)[1]
    far = vm("far", tags=SEED, subscription=second, resourceGroup="far-rg")
    scene.begin(*crowd, *orders, far, change=_hasty)
    scene.commissioned(*NAMES)
    scene.settled()
    scene.page("before")
    for name, answer in ANSWERS.items():
        _wrong(scene, name, answer)
    _stale(scene)
    _denied(scene)
    _looks_at_less(scene, second)
    _retirement_is_off(scene)
    _too_many_at_once(scene)


def _wrong(scene: Scene, name: str, answer: Mapping[str, Any]) -> None:
    """For some polls the list of the VMs is wrong. A refused poll ends at its first list, and the next comes later."""
    count = 2 if int(answer.get("status", 200)) >= 400 else len(_subscriptions(scene)) * POLLS
    fault = scene.order_fault("azure", "vms.list", count=count, **answer)
    scene.wait(f"{count} lists {name}", lambda: scene.met(fault))
    scene.page(f"a list {name}")
    _well(scene)


def _subscriptions(scene: Scene) -> list[str]:
    found: list[str] = scene.worlds.described["azure"]["subscriptions"]
    return found


def _well(scene: Scene) -> None:
    """Every VM is seen again."""
    scene.tells_of_estate("AzureReachable", "True")
    scene.commissioned(*NAMES)
    scene.wait(
        "nobody is missed", lambda: not [host for host in scene.rig.hosts() if "missingSince" in host.raw["status"]]
    )


def _stale(scene: Scene) -> None:
    """Lists go on showing what was, for longer than it takes to retire somebody, and a VM is made again meanwhile."""
    since = scene.seq()
    scene.order_fault("azure", "vms.list", action="stale", seconds=4.0)
    scene.entry("azure", "vms.list", since=since)
    scene.worlds.post("/azure/vms/near/retag", {"tags": SEED | {"note": "retagged"}})
    scene.rounds(3)
    scene.page("a list that is stale")
    scene.wait("the new tag", lambda: "retagged" in json.dumps(scene.hosts()["near"].raw["status"]["azure"]))


def _denied(scene: Scene) -> None:
    """The right to read one resource group is taken away: a shorter list, and 403 for each VM of it."""
    scene.worlds.post("/azure/traits", {"denied": ["far-rg"]})
    scene.tells(far="GoneUnproven")
    scene.rounds(2)
    scene.page("a list that is short")
    scene.worlds.post("/azure/traits", {"denied": []})
    _well(scene)


def _looks_at_less(scene: Scene, second: str) -> None:
    """The estate names one subscription less; then it selects by a tag; then it looks at everything again."""
    sources = scene.rig.estate()["spec"]["azure"]["sources"]
    all_of_them = list(sources[0]["subscriptions"])
    since = scene.seq()
    sources[0]["subscriptions"] = [each for each in all_of_them if each != second]
    scene.patch("est/respiro", {"spec": {"azure": {"sources": sources}}})
    scene.tells(far="Deselected")
    scene.rounds(3)
    scene.page("one subscription less", since=since)

    sources[0] |= {"subscriptions": all_of_them, "select": {"tags": {"app": SEED["app"]}, "notTags": {"note": "*"}}}
    scene.patch("est/respiro", {"spec": {"azure": {"sources": sources}}})
    scene.tells(near="Deselected")
    scene.commissioned("far", "tagged", "gone")
    scene.rounds(3)
    scene.page("a narrower selection", since=since)
    del sources[0]["select"]
    scene.patch("est/respiro", {"spec": {"azure": {"sources": sources}}})
    scene.commissioned(*NAMES)
    scene.page("all again", since=since)


def _retirement_is_off(scene: Scene) -> None:
    """A VM goes while retirement is off; it is retired when it is on."""
    scene.patch("est/respiro", {"spec": {"retirement": {"enabled": False}}})
    scene.rounds(1)
    vm_id = scene.hosts()["gone"].vm_id
    scene.worlds.post("/azure/vms/gone/delete", {"at_once": True})
    scene.rounds(4)
    scene.page("retirement is off", vm_id=vm_id)
    scene.patch("est/respiro", {"spec": {"retirement": {"enabled": True}}})
    scene.wait("it is retired", lambda: "gone" not in scene.hosts())
    scene.page("retirement is on", vm_id=vm_id)


def _too_many_at_once(scene: Scene) -> None:
    """One may go in an hour, and one went: two more wait for a person."""
    scene.patch("est/respiro", {"spec": {"retirement": {"maxPerHour": {"count": 1, "percent": 1}}}})
    scene.rounds(1)
    names = ("near", "tagged")
    vm_ids = {name: scene.hosts()[name].vm_id for name in names}
    since = scene.seq()
    for name in names:
        scene.worlds.post(f"/azure/vms/{name}/delete", {"at_once": True})
    scene.tells(near="RetirementHeld", tagged="RetirementHeld")
    told = scene.tells_of_estate("PlanHeld", "True", text=":2")
    scene.rounds(2)
    listed = scene.rig.kubectl("get", "mh", "--field-selector", "status.reason=RetirementHeld", "-o", "name").split()
    scene.page("too many at once", since=since, listed=listed)
    approve = told["message"].rpartition("microseg.dev/approve=")[2].split(".")[0]
    scene.annotate("est/respiro", f"microseg.dev/approve={approve}")
    scene.wait("both are retired", lambda: not set(names) & scene.hosts().keys())
    scene.page("approved", vm_ids=vm_ids)


STORY = Story("whole-life-wrong-lists", tell, long=True)


def _untouched(before: Page, page: Page) -> None:
    """Nothing was changed outside since, and everybody has what they had."""
    assert effects(entry for entry in page.entries if entry.seq > before.seq) == {}
    assert {host.vm_id for host in page.hosts.values()} == {host.vm_id for host in before.hosts.values()}


@pytest.mark.parametrize("name", [*ANSWERS, "that is stale", "that is short"])
def test_a_wrong_list_retires_nobody_and_changes_nothing_outside(tale: Tale, name: str) -> None:
    before, page = tale.page("before"), tale.page(f"a list {name}")

    _untouched(before, page)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("forbidden", "AuthorizationFailed"),
        ("of a subscription that is gone", "SubscriptionNotFound"),
        ("of a disabled subscription", "ReadOnlyDisabledSubscription"),
    ],
)
def test_a_list_that_is_refused_is_told_with_azures_own_code(tale: Tale, name: str, words: str) -> None:
    told = tale.page(f"a list {name}").condition("AzureReachable")

    assert told["status"] == "False"
    assert words in told["message"]


def test_who_cannot_be_read_is_told_what_to_do_about_it(tale: Tale) -> None:
    host = tale.page("a list that is short").hosts["far"]

    told = host.condition("Stalled")
    assert (told.status, told.reason) == ("True", "GoneUnproven")
    assert f"microseg.dev/confirm-gone={host.vm_id}" in told.message


def test_a_subscription_that_the_estate_no_longer_names_keeps_its_protection(tale: Tale) -> None:
    page = tale.page("one subscription less")

    _untouched(tale.page("before"), page)
    assert "no longer one of the estate's" in page.hosts["far"].condition("Discovered").message


def test_a_narrower_selection_takes_nothing_away(tale: Tale) -> None:
    page = tale.page("a narrower selection")

    assert effects(entry for entry in page.entries if entry.seq > page.notes["since"]) == {}
    assert page.workload("near")["labels"] == tale.page("before").workload("near")["labels"]


def test_looking_again_needs_no_installer_and_no_publish(tale: Tale) -> None:
    page = tale.page("all again")

    assert effects(entry for entry in page.entries if entry.seq > page.notes["since"]) == {}


def test_with_retirement_off_a_vm_that_is_gone_keeps_all_it_has(tale: Tale) -> None:
    page = tale.page("retirement is off")

    _untouched(tale.page("before"), page)
    assert page.workload("gone")


def test_with_retirement_on_again_it_goes_the_usual_way(tale: Tale) -> None:
    page = tale.page("retirement is on")

    vm_id = page.notes["vm_id"]
    assert not [each for each in page.objects if each["comments"].endswith(vm_id)]
    assert not [each for each in page.workloads if each["external_data_reference"] == vm_id and not each["deleted"]]


def test_more_than_may_go_at_once_wait_with_the_exact_list_and_nothing_is_removed(tale: Tale) -> None:
    page = tale.page("too many at once")

    assert effects(entry for entry in page.entries if entry.seq > page.notes["since"]) == {}
    assert page.workload("near")
    assert page.workload("tagged")
    kind = "managedhost.microseg.dev"
    assert set(page.notes["listed"]) == {f"{kind}/{page.hosts[name].name}" for name in ("near", "tagged")}
    assert "--field-selector status.reason=RetirementHeld" in page.condition("PlanHeld")["message"]


def test_an_approval_of_this_very_list_lets_them_go(tale: Tale) -> None:
    page = tale.page("approved")

    for vm_id in page.notes["vm_ids"].values():
        assert not [each for each in page.objects if each["comments"].endswith(vm_id)]
    assert page.hosts["far"].commissioned
