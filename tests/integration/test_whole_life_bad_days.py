"""Bad days: the API server away, definitions too old, a standby, a policy of somebody else's, keys that change."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.library import Story
from tests.integration.life import REACHABLE, SEED, Scene, vm
from tests.integration.pages import Tale

from lab.cluster import ROOT
from lab.controlplane import ControlPlane
from lab.oracles import effects

OLD_DEFINITION = [
    {
        "op": "remove",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/agent/properties/attempt",
    }
]


def _targets(estate: dict[str, Any]) -> None:
    estate["spec"]["checkPoint"]["policies"] = [{"package": "Standard", "targets": ["gw-east", "gw-west"]}]


def tell(scene: Scene) -> None:
    """One bad day after the other."""
    scene.begin(vm("one", tags=SEED), vm("two", tags=SEED), change=_targets)
    scene.commissioned("one", "two")
    scene.settled()
    scene.page("before")
    _somebody_installs(scene)
    _check_point_stands_by(scene)
    _every_key_changes(scene)
    _the_api_server_is_away(scene)
    _the_definitions_are_old(scene)


def _somebody_installs(scene: Scene) -> None:
    """Another package lands on one gateway."""
    scene.worlds.post("/checkpoint/install", {"package": "Branch", "gateway": "gw-east", "make": True})
    name = scene.hosts()["one"].name
    scene.wait("the taken back policy is told", lambda: "PolicyTakenBack" in _reasons(scene))
    scene.commissioned("one", "two")
    scene.settled()
    scene.page("policy taken back", host=name)


def _check_point_stands_by(scene: Scene) -> None:
    """The management server fails over; the one that is spoken to refuses sessions for a while."""
    scene.worlds.post("/checkpoint/traits", {"standby": True})
    for session in scene.worlds.get("/checkpoint/summary")["sessions"]:
        scene.worlds.post("/checkpoint/session", {"uid": session["uid"], "expire": True})
    scene.tells_of_estate("CheckPointReachable", "False")
    scene.page("standby")
    scene.worlds.post("/checkpoint/traits", {"standby": False})
    scene.tells_of_estate("CheckPointReachable", "True")
    scene.commissioned("one", "two")


def _every_key_changes(scene: Scene) -> None:
    """The old ones are dead before the new ones are known."""
    keys = {system: f"n3w-key-of-the-operator-at-{system}" for system in ("azure", "illumio", "checkpoint")}
    scene.worlds.post("/azure/secret", {"secret": keys["azure"]})
    scene.worlds.post("/illumio/key", {"secret": keys["illumio"]})
    scene.worlds.post("/checkpoint/admin", {"name": "microseg", "api_key": keys["checkpoint"]})
    for session in scene.worlds.get("/checkpoint/summary")["sessions"]:
        scene.worlds.post("/checkpoint/session", {"uid": session["uid"], "expire": True})
    for kind in REACHABLE:
        scene.tells_of_estate(kind, "False", "Refused")
    scene.page("old keys")
    scene.patch("secret/respiro-azure", {"stringData": {"clientSecret": keys["azure"]}})
    scene.patch("secret/respiro-illumio", {"stringData": {"secret": keys["illumio"]}})
    scene.patch("secret/respiro-checkpoint", {"stringData": {"apiKey": keys["checkpoint"]}})
    for kind in REACHABLE:
        scene.tells_of_estate(kind, "True")
    scene.page("new keys", lives=scene.operator.output().count("microseg started"))


def _the_api_server_is_away(scene: Scene) -> None:
    """Longer than the Lease; a VM comes meanwhile."""
    plane = scene.rig.cluster
    assert isinstance(plane, ControlPlane)
    since = scene.seq()
    plane.stop_apiserver()
    scene.appear(vm("meanwhile", tags=SEED))
    scene.operator.wait_for_log("lease lost", seconds=60)
    scene.wait("its session is closed", lambda: not scene.worlds.get("/checkpoint/summary")["sessions"])
    entries = [entry for entry in scene.worlds.ledger() if entry.seq > since]
    plane.start_apiserver()
    scene.commissioned("one", "two", "meanwhile")
    scene.settled()
    scene.page("API server back", meanwhile=effects(entries))


def _the_definitions_are_old(scene: Scene) -> None:
    """The operator of a newer version meets the definitions of an older one."""
    scene.operator.stop()
    crd = "crd/managedhosts.microseg.dev"
    scene.rig.kubectl("patch", crd, "--type=json", "-p", json.dumps(OLD_DEFINITION))
    scene.appear(vm("late", tags=SEED))
    scene.operator.start()
    scene.tells_of_estate("Stalled", "True", "MissingSchema", "status.agent.attempt")
    scene.page("old definitions")
    scene.rig.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "crds"))
    scene.commissioned("one", "two", "meanwhile", "late")
    scene.settled()
    scene.page("end")


def _reasons(scene: Scene) -> list[str]:
    events = json.loads(scene.rig.kubectl("get", "events", "-o", "json"))["items"]
    return [str(event["reason"]) for event in events]


STORY = Story("whole-life-bad-days", tell, own_plane=True, long=True)


def test_a_policy_of_somebody_elses_is_one_event_for_the_target(tale: Tale) -> None:
    before, page = tale.page("before"), tale.page("policy taken back")

    told: list[Any] = [event for event in page.events if event["reason"] == "PolicyTakenBack"]
    assert len(told) == 1
    assert "gw-east has Branch installed instead of Standard" in told[0]["message"]
    names = {host.name for host in page.hosts.values()}
    on_hosts = [event for event in page.events if event["involvedObject"]["name"] in names]
    assert len(on_hosts) == len([e for e in before.events if e["involvedObject"]["name"] in names])
    assert len(page.of("checkpoint", "install-policy", since=before.seq)) == 1
    drift = page.hosts["one"].raw["status"]["drift"]
    assert [(each["stage"], each["repairs"]) for each in drift] == [("PolicyInstalled", 1)]


def test_a_standby_takes_nothing_back(tale: Tale) -> None:
    page = tale.page("standby")

    assert page.condition("CheckPointReachable")["status"] == "False"
    assert all(host.commissioned for host in page.hosts.values())


def test_keys_that_are_refused_take_nothing_back(tale: Tale) -> None:
    before, page = tale.page("standby"), tale.page("old keys")

    assert effects(entry for entry in page.entries if entry.seq > before.seq) == {}
    assert all(host.commissioned for host in page.hosts.values())


def test_new_keys_are_taken_up_without_a_restart(tale: Tale) -> None:
    page = tale.page("new keys")

    assert [page.condition(kind)["status"] for kind in REACHABLE] == ["True"] * 3
    assert page.notes["lives"] == 1


def test_without_the_api_server_nothing_outside_changes(tale: Tale) -> None:
    page = tale.page("API server back")

    assert page.notes["meanwhile"] == {}
    assert page.scripts("meanwhile") == 1


def test_old_definitions_stop_everything_and_say_what_they_lack(tale: Tale) -> None:
    away, page = tale.page("API server back"), tale.page("old definitions")

    assert page.of("azure", "commands.put", since=away.seq) == []
    assert page.publishes(away.seq) == []


def test_when_all_is_well_again_nobody_was_installed_twice(tale: Tale) -> None:
    page = tale.page("end")

    assert {name: page.scripts(name) for name in page.hosts} == dict.fromkeys(page.hosts, 1)
    assert all(host.commissioned for host in page.hosts.values())
