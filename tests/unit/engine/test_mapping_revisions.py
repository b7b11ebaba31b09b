"""A kept revision is verified before it is in force: to write ControllerRevisions is not to choose the rules."""

from __future__ import annotations

import msgspec
import pytest

from lab.memory import samples as m
from lab.memory.cluster import FakeRevisions
from lab.memory.estate import estate
from lab.memory.world import RULES
from microseg.engine.mapping.revisions import KEY, ActiveMapping, MappingRevisions
from microseg.kube.revisions import MappingRevision
from microseg.kube.secrets import ConfigMapData
from microseg.mapping import parse
from microseg.model.condition import ConditionStatus, Reason
from microseg.model.estate_spec import MappingRef
from microseg.planning.fitness import Allowed, allowed_in

ALLOWED = Allowed(frozenset({"SO", "Web"}))
TESTED = f"{RULES}tests:\n  - {{name: t, given: {{tags: {{app: Shop}}}}, groups: [Web]}}\n"
LIVE = ConfigMapData("mapping", "plant", "uid", "1", {KEY: TESTED}, {})


def in_force(store: FakeRevisions, *live: ConfigMapData, pin: str = "") -> ActiveMapping:
    return MappingRevisions(store, MappingRef(name="platform", pin=pin), ALLOWED).accept(live, m.NOW)


WRONG = TESTED.replace("groups: [Web]", "groups: [SO]")
ADMINS = RULES.replace("name: Web", "name: Admins")
FORGED = {
    "its text is not what was accepted under its digest": (ADMINS, parse(TESTED, "t").digest),
    "its own tests fail: ": (WRONG, parse(WRONG, "t").digest),
    "platform-2:": (ADMINS, parse(ADMINS, "t").digest),
    "it no longer parses: ": ("labels: {}", parse(TESTED, "t").digest),
}


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("told", FORGED)
def test_a_forged_revision_is_refused_with_a_sentence_and_nothing_is_in_force(told: str, *, pinned: bool) -> None:
    text, digest = FORGED[told]
    store = FakeRevisions()
    in_force(store, LIVE)
    store.create(MappingRevision("platform", 2, digest, text, "x", m.NOW))
    found = in_force(store, pin=digest if pinned else "")
    assert (found.document, found.state, found.valid.status) == (None, None, ConditionStatus.FALSE)
    assert f"Kept revision platform-2 is not used: {told}" in found.valid.message
    assert found.valid.message.endswith("None is in force.")


def test_a_revision_as_it_was_accepted_stays_in_force_without_its_document_and_pinned() -> None:
    store = FakeRevisions()
    digest = parse(TESTED, "t").digest
    assert in_force(store, LIVE).valid.reason == Reason.ACCEPTED
    for found in (in_force(store), in_force(store, pin=digest)):
        assert found.document is not None
        assert found.document.digest == digest


def test_revisions_that_cannot_be_ours_are_told_and_neither_take_a_number_nor_the_last_accepted_one_out_of_force() -> (
    None
):
    store = FakeRevisions()
    in_force(store, LIVE)
    for number, name in ((2, "platform-2"), (2**63 - 1, "platform-3")):
        store.kept.append(MappingRevision("platform", number, "", "", "", m.NOW, fault="it is odd", stored_as=name))
    found = in_force(store)
    assert found.document is not None
    assert (
        "stays in force. Not used are the ControllerRevisions platform-2 (it is odd), platform-3" in found.valid.message
    )
    other = ConfigMapData("mapping", "plant", "uid", "2", {KEY: RULES}, {})
    assert in_force(store, other).valid.status == ConditionStatus.TRUE
    assert [each.name for each in store.kept if not each.fault] == ["platform-1", "platform-4"]


def test_a_mapping_that_reads_a_tag_which_a_source_does_not_record_is_refused() -> None:
    spec = estate().spec
    listed = msgspec.structs.replace(spec.azure.sources[0], recorded_tags=("App", "env"))
    other = msgspec.structs.replace(listed, name="other", recorded_tags=("ENV",))
    for sources, told in (((spec.azure.sources[0], listed), ""), ((listed, other), "reads the tag app")):
        allowed = allowed_in(msgspec.structs.replace(spec, azure=msgspec.structs.replace(spec.azure, sources=sources)))
        found = MappingRevisions(FakeRevisions(), MappingRef(name="platform"), allowed).accept((LIVE,), m.NOW)
        assert (found.document is None) == bool(told)
        assert told in found.valid.message
