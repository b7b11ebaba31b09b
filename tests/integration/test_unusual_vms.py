"""Unusual VMs: paired long ago, many addresses, unknown tags, late, changed, moved."""

from __future__ import annotations

from tests.integration.scenario import SEED, ScenarioRun, vm
from tests.integration.scenario_runner import Scenario
from tests.integration.snapshots import Recording

OLD = ("old-linux", "old-windows")
ADDRESSES = ("10.9.0.4", "fd00:9::4", "10.9.1.4")
NET = "net-rg"
"""A resource group of a NIC, which the operator may not read at first."""
NICS = ({"addresses": ["10.9.0.5"]}, {"addresses": ["10.9.8.5"], "resourceGroup": NET})
STRANGE = "169.254.169.254"
"""Whoever may write a NIC may write any address on it."""
LATE = ("late-1", "late-2", "late-3")


def scenario(run: ScenarioRun) -> None:
    """A fleet of unusual VMs; then tags are corrected, one VM changes, and three more are created together."""
    run.create_vms(
        vm("old-linux"),
        vm("old-windows", "Windows", tags=SEED),
        vm("many", tags=SEED, nics=[{"addresses": list(ADDRESSES[:2])}, {"addresses": [ADDRESSES[2]]}]),
        vm("partly", tags=SEED, nics=list(NICS)),
        vm("flex", tags=SEED, scaleSet={"name": "pool", "mode": "flexible"}),
        vm("puzzle", tags={"app": "mystery"}),
        vm("stranger", tags=SEED, nics=[{"addresses": ["10.9.0.9", STRANGE]}]),
        vm("mover", tags=SEED),
    )
    for name in OLD:
        run.worlds.adopt(name)
    run.worlds.post("/azure/traits", {"denied": [NET]})
    run.start()
    run.wait_commissioned(*OLD, "many", "flex", "mover")
    run.wait_for_reasons(puzzle="MappingMiss", partly="NicUnreadable", stranger="AddressNotAllowed")
    run.wait("all that is known is installed", lambda: run.hosts()["partly"].true("PolicyInstalled"))
    run.wait_settled()
    run.snapshot("odd")

    run.worlds.post("/azure/traits", {"denied": []})
    run.worlds.post("/azure/vms/puzzle/retag", {"tags": {"app": "shop"}})
    run.worlds.post("/azure/vms/mover/readdress", {"addresses": ["10.9.2.9"]})
    run.worlds.post("/azure/vms/mover/retag", {"tags": SEED | {"rol": "db"}})
    run.wait_commissioned("puzzle", "partly")
    run.wait("the mover has moved", lambda: _moved(run))
    run.wait_settled()
    run.snapshot("changed")

    run.create_vms(*(vm(name, tags=SEED) for name in LATE))
    run.wait_commissioned(*LATE)
    run.wait_settled()
    run.snapshot("late")


def _moved(run: ScenarioRun) -> bool:
    host = run.hosts()["mover"]
    return host.commissioned and host.ip == "10.9.2.9" and host.groups == "SO,az-db"


SCENARIO = Scenario("unusual-vms", scenario)


def test_a_vm_that_was_paired_long_ago_is_adopted_and_no_installer_runs_on_it(recording: Recording) -> None:
    snapshot = recording.snapshot("odd")

    for name in OLD:
        assert (snapshot.scripts(name), snapshot.scripts(name, "probe")) == (0, 1)
        assert snapshot.hosts[name].raw["status"]["agent"]["outcome"] == "already-paired"
        assert snapshot.workload(name)["hostname"] == name
    assert snapshot.workload("old-windows")["labels"]["role"] == "Web"


def test_no_key_is_made_for_a_question(recording: Recording) -> None:
    snapshot = recording.snapshot("odd")

    assert len(snapshot.of("illumio", "pairing_keys.create")) == len(snapshot.hosts) - len(OLD)


