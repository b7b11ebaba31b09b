"""`microseg doctor` against simulated systems: what is well, and each fault told apart, with what mends it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from lab import estate
from lab.worlds import Worlds
from microseg.__main__ import main
from simulators.background import Background
from simulators.proxy import EgressProxy, Mood

PROXY_PASSWORD = "egress-4f1b"
Documents = list[dict[str, Any]]
Checks = dict[tuple[str, str], dict[str, Any]]
Examine = Callable[[Callable[[Documents], None]], tuple[int, Checks]]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    running = Worlds.start(tmp_path_factory.mktemp("doctor"))
    running.make_pairing_profiles()
    for subscription in running.described["azure"]["subscriptions"]:
        running.post("/azure/vms", {"name": "asked", "resourceGroup": "shop-rg", "subscription": subscription})
    yield running
    running.stop()


@pytest.fixture
def examine(worlds: Worlds, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Examine:
    def examine(spoil: Callable[[Documents], None]) -> tuple[int, Checks]:
        documents = estate.documents(worlds, "nowhere")
        spoil(documents)
        file = tmp_path / "estate.yaml"
        file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        code = main(["doctor", "-f", str(file), "-o", "json"])
        said = capsys.readouterr().out
        checks = json.loads(said)["checks"]
        return code, {(each["area"], each["check"]): each for each in checks}

    return examine


def spec(documents: Documents) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in documents if each["kind"] == "Estate")["spec"]
    return found


def secret(documents: Documents, system: str) -> dict[str, str]:
    name = f"{estate.NAME}-{system}"
    values: dict[str, str] = next(each for each in documents if each["metadata"]["name"] == name)["stringData"]
    return values


def test_what_is_well_is_said_before_anything_is_installed(examine: Examine, worlds: Worlds) -> None:
    code, checks = examine(lambda _: None)
    assert [each for each in checks.values() if each["result"] == "bad"] == []
    assert code == 0
    assert {("illumio", "pairing profile Linux"), ("illumio", "clock"), ("checkpoint", "token")} <= checks.keys()
    assert ("azure main", "token and reading") in checks
    assert "started, followed and deleted in 1 of 1 resource groups" in checks["azure main", "rights"]["text"]
    assert checks["mapping", "document"]["result"] == "good"
    assert checks["checkpoint", "mapping's groups"]["result"] == "good"
    called = {operation for operations in worlds.operator_calls().values() for operation in operations}
    prepared = {"pairing_profiles.create"}  # by this test
    writing = r"put|publish|install|add-|set-|create|update|key|delete"
    assert [each for each in called - prepared if re.search(writing, each)] == []


def test_a_name_that_does_not_resolve_is_dns(examine: Examine) -> None:
    code, checks = examine(lambda docs: spec(docs)["illumio"].update(url="https://pce.invalid:8443"))
    assert (code, checks["illumio", "DNS"]["result"]) == (2, "bad")
    assert "pce.invalid does not resolve" in checks["illumio", "DNS"]["text"]


def test_a_port_that_nobody_listens_on_is_tcp(examine: Examine) -> None:
    _, checks = examine(lambda docs: spec(docs)["checkPoint"].update(url="https://127.0.0.1:1"))
    assert checks["checkpoint", "TCP"]["result"] == "bad"


def test_through_a_proxy_its_own_address_is_examined_and_the_systems_are_read_through_it(examine: Examine) -> None:
    proxy = EgressProxy(user="egress", password=PROXY_PASSWORD)
    with Background() as background:
        way = {"url": f"http://127.0.0.1:{background.run(proxy.open())}", "secretRef": {"name": "egress"}}

        def through_it(documents: Documents) -> None:
            for system in ("azure", "illumio", "checkPoint"):
                spec(documents)[system]["proxy"] = way
            values = {"user": "egress", "password": PROXY_PASSWORD}
            documents.append({"kind": "Secret", "metadata": {"name": "egress"}, "stringData": values})

        code, checks = examine(through_it)
        assert code == 0
        assert checks["illumio, proxy", "TCP"]["result"] == "good"
        assert ("illumio", "TCP") not in checks
        assert len({request.target for request in proxy.requests}) == 3
        proxy.mood = Mood.FORBID
        code, checks = examine(through_it)
        assert code == 2
        assert "refuses to connect to" in checks["illumio", "reading"]["text"]
        assert PROXY_PASSWORD not in json.dumps(list(checks.values()))
        background.run(proxy.close())


def test_a_foreign_authority_is_told_from_a_wrong_name(examine: Examine) -> None:
    def foreign(documents: Documents) -> None:
        bundle = next(each for each in documents if each["metadata"]["name"].endswith("-ca"))
        bundle["data"]["ca.crt"] = trustme.CA().cert_pem.bytes().decode()

    _, checks = examine(foreign)
    assert "an authority that is not trusted" in checks["illumio", "TLS"]["text"]
    assert "CA bundle" in checks["illumio", "TLS"]["fix"]


def test_a_pin_that_is_not_the_certificate_says_which_it_is(examine: Examine) -> None:
    _, checks = examine(lambda docs: spec(docs)["checkPoint"].update(fingerprint="ab" * 32))
    assert "is not the pinned one but" in checks["checkpoint", "TLS"]["text"]


WRONG = [("illumio", "secret", "illumio"), ("azure", "clientSecret", "azure main")]


@pytest.mark.parametrize(("system", "key", "area"), WRONG)
def test_a_wrong_secret_is_told_and_not_shown(examine: Examine, system: str, key: str, area: str) -> None:
    code, checks = examine(lambda docs: secret(docs, system).update({key: "wrong-and-not-shown"}))
    assert code == 2
    assert checks[area, "token and rights"]["result"] == "bad"
    assert "wrong-and-not-shown" not in json.dumps(list(checks.values()))


def test_a_missing_secret_is_named(examine: Examine) -> None:
    def without(documents: Documents) -> None:
        documents[:] = [each for each in documents if each["metadata"]["name"] != f"{estate.NAME}-illumio"]

    _, checks = examine(without)
    assert any(f"{estate.NAME}-illumio" in each["text"] for each in checks.values() if each["result"] == "bad")


def test_a_profile_that_is_not_there_and_targets_that_do_not_exist_are_named(examine: Examine) -> None:
    def spoil(documents: Documents) -> None:
        spec(documents)["illumio"]["pairingProfiles"] = {"linux": "no-such-profile"}
        spec(documents)["checkPoint"]["policies"] = [{"package": "Standard", "targets": ["gw-nowhere"]}]
        spec(documents)["checkPoint"]["allowedGroups"] = ["no-such-group"]

    code, checks = examine(spoil)
    assert code == 2
    assert "no-such-profile" in checks["illumio", "pairing profile Linux"]["text"]
    assert "gw-nowhere" in checks["checkpoint", "targets"]["text"]
    assert "no-such-group" in checks["checkpoint", "groups"]["text"]


def test_a_server_that_does_not_list_tasks_is_told_with_what_that_costs(examine: Examine, worlds: Worlds) -> None:
    _, checks = examine(lambda _: None)
    assert checks["checkpoint", "tasks"]["result"] == "good"
    worlds.post("/checkpoint/admin", {"name": "microseg", "lacks": ["show-tasks"]})
    try:
        _, checks = examine(lambda _: None)
    finally:
        worlds.post("/checkpoint/admin", {"name": "microseg", "lacks": []})
    assert checks["checkpoint", "tasks"]["result"] == "doubt"
    assert "30 minutes" in checks["checkpoint", "tasks"]["fix"]


WRITE = "Microsoft.Compute/virtualMachines/runCommands/write"


@pytest.fixture
def lacking(worlds: Worlds) -> Iterator[Callable[[str], None]]:
    """Takes an action from the role of the operator's identity, until the test is over."""
    yield lambda action: worlds.post("/azure/traits", {"lacking": [action]})
    worlds.post("/azure/traits", {"lacking": []})


