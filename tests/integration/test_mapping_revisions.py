"""Revisions of the mapping on a real API server: which is in force, kept, refused, and found after a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import yaml

from lab.controlplane import ControlPlane
from microseg.engine.mapping.revisions import MappingRevisions
from microseg.kube.client import Api, connect
from microseg.kube.errors import Invalid
from microseg.kube.resources import CONFIG_MAPS, REVISIONS
from microseg.kube.revisions import KEPT, MappingRevision, Revisions
from microseg.kube.secrets import ConfigMapData, read_config_map
from microseg.model.estate_spec import MappingRef
from microseg.planning.fitness import Allowed

NOW = datetime(2027, 1, 1, tzinfo=UTC)
DOCUMENT = """\
apiVersion: mapping.microseg.dev/v1
name: platform
labels:
  env: {fromTag: [env], oneOf: [Prod, Dev], default: Dev, onMiss: default}
groups:
  - {name: az-pci, when: {labels: {env: [Prod]}}}
"""
BROKEN = DOCUMENT.replace("oneOf", "onOf")


def version(number: int) -> str:
    """A document that differs from the others."""
    return DOCUMENT.replace("[Prod, Dev]", f"[Prod, Dev, V{number}]")


class Desk:
    """A namespace with ConfigMaps, and an operator that reads them."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        self.live: dict[str, ConfigMapData] = {}
        self.store = Revisions(api, namespace)

    def deliver(self, text: str, name: str = "mapping", **annotations: str) -> None:
        """Apply a ConfigMap."""
        meta = {"name": name, "annotations": {f"microseg.dev/{key}": said for key, said in annotations.items()}}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"mapping.yaml": text}}
        self.api.apply(CONFIG_MAPS.one(self.namespace, name), body, dict)
        self.live[name] = read_config_map(self.api, self.namespace, name)

    def remove(self, name: str = "mapping") -> None:
        self.api.delete(CONFIG_MAPS.one(self.namespace, name))
        del self.live[name]

    def look(
        self, pin: str = "", allowed: frozenset[str] = frozenset(), named: set[str] | None = None
    ) -> tuple[str, str, str]:
        """Return the digest in force, the reason and the message, as a new process finds them."""
        found = MappingRevisions(self.store, MappingRef(name="platform", pin=pin), Allowed(allowed)).accept(
            list(self.live.values()), NOW, named
        )
        digest = found.document.digest if found.document else ""
        assert digest == (found.state.revision if found.state else "")
        return digest, found.valid.reason.value, found.valid.message

    def kept(self) -> list[tuple[int, str]]:
        return [(each.number, each.digest) for each in self.store.list("platform")]


@pytest.fixture
def desk(control_plane: ControlPlane, namespace: str) -> Iterator[Desk]:
    api = connect(str(control_plane.admin_kubeconfig))
    yield Desk(api, namespace)
    api.close()


def test_an_accepted_document_is_kept_with_all_that_an_auditor_asks_for(desk: Desk) -> None:
    desk.deliver(DOCUMENT, commit="c0ffee1", author="nora")
    digest, reason, _ = desk.look()
    (kept,) = desk.store.list("platform")
    source = desk.live["mapping"]
    assert reason == "Accepted"
    assert (kept.name, kept.digest, kept.document) == ("platform-1", digest, DOCUMENT)
    assert (kept.commit, kept.author, kept.accepted_at) == ("c0ffee1", "nora", NOW)
    assert kept.source == f"{desk.namespace}/mapping {source.uid}@{source.resource_version}"


def test_a_comment_makes_no_revision_and_going_back_makes_a_new_number_with_the_old_digest(desk: Desk) -> None:
    desk.deliver(DOCUMENT)
    first, _, _ = desk.look()
    desk.deliver(f"# a comment\n{DOCUMENT}")
    assert desk.look()[0] == first
    desk.deliver(version(2))
    second, _, _ = desk.look()
    desk.deliver(DOCUMENT)
    assert desk.look()[0] == first
    assert desk.kept() == [(1, first), (2, second), (3, first)]


