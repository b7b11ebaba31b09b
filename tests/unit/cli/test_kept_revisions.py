"""What commands do with a kept revision that the operator would not load: somebody else may have written it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.unit.cli.test_commands import Capture, run
from tests.unit.cli.world import MOVED, NOW, REVISION, RULES, FakeCluster, revision

from microseg.kube.revisions import MappingRevision
from microseg.mapping import parse

FAILING = f"{RULES}tests:\n  - {{name: t, given: {{tags: {{app: shop}}}}, labels: {{env: Prod}}}}\n"
FOREIGN = RULES.replace("az-pci", "az-admins")
FORGED = {
    "its text is not what was accepted under its digest": (MOVED, parse(FAILING, "t").digest),
    "its own tests fail: ": (FAILING, parse(FAILING, "t").digest),
    'the estate does not allow the group "az-admins"': (FOREIGN, parse(FOREIGN, "t").digest),
    "it no longer parses: ": ("labels: {}", parse(MOVED, "t").digest),
}
COMMANDS = (
    ["plan", "--revision", "2"],
    ["rollback", "2"],
    ["rollback", "--pin", "2"],
    ["approve", "pin", "2", "--reason", "CHG-1"],
)


@pytest.fixture(params=list(FORGED))
def forged(request: pytest.FixtureRequest, cluster: FakeCluster) -> tuple[FakeCluster, str]:
    """A cluster with a revision that nobody accepted, and what is wrong with it."""
    text, digest = FORGED[request.param]
    bad = MappingRevision("platform", 2, digest, text, "ns/cm uid@1", NOW)
    allowing(cluster, allowed_groups=("az-shop", "az-pci"))
    cluster.now = replace(cluster.now, revisions=(revision(1, RULES), bad))
    return cluster, request.param


def allowing(cluster: FakeCluster, **more: Any) -> None:
    spec = cluster.now.estate.spec
    spec = msgspec.structs.replace(spec, check_point=msgspec.structs.replace(spec.check_point, **more))
    cluster.now = replace(cluster.now, estate=msgspec.structs.replace(cluster.now.estate, spec=spec))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_takes_a_revision_that_the_operator_would_not_load(
    forged: tuple[FakeCluster, str], capsys: Capture, command: list[str]
) -> None:
    cluster, told = forged
    code, out, err = run(command, capsys)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "(ControllerRevision platform-2) cannot be used, and the operator would not load it either: " in err
    assert told in err
    assert (cluster.pins, cluster.approved) == ([], [])


def test_the_list_of_revisions_tells_which_are_not_used_and_why(
    forged: tuple[FakeCluster, str], capsys: Capture
) -> None:
    _, told = forged
    out = run(["rollback"], capsys)[1]
    assert "NOT USED" in out
    assert told in out
    first, second = json.loads(run(["rollback", "-o", "json"], capsys)[1])["revisions"]
    assert told in first["notUsed"]
    assert (second["revision"], second["inForce"], second["notUsed"]) == (REVISION, True, None)


def test_the_list_of_revisions_tells_which_cannot_be_the_operators(cluster: FakeCluster, capsys: Capture) -> None:
    odd = MappingRevision("platform", 9, "", "", "", NOW, fault="its data is odd", stored_as="evil")
    cluster.now = replace(cluster.now, not_ours=(odd,))
    assert "evil: its data is odd" in run(["rollback"], capsys)[1]
    assert json.loads(run(["rollback", "-o", "json"], capsys)[1])["notOurs"] == {"evil": "its data is odd"}


def test_what_a_forged_revision_says_is_not_what_hosts_are_compared_with(cluster: FakeCluster, capsys: Capture) -> None:
    bad = MappingRevision("platform", 1, REVISION, MOVED, "ns/cm uid@1", NOW)
    cluster.now = replace(cluster.now, revisions=(bad,))
    code, _, err = run(["plan"], capsys)
    assert (code, "its text is not what was accepted under its digest" in err) == (1, True)
    assert "is not kept or not used" in run(["explain", "prod"], capsys)[1]


def test_plan_refuses_a_mapping_that_reads_a_tag_which_the_estate_does_not_record(
    cluster: FakeCluster, capsys: Capture, tmp_path: Any
) -> None:
    spec = cluster.now.estate.spec
    source = msgspec.structs.replace(spec.azure.sources[0], recorded_tags=("App",))
    spec = msgspec.structs.replace(spec, azure=msgspec.structs.replace(spec.azure, sources=(source,)))
    cluster.now = replace(cluster.now, estate=msgspec.structs.replace(cluster.now.estate, spec=spec))
    file = tmp_path / "mapping.yaml"
    file.write_text(RULES, encoding="utf-8")
    code, out, err = run(["plan", "-f", str(file)], capsys)
    assert (code, out) == (1, "")
    assert "it reads the tag env, which recordedTags of a source of the Estate does not list" in err
