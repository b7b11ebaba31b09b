"""Definitions older than the operator: it refuses to act, for what they lack would be lost at every write."""

from __future__ import annotations

import json

from tests.integration.library import Story
from tests.integration.life import Scene, vm
from tests.integration.pages import Tale

from lab.cluster import ROOT


def tell(scene: Scene) -> None:
    """The attempt counter is missing in the live definition; then the definitions of this version are applied."""
    crd = "crd/managedhosts.microseg.dev"
    field = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/agent/properties/attempt"
    scene.rig.kubectl("patch", crd, "--type=json", "-p", json.dumps([{"op": "remove", "path": field}]))
    began = scene.seq()
    scene.begin(vm("first"))
    scene.tells_of_estate("Stalled", "True", "MissingSchema")
    scene.page("old definitions", began=began)
    scene.rig.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "crds"))
    scene.commissioned("first")
    scene.page("new definitions")


STORY = Story("schema", tell, own_plane=True)


def test_it_refuses_to_act_and_names_the_field(tale: Tale) -> None:
    page = tale.page("old definitions")

    message = page.condition("Stalled")["message"]
    assert "managedhosts.microseg.dev" in message
    assert "status.agent.attempt" in message
    outside = [each.operation for each in page.entries if each.seq > page.notes["began"]]
    assert [operation for operation in outside if not operation.startswith("world.")] == []


def test_it_goes_on_by_itself_when_they_are_applied(tale: Tale) -> None:
    page = tale.page("new definitions")

    assert page.hosts["first"].commissioned
    assert page.scripts("first") == 1
    assert page.condition("Stalled")["status"] == "False"