def test_the_last_good_stays_in_force_over_a_restart_with_a_broken_document_live(desk: Desk) -> None:
    desk.deliver(DOCUMENT)
    good, _, _ = desk.look()
    desk.deliver(BROKEN)
    for _ in range(2):  # two independent processes
        digest, reason, message = desk.look()
        assert (digest, reason) == (good, "MappingInvalid")
        assert "mapping/mapping.yaml:4:25: labels.env has no field" in message
        assert message.endswith(f"Revision {good[:12]} stays in force.")
    assert len(desk.kept()) == 1


def test_a_broken_document_before_any_good_one_leaves_nothing_in_force(desk: Desk) -> None:
    desk.deliver(BROKEN)
    digest, reason, message = desk.look()
    assert (digest, reason) == ("", "MappingInvalid")
    assert message.endswith("None was ever accepted.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{DOCUMENT}tests:\n  - {{name: t, given: {{tags: {{}}}}, labels: {{env: Prod}}}}\n", "own tests fail"),
        (DOCUMENT.replace("az-pci", "az-secret"), 'does not allow the group "az-secret"'),
    ],
)
def test_what_fails_its_own_tests_or_names_a_forbidden_group_is_not_accepted(desk: Desk, text: str, told: str) -> None:
    desk.deliver(DOCUMENT)
    good, _, _ = desk.look(allowed=frozenset({"az-pci"}))
    desk.deliver(text)
    digest, reason, message = desk.look(allowed=frozenset({"az-pci"}))
    assert (digest, reason) == (good, "MappingInvalid")
    assert told in message


def test_two_config_maps_with_one_name_are_ambiguous_until_one_is_left_as_after_a_hash_rename(desk: Desk) -> None:
    desk.deliver(DOCUMENT, name="mapping-h4sh1")
    old, _, _ = desk.look()
    desk.deliver(version(2), name="mapping-h4sh2")
    digest, reason, message = desk.look()
    assert (digest, reason) == (old, "Ambiguous")
    assert "mapping-h4sh1, mapping-h4sh2" in message
    desk.remove("mapping-h4sh1")
    digest, reason, _ = desk.look()
    assert (digest != old, reason) == (True, "Accepted")


def test_a_broken_twin_is_ambiguous_too_and_one_of_another_name_is_nobodys_business(desk: Desk) -> None:
    desk.deliver(DOCUMENT)
    good, _, _ = desk.look()
    desk.deliver(DOCUMENT.replace("name: platform", "name: another"), name="another")
    desk.deliver("name: third\n: {", name="third")
    assert desk.look()[:2] == (good, "Accepted")
    desk.deliver(BROKEN, name="twin")
    assert desk.look()[:2] == (good, "Ambiguous")


def test_a_missing_config_map_leaves_the_last_accepted_in_force(desk: Desk) -> None:
    assert desk.look()[:2] == ("", "MappingMissing")
    desk.deliver(DOCUMENT)
    good, _, _ = desk.look()
    desk.remove()
    assert desk.look()[:2] == (good, "MappingMissing")


def test_a_pin_holds_on_to_an_earlier_revision_and_one_that_is_not_kept_changes_nothing(desk: Desk) -> None:
    desk.deliver(DOCUMENT)
    first, _, _ = desk.look()
    desk.deliver(version(2))
    second, _, _ = desk.look()
    digest, reason, message = desk.look(pin=first)
    assert (digest, reason) == (first, "Pinned")
    assert message.startswith(f"PINNED to revision {first[:12]} ")
    assert desk.look(pin="ffffffffffff")[:2] == (second, "MappingMissing")
    assert len(desk.kept()) == 2


