"""What people write wrongly: the estate says so in a sentence, does nothing meanwhile, and goes on when it is mended.

What the API server itself refuses is in `test_kube_resources.py`.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.integration.library import Story
from tests.integration.life import SEED, Scene, vm
from tests.integration.pages import Page, Tale

from lab.cluster import apply
from lab.estate import documents

STALLS = {
    "no secret": ("SecretInvalid", "Secret nowhere does not exist"),
    "no certificate": ("SecretInvalid", "ConfigMap empty-ca has no certificate in PEM under ca.crt"),
    "no subscription": ("SpecInvalid", "'production' is not a subscription's id"),
    "no key": ("SecretInvalid", "Secret respiro-illumio has no key secret"),
}
"""Page -> why nothing can be kept."""
NEW_KEY = "rotated-by-a-person-4711"


def tell(scene: Scene) -> None:
    """An estate is mended piece by piece until it works; then somebody rotates a credential and copies the estate."""
    scene.appear(vm("first", tags=SEED))
    scene.rig.apply_estate(_spoil)
    good = documents(scene.worlds, scene.rig.namespace, poll="1s")
    secret = json.loads(scene.rig.kubectl("get", "secret", "respiro-illumio", "-o", "json"))["data"]["secret"]
    scene.patch("secret/respiro-illumio", {"data": {"secret": None}})
    apply(scene.rig.cluster, [_empty_bundle(scene.rig.namespace)])
    scene.operator.start()
    began = scene.seq()
    _stalled(scene, "no secret")
    scene.patch("est/respiro", {"spec": {"illumio": {"secretRef": {"name": "respiro-illumio"}}}})
    _stalled(scene, "no certificate")
    scene.patch("est/respiro", {"spec": {"checkPoint": {"caBundle": {"configMap": "respiro-ca"}}}})
    _stalled(scene, "no subscription")
    scene.patch("est/respiro", {"spec": {"azure": good[-1]["spec"]["azure"]}})
    _stalled(scene, "no key", began=began)
    scene.patch("secret/respiro-illumio", {"data": {"secret": secret}})
    scene.obstacle("first", "AgentPaired", "PairingProfileUnsafe", "no pairing profile named by-hand")
    scene.wait("the firewall's stages hold", lambda: scene.hosts()["first"].true("PolicyInstalled"))
    scene.page("no profile")
    scene.patch("est/respiro", {"spec": {"illumio": good[-1]["spec"]["illumio"]}})
    scene.commissioned("first")
    scene.settled()
    scene.page("mended")

    twin = good[-1] | {"metadata": {"name": "twin", "namespace": scene.rig.namespace}}
    twin["spec"] = twin["spec"] | {"illumio": twin["spec"]["illumio"] | {"orgId": 51}}
    apply(scene.rig.cluster, [twin])
    scene.wait("the twin is stalled", lambda: "EndpointShared" in scene.rig.kubectl("get", "est", "twin", "-o", "yaml"))
    told = json.loads(scene.rig.kubectl("get", "est", "twin", "-o", "json"))
    scene.rounds()
    scene.page("a twin", twin=told)
    scene.rig.kubectl("delete", "est", "twin", "--timeout=20s")

    scene.worlds.post("/checkpoint/admin", {"name": "microseg", "api_key": NEW_KEY})
    scene.worlds.post("/checkpoint/session", {"name": _session(scene), "expire": True})
    scene.tells_of_estate("CheckPointReachable", "False", "Refused")
    scene.page("rotated")
    scene.patch("secret/respiro-checkpoint", {"data": {"apiKey": base64.b64encode(NEW_KEY.encode()).decode()}})
    scene.tells_of_estate("CheckPointReachable", "True")
    scene.settled()
    scene.page("rotated here too")


def _spoil(estate: dict[str, Any]) -> None:
    """Everything at once that the API server cannot see."""
    spec = estate["spec"]
    spec["illumio"]["secretRef"] = {"name": "nowhere"}
    spec["illumio"]["pairingProfiles"] = {"linux": "by-hand", "windows": "by-hand"}
    spec["checkPoint"]["caBundle"] = {"configMap": "empty-ca"}
    spec["azure"]["sources"][0]["subscriptions"] = ["production"]


def _empty_bundle(namespace: str) -> dict[str, Any]:
    named = {"name": "empty-ca", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"ca.crt": "to be done"}}


def _stalled(scene: Scene, page: str, **notes: Any) -> None:
    reason, text = STALLS[page]
    scene.tells_of_estate("Stalled", "True", reason, text)
    scene.page(page, **notes)


def _session(scene: Scene) -> str:
    sessions = scene.worlds.get("/checkpoint/summary")["sessions"]
    (ours,) = [str(each["name"]) for each in sessions if str(each.get("name", "")).startswith("microseg/")]
    return ours


STORY = Story("input", tell, long=True)


@pytest.mark.parametrize("name", STALLS)
def test_an_estate_that_cannot_be_kept_is_stalled_with_a_sentence(tale: Tale, name: str) -> None:
    page = tale.page(name)

    reason, text = STALLS[name]
    for kind, status in (("Stalled", "True"), ("Ready", "False")):
        assert (page.condition(kind)["status"], page.condition(kind)["reason"]) == (status, reason)
        assert text in page.condition(kind)["message"]
    assert page.condition("Reconciling")["status"] == "False"
    assert page.estate["status"]["observedGeneration"] == page.estate["metadata"]["generation"]


def test_a_stalled_estate_asks_nobody_outside(tale: Tale) -> None:
    page = tale.page("no key")

    assert [f"{each.system} {each.operation}" for each in page.entries if each.seq > page.notes["began"]] == []
    assert page.hosts == {}


def test_a_profile_that_the_pce_lacks_blocks_hosts_and_not_the_estate(tale: Tale) -> None:
    page = tale.page("no profile")

    assert page.hosts["first"].stage == "Blocked"
    assert page.hosts["first"].true("PolicyInstalled")
    assert page.condition("Stalled")["status"] == "False"
    assert not page.of("illumio", "pairing_keys.create")


def test_a_mended_estate_goes_on_by_itself(tale: Tale) -> None:
    page = tale.page("mended")

    assert page.hosts["first"].commissioned
    assert page.scripts("first") == 1
    assert (page.condition("Stalled")["status"], page.condition("Ready")["status"]) == ("False", "True")


def test_of_two_estates_with_one_endpoint_the_younger_is_stalled_and_names_the_elder(tale: Tale) -> None:
    page = tale.page("a twin")

    stalled = next(each for each in page.notes["twin"]["status"]["conditions"] if each["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "EndpointShared")
    assert f"{page.estate['metadata']['namespace']}/respiro" in stalled["message"]
    assert page.condition("Ready")["status"] == "True"
    names = [str(each.get("name", "")) for each in page.firewall["sessions"]]
    assert not [name for name in names if "/twin/" in name]


@pytest.fixture
def rotated(tale: Tale) -> Page:
    return tale.page("rotated")


def test_a_refused_credential_is_told_and_takes_nothing_back(rotated: Page) -> None:
    assert rotated.hosts["first"].commissioned
    assert rotated.condition("IllumioReachable")["status"] == "True"
    assert NEW_KEY not in rotated.state


def test_a_rotated_secret_is_read_again_without_a_restart(tale: Tale) -> None:
    page = tale.page("rotated here too")

    assert page.hosts["first"].commissioned
    assert page.condition("CheckPointReachable")["status"] == "True"