def test_a_right_to_start_scripts_that_is_missing_is_told_without_starting_one(
    examine: Examine, worlds: Worlds, lacking: Callable[[str], None]
) -> None:
    lacking(WRITE)
    code, checks = examine(lambda _: None)
    rights = checks["azure main", "rights"]
    assert (code, rights["result"]) == (2, "bad")
    assert f"may not {WRITE} in 1 of 1 resource groups (shop-rg)" in rights["text"]
    assert "docs/security.md" in rights["fix"]
    assert "commands.put" not in worlds.operator_calls()["azure"]


def test_whether_resource_graph_answers_is_told_and_no_failure(
    examine: Examine, lacking: Callable[[str], None]
) -> None:
    _, checks = examine(lambda _: None)
    assert checks["azure main", "Resource Graph"]["text"].startswith("it shows 2 VMs")
    lacking("Microsoft.ResourceGraph/resources/read")
    code, checks = examine(lambda _: None)
    assert (code, checks["azure main", "Resource Graph"]["result"]) == (0, "doubt")
    assert "Microsoft.ResourceGraph/resources/read" in checks["azure main", "Resource Graph"]["fix"]


def test_where_azure_does_not_show_the_rights_that_is_doubt_and_no_failure(
    examine: Examine, lacking: Callable[[str], None]
) -> None:
    lacking("Microsoft.Authorization/permissions/read")
    code, checks = examine(lambda _: None)
    assert (code, checks["azure main", "rights"]["result"]) == (0, "doubt")
    assert "Microsoft.Authorization/permissions/read" in checks["azure main", "rights"]["fix"]


