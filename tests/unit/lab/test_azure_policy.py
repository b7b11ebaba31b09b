"""The example policy for Azure allows what the operator starts, and nothing that differs from it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.engine.conftest import Bench

from lab.cluster import ROOT
from lab.generate import azure_policy
from microseg.engine.ground.workers import Workers
from microseg.gateways.azure.run_commands import run_command_body
from microseg.scripts import PROTECTED, Parameter

POLICY = json.loads((ROOT / "manifests/azure" / azure_policy.NAME).read_text(encoding="utf-8"))
TYPE = "Microsoft.Compute/virtualMachines/runCommands"


@pytest.fixture
def workers() -> Any:
    pool = Workers("test", 4)
    yield pool
    pool.close()


def refuses(body: dict[str, Any], pce: str) -> bool:
    """The rule, as Azure evaluates the few operators that it uses."""
    properties = body["properties"]

    def holds(rule: dict[str, Any], item: dict[str, Any] | None = None) -> bool:
        if "allOf" in rule:
            return all(holds(each, item) for each in rule["allOf"])
        if "anyOf" in rule:
            return any(holds(each, item) for each in rule["anyOf"])
        if "count" in rule:
            name = rule["count"]["field"].removeprefix(f"{TYPE}/").removesuffix("[*]")
            return any(holds(rule["count"]["where"], each) for each in properties.get(name, ()))
        field = rule["field"]
        known = {"type": TYPE, f"{TYPE}/source.script": properties["source"].get("script")}
        value = item[field.rpartition(".")[2]] if item is not None else known[field]
        if "equals" in rule:
            return bool(value == rule["equals"])
        return value not in ([pce] if rule["notIn"] == "[parameters('pces')]" else rule["notIn"])

    return bool(holds(POLICY["policyRule"]["if"]))


async def test_what_the_operator_starts_is_allowed_and_anything_else_refused(workers: Workers) -> None:
    bench = Bench(workers)
    assert await bench.act()
    script = bench.azure.scripts[-1]
    pce = script.parameters["MICROSEG_PCE"]

    def body(change: str = "") -> dict[str, Any]:
        made: dict[str, Any] = run_command_body(script)
        properties = made["properties"]
        match change:
            case "script":
                properties["source"]["script"] += "\nid"
            case "uri":
                properties["source"] = {"scriptUri": "https://elsewhere.example/x"}
            case "parameter":
                properties["parameters"].append({"name": "BASH_ENV", "value": "./x"})
            case "protected":
                properties["protectedParameters"].append({"name": "MICROSEG_PCE", "value": "elsewhere.example:443"})
            case _:
                pass
        return made

    assert set(script.parameters) == set(Parameter) - PROTECTED
    assert set(script.protected) <= PROTECTED
    assert not refuses(body(), pce)
    assert refuses(body(), "another.example:8443")
    for change in ("script", "uri", "parameter", "protected"):
        assert refuses(body(change), pce), change


def test_no_text_of_the_policy_is_taken_for_an_expression() -> None:
    script, *_ = POLICY["policyRule"]["if"]["allOf"][1]["anyOf"]
    assert not [text for text in script["notIn"] if text.startswith("[")]
