"""`kubectl microseg`: what kubectl asks to complete it, and kubectl's own way to choose a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from kubernetes import client

from microseg.__main__ import main
from microseg.cli.arguments import build_parser
from microseg.cli.completion import complete_for_kubectl
from microseg.kube.client import connect
from microseg.kube.kubectl_context import default_namespace, load_kubeconfig


@pytest.mark.parametrize(
    ("words", "found", "directive"),
    [
        (["st"], ["status"], 4),
        (["status", "--re"], ["--retiring"], 4),
        (["status", "-o", ""], ["json", "md", "prom", "table", "yaml"], 4),
        (["history", "--system", "c"], ["checkpoint"], 4),
        (["completion", ""], ["bash", "tcsh", "zsh"], 4),
        (["doctor", "-f", ""], [], 0),
        (["validate", ""], [], 0),
        (["explain", ""], [], 4),
    ],
)
def test_kubectl_gets_what_the_last_word_may_become(
    words: list[str], found: list[str], directive: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complete_for_kubectl(build_parser(), words) == 0
    assert capsys.readouterr().out.splitlines() == [*found, f":{directive}"]


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two clusters; the current context is the first's."""
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    names = ("one", "two")
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.invalid"}} for name in names],
        "users": [{"name": name, "user": {"token": f"token-of-{name}"}} for name in ("somebody", "admin")],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "somebody", "namespace": f"of-{name}"}}
            for name in names
        ],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def test_a_context_chooses_the_cluster_and_the_namespace(kubeconfig: str) -> None:
    for context, server in ((None, "one"), ("one", "one"), ("two", "two")):
        api = connect(kubeconfig, context=context)
        assert (api.url, default_namespace(kubeconfig, context)) == (f"https://{server}.invalid", f"of-{server}")
        api.close()


@pytest.mark.parametrize(
    ("chosen", "server", "token"),
    [
        ({"cluster": "two"}, "two", "somebody"),
        ({"user": "admin"}, "one", "admin"),
        ({"context": "two", "user": "admin"}, "two", "admin"),
        ({"context": "two", "cluster": "one", "user": "admin"}, "one", "admin"),
    ],
)
def test_a_cluster_and_a_user_take_the_place_of_the_contexts(
    kubeconfig: str, chosen: dict[str, str], server: str, token: str
) -> None:
    configuration = client.Configuration()
    load_kubeconfig(configuration, kubeconfig, **{"context": None, **chosen})
    assert configuration.host == f"https://{server}.invalid"
    assert configuration.api_key == {"BearerToken": f"Bearer token-of-{token}"}


def test_without_a_current_context_a_cluster_and_a_user_are_enough(kubeconfig: str) -> None:
    path = Path(kubeconfig)
    path.write_text(path.read_text(encoding="utf-8").replace("current-context: one", "current-context: ''"))
    api = connect(kubeconfig, cluster="two", user="admin")
    assert api.url == "https://two.invalid"
    api.close()


@pytest.mark.parametrize("flag", ["cluster", "user"])
def test_a_cluster_or_a_user_that_there_is_not_is_one_sentence(
    kubeconfig: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--kubeconfig", kubeconfig, f"--{flag}", "three"]) == 1
    said = capsys.readouterr().err
    assert f"is there a {flag} three?" in said
    assert "Traceback" not in said


def test_a_context_that_there_is_not_is_one_sentence(kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--kubeconfig", kubeconfig, "--context", "three"]) == 1
    said = capsys.readouterr().err
    assert "is there a context three?" in said
    assert "Traceback" not in said


def test_a_user_whose_name_no_header_can_carry_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["status", "--as", "me\nX-Other: 1"])
    assert "no header can carry" in capsys.readouterr().err
