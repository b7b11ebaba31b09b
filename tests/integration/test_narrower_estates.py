"""Narrower Estates, and retirement that is off or held: no host loses its protection unasked (S5, S6)."""

from __future__ import annotations

from tests.integration.scenario import SEED, ScenarioRun, fast_retirement, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording, assert_untouched

from lab.oracles import effects

NAMES = ("near", "far", "tagged", "gone")


def scenario(run: ScenarioRun) -> None:
    """A narrower Estate, then the full one again; a VM goes while retirement is off; then too many go at once."""
    second = run.worlds.described["azure"]["subscriptions"][1]
    near = [vm(name, tags=SEED) for name in NAMES if name != "far"]
    run.start(*near, vm("far", tags=SEED, subscription=second), change=fast_retirement)
    run.wait_commissioned(*NAMES)
    run.wait_settled()
    run.worlds.post("/azure/vms/near/retag", {"tags": SEED | {"note": "retagged"}})
    run.wait("the new tag", lambda: "retagged" in str(run.hosts()["near"].raw["status"]["azure"]))
    run.snapshot("before")
    _narrow_the_estate(run, second)
    _switch_retirement_off(run)
    _too_many_at_once(run)


def _narrow_the_estate(run: ScenarioRun, second: str) -> None:
    """Remove a subscription from the Estate; then select by a tag; then select everything again."""
    sources = run.rig.estate()["spec"]["azure"]["sources"]
    all_of_them = list(sources[0]["subscriptions"])
    since = run.ledger_end()
    sources[0]["subscriptions"] = [each for each in all_of_them if each != second]
    run.patch("est/respiro", {"spec": {"azure": {"sources": sources}}})
    run.wait_for_reasons(far="Deselected")
    run.wait_polls(3)
    run.snapshot("one subscription less", since=since)

    sources[0] |= {"subscriptions": all_of_them, "select": {"tags": {"app": SEED["app"]}, "notTags": {"note": "*"}}}
    run.patch("est/respiro", {"spec": {"azure": {"sources": sources}}})
    run.wait_for_reasons(near="Deselected")
    run.wait_commissioned("far", "tagged", "gone")
    run.wait_polls(3)
    run.snapshot("a narrower selection", since=since)
    del sources[0]["select"]
    run.patch("est/respiro", {"spec": {"azure": {"sources": sources}}})
    run.wait_commissioned(*NAMES)
    run.snapshot("all again", since=since)


def _switch_retirement_off(run: ScenarioRun) -> None:
    """Delete a VM while retirement is off; it is retired once it is on."""
    run.patch("est/respiro", {"spec": {"retirement": {"enabled": False}}})
    run.wait_polls(1)
    vm_id = run.hosts()["gone"].vm_id
    run.worlds.post("/azure/vms/gone/delete", {"at_once": True})
    run.wait_polls(4)
    run.snapshot("retirement is off", vm_id=vm_id)
    run.patch("est/respiro", {"spec": {"retirement": {"enabled": True}}})
    run.wait("it is retired", lambda: "gone" not in run.hosts())
    run.snapshot("retirement is on", vm_id=vm_id)


def _too_many_at_once(run: ScenarioRun) -> None:
    """Delete two more VMs than the hourly limit: they wait for a person."""
    run.patch("est/respiro", {"spec": {"retirement": {"maxPerHour": {"count": 1, "percent": 1}}}})
    run.wait_polls(1)
    names = ("near", "tagged")
    vm_ids = {name: run.hosts()[name].vm_id for name in names}
    since = run.ledger_end()
    for name in names:
        run.worlds.post(f"/azure/vms/{name}/delete", {"at_once": True})
    run.wait_for_reasons(near="RetirementHeld", tagged="RetirementHeld")
    told = run.wait_for_estate_condition("PlanHeld", "True", text=":2")
    run.wait_polls(2)
    listed = run.rig.kubectl("get", "mh", "--field-selector", "status.reason=RetirementHeld", "-o", "name").split()
    run.snapshot("too many at once", since=since, listed=listed)
    approve = told["message"].rpartition("microseg approve retirement ")[2].split("`")[0]
    run.annotate("est/respiro", f"microseg.dev/approve={approve}")
    run.wait("both are retired", lambda: not set(names) & run.hosts().keys())
    run.snapshot("approved", vm_ids=vm_ids)


SCENARIO = Scenario("narrower-estates", scenario, long=True)


def test_a_subscription_that_the_estate_no_longer_names_keeps_its_protection(recording: Recording) -> None:
    snapshot = recording.snapshot("one subscription less")

    assert_untouched(recording.snapshot("before"), snapshot)
    assert "no longer one of the estate's" in snapshot.hosts["far"].condition("Discovered").message


def test_a_narrower_selection_takes_nothing_away(recording: Recording) -> None:
    snapshot = recording.snapshot("a narrower selection")

    assert effects(entry for entry in snapshot.entries if entry.seq > snapshot.notes["since"]) == {}
    assert snapshot.workload("near")["labels"] == recording.snapshot("before").workload("near")["labels"]


def test_looking_again_needs_no_installer_and_no_publish(recording: Recording) -> None:
    snapshot = recording.snapshot("all again")

    assert effects(entry for entry in snapshot.entries if entry.seq > snapshot.notes["since"]) == {}


def test_with_retirement_off_a_vm_that_is_gone_keeps_all_it_has(recording: Recording) -> None:
    snapshot = recording.snapshot("retirement is off")

    assert_untouched(recording.snapshot("before"), snapshot)
    assert snapshot.workload("gone")


def test_with_retirement_on_again_it_goes_the_usual_way(recording: Recording) -> None:
    snapshot = recording.snapshot("retirement is on")

    vm_id = snapshot.notes["vm_id"]
    assert not [each for each in snapshot.objects if each["comments"].endswith(vm_id)]
    assert not [each for each in snapshot.workloads if each["external_data_reference"] == vm_id and not each["deleted"]]


def test_more_than_may_go_at_once_wait_with_the_exact_list_and_nothing_is_removed(recording: Recording) -> None:
    snapshot = recording.snapshot("too many at once")

    assert effects(entry for entry in snapshot.entries if entry.seq > snapshot.notes["since"]) == {}
    assert snapshot.workload("near")
    assert snapshot.workload("tagged")
    kind = "managedhost.microseg.dev"
    assert set(snapshot.notes["listed"]) == {f"{kind}/{snapshot.hosts[name].name}" for name in ("near", "tagged")}
    assert "--field-selector status.reason=RetirementHeld" in snapshot.condition("PlanHeld")["message"]


def test_an_approval_of_this_very_list_lets_them_go(recording: Recording) -> None:
    snapshot = recording.snapshot("approved")

    for vm_id in snapshot.notes["vm_ids"].values():
        assert not [each for each in snapshot.objects if each["comments"].endswith(vm_id)]
    assert snapshot.hosts["far"].commissioned