def test_every_private_address_has_an_object_in_the_groups(recording: Recording) -> None:
    snapshot = recording.snapshot("odd")

    objects = snapshot.objects_of("many")
    assert set(objects) == set(ADDRESSES)
    assert {tuple(thing["groups"]) for thing in objects.values()} == {("SO", "az-web")}
    assert len({thing["name"] for thing in objects.values()}) == len(ADDRESSES)
    recorded = snapshot.hosts["many"].raw["status"]["checkPoint"]["hosts"]
    assert {each.get("ipv4") or each["ipv6"] for each in recorded} == set(ADDRESSES)


def test_what_is_known_of_a_vm_is_protected_and_the_rest_follows(recording: Recording) -> None:
    part, whole = recording.snapshot("odd"), recording.snapshot("changed")

    grouped = part.hosts["partly"].condition("Grouped")
    assert (grouped.status, grouped.reason) == ("Unknown", "NicUnreadable")
    assert "partly-nic1" in grouped.message
    (first,) = part.objects_of("partly").values()
    assert (first["ipv4-address"], first["groups"]) == ("10.9.0.5", ["SO", "az-web"])
    assert whole.objects_of("partly")["10.9.0.5"] == first
    assert whole.objects_of("partly")["10.9.8.5"]["groups"] == first["groups"]


def test_an_address_that_belongs_to_no_vm_enters_no_group_and_stops_nobody_else(recording: Recording) -> None:
    snapshot = recording.snapshot("late")

    assert STRANGE in snapshot.hosts["stranger"].condition("Grouped").message
    assert snapshot.objects_of("stranger") == {}
    assert STRANGE not in {each.get("ipv4-address") for each in snapshot.objects}
    assert snapshot.hosts["stranger"].true("AgentPaired")
    assert snapshot.hosts["many"].commissioned


def test_a_member_of_a_flexible_scale_set_is_a_vm_like_any_other(recording: Recording) -> None:
    snapshot = recording.snapshot("odd")

    assert snapshot.hosts["flex"].commissioned
    assert snapshot.hosts["flex"].raw["status"]["azure"]["scaleSet"].endswith("/virtualMachineScaleSets/pool")


def test_tags_that_no_rule_knows_wait_for_a_person_and_the_agent_does_not(recording: Recording) -> None:
    puzzle = recording.snapshot("odd").hosts["puzzle"]

    assert puzzle.true("AgentPaired")
    for kind in ("Labelled", "Grouped"):
        assert puzzle.condition(kind).reason == "MappingMiss"
        assert "mystery" in puzzle.condition(kind).message
    assert (puzzle.condition("Stalled").status, puzzle.condition("Reconciling").status) == ("False", "False")


def test_tags_that_were_mended_bring_it_through(recording: Recording) -> None:
    snapshot = recording.snapshot("changed")

    assert snapshot.hosts["puzzle"].commissioned
    assert snapshot.workload("puzzle")["labels"]["app"] == "shop"


def test_an_object_follows_its_vm_to_another_address_and_group(recording: Recording) -> None:
    before, after = recording.snapshot("odd").objects_of("mover"), recording.snapshot("changed").objects_of("mover")

    assert list(after) == ["10.9.2.9"]
    ((was,), (now,)) = before.values(), after.values()
    assert now["uid"] == was["uid"]
    assert (was["groups"], now["groups"]) == (["SO", "az-web"], ["SO", "az-db"])
    assert recording.snapshot("changed").workload("mover")["labels"]["role"] == "Database"


def test_a_later_batch_costs_one_publish_and_one_install(recording: Recording) -> None:
    before, snapshot = recording.snapshot("changed"), recording.snapshot("late")

    assert len(snapshot.publishes(since=before.seq)) == 1
    assert len(snapshot.of("checkpoint", "install-policy", since=before.seq)) == 1
    assert {name: snapshot.scripts(name) for name in LATE} == dict.fromkeys(LATE, 1)