MAPPING = """\
apiVersion: mapping.microseg.dev/v1
name: platform
owner: team
labels:
  app: {fromTag: [app], oneOf: [unknown-to-the-pce], onMiss: hold}
groups:
  - {name: nobody-made-it, when: {labels: {app: [unknown-to-the-pce]}}}
"""


def carry(documents: Documents, text: str) -> None:
    next(each for each in documents if "mapping.yaml" in each.get("data", {}))["data"]["mapping.yaml"] = text


def test_labels_and_groups_of_the_mapping_that_do_not_exist_are_named(examine: Examine) -> None:
    def spoil(documents: Documents) -> None:
        carry(documents, MAPPING)
        spec(documents)["illumio"]["createLabels"] = False

    code, checks = examine(spoil)
    assert code == 2
    assert "app=unknown-to-the-pce" in checks["illumio", "labels"]["text"]
    assert "nobody-made-it" in checks["checkpoint", "mapping's groups"]["text"]


def test_labels_of_a_type_that_the_pce_lacks_are_named_although_the_operator_creates_labels(examine: Examine) -> None:
    def spoil(documents: Documents) -> None:
        carry(documents, MAPPING.replace("app: {", "tier: {").replace("{app: [", "{tier: ["))
        spec(documents)["illumio"]["createLabels"] = True

    code, checks = examine(spoil)
    assert (code, checks["illumio", "labels"]["result"]) == (2, "bad")
    assert "no label of the type tier" in checks["illumio", "labels"]["text"]


def test_a_mapping_that_would_be_refused_says_where_and_one_that_is_not_there_is_missed(examine: Examine) -> None:
    code, checks = examine(lambda documents: carry(documents, MAPPING.replace("onMiss", "onMis")))
    assert (code, checks["mapping", "document"]["result"]) == (2, "bad")
    assert 'no field "onMis"' in checks["mapping", "document"]["text"]
    code, checks = examine(lambda documents: spec(documents)["mapping"].update(name="another"))
    assert (code, checks["mapping", "document"]["result"]) == (0, "doubt")


def test_a_federated_token_that_this_process_has_not_is_told_with_the_job_that_has(examine: Examine) -> None:
    def federated(documents: Documents) -> None:
        client = spec(documents)["azure"]["sources"][0]["identity"].pop("clientSecret")
        way = {"tenantId": client["tenantId"], "clientId": client["clientId"]}
        spec(documents)["azure"]["sources"][0]["identity"]["workloadIdentity"] = way

    code, checks = examine(federated)
    assert (code, checks["process", "federated token"]["result"]) == (2, "bad")
    assert "manifests/kustomize/doctor" in checks["process", "federated token"]["fix"]


def test_a_proxy_in_the_environment_is_told_because_none_is_used(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    code, checks = examine(lambda _: None)
    assert (code, checks["process", "proxies"]["result"]) == (0, "doubt")