def test_a_kept_revision_can_not_be_rewritten(desk: Desk) -> None:
    desk.deliver(DOCUMENT)
    desk.look()
    path = REVISIONS.one(desk.namespace, "platform-1")
    with pytest.raises(Invalid, match="data"):
        desk.api.merge_patch(path, {"data": {"document": BROKEN}}, dict)
    (kept,) = desk.store.list("platform")
    assert kept.document == DOCUMENT


ODD = """\
apiVersion: mapping.microseg.dev/v1
name: platform
# <b> & 'single' "double" back\\slash \t tab \u2028# a line's end, Zürich 🏢
labels:
  env: {fromTag: [env], oneOf: [Prod, "Dev & Test"], default: Prod, onMiss: default}
"""
BY_MERGE = '{"metadata":{"annotations":{"by":"merge"}}}'
BY_JSON = '[{"op":"add","path":"/metadata/labels/by","value":"json"}]'


def test_people_may_label_and_annotate_a_kept_revision_by_every_way_that_kubectl_has(
    desk: Desk, control_plane: ControlPlane
) -> None:
    """The API server compares the data byte by byte with what Go writes, and refuses the label where they differ."""
    desk.deliver(ODD)
    digest, _, _ = desk.look()

    def kubectl(*words: str, given: str | None = None) -> str:
        return control_plane.kubectl("-n", desk.namespace, *words, input=given)

    name = "controllerrevision/platform-1"
    kubectl("label", name, "ticket=chg-4711")
    kubectl("annotate", name, "reviewed-by=nora <nora@corp>")
    kubectl("patch", name, "--type=strategic", "-p", BY_MERGE)
    kubectl("patch", name, "--type=merge", "-p", BY_MERGE)
    kubectl("patch", name, "--type=json", "-p", BY_JSON)
    for form in ("json", "yaml"):
        shown = kubectl("get", name, "-o", form)
        kubectl("replace", "-f", "-", given=shown.replace("chg-4711", f"chg-{form}"))
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=_as_written(shown, form))
    desk.api.merge_patch(REVISIONS.one(desk.namespace, "platform-1"), {"metadata": {"labels": {"by": "us"}}}, dict)
    (kept,) = desk.store.list("platform")
    assert (kept.document, kept.digest) == (desk.live["mapping"].data["mapping.yaml"], digest)
    assert desk.look()[:2] == (digest, "Accepted")


def _as_written(shown: str, form: str) -> str:
    """The object as a person keeps it in a file, without what the API server adds."""
    body = json.loads(shown) if form == "json" else yaml.safe_load(shown)
    meta = body["metadata"]
    body["metadata"] = {key: meta[key] for key in ("name", "namespace", "labels")} | {"annotations": {"kept": form}}
    return json.dumps(body)


class Behind(Revisions):
    """Reads the list of before for the first time."""

    def __init__(self, api: Api, namespace: str, stale: tuple[MappingRevision, ...]) -> None:
        super().__init__(api, namespace)
        self._lists = [stale]

    def list(self, mapping: str) -> tuple[MappingRevision, ...]:
        return self._lists.pop() if self._lists else super().list(mapping)


def test_a_number_that_another_writer_took_is_no_reason_to_lose_either_document(desk: Desk) -> None:
    desk.deliver(DOCUMENT)
    first, _, _ = desk.look()
    desk.deliver(version(2))
    desk.store = Behind(desk.api, desk.namespace, ())
    second, reason, _ = desk.look()
    assert reason == "Accepted"
    desk.store = Behind(desk.api, desk.namespace, ())
    assert desk.look()[:2] == (second, "Accepted")  # the other writer had the same document
    assert desk.kept() == [(1, first), (2, second)]


def test_the_last_twenty_stay_and_every_older_one_that_a_host_or_a_hold_names(desk: Desk) -> None:
    digests: list[str] = []
    for number in range(KEPT + 4):
        desk.deliver(version(number))
        digests.append(desk.look(named={digests[0], digests[2]} if len(digests) > 2 else set())[0])
    kept = [digest for _, digest in desk.kept()]
    assert kept == [digests[0], digests[2], *digests[-KEPT:]]
