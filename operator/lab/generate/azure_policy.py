"""An Azure Policy that lets only the operator's own scripts run as managed run-commands, with the scripts' very text.

Aliases: `az provider show --namespace Microsoft.Compute --expand resourceTypes/aliases`. Policy compares texts without
their letter case, and evaluates a text as an expression only where it begins with a bracket.
"""

from __future__ import annotations

import json
from typing import Any

from microseg import scripts
from microseg.scripts import PROTECTED, Parameter

NAME = "only-our-run-commands.json"
_TYPE = "Microsoft.Compute/virtualMachines/runCommands"


def text() -> str:
    """The properties of the policy definition, in JSON."""
    definition = {
        "displayName": "Only microseg's own scripts run as managed run-commands",
        "description": "Refuses every managed run-command whose script or parameters are not microseg's, or whose PCE "
        "is another. Written by `make generate`; an upgrade that changes the scripts needs this definition first.",
        "mode": "All",
        "parameters": {
            "pces": {"type": "Array", "metadata": {"description": "host:port of each PCE, as pce.example.com:8443."}},
            "effect": {"type": "String", "allowedValues": ["Audit", "Deny", "Disabled"], "defaultValue": "Audit"},
        },
        "policyRule": {
            "if": {"allOf": [{"field": "type", "equals": _TYPE}, {"anyOf": _not_ours()}]},
            "then": {"effect": "[parameters('effect')]"},
        },
    }
    return json.dumps(definition, indent=2) + "\n"


def _not_ours() -> list[dict[str, Any]]:
    plain, protected = f"{_TYPE}/parameters[*]", f"{_TYPE}/protectedParameters[*]"
    pce = {"allOf": [
        {"field": f"{plain}.name", "equals": Parameter.PCE.value},
        {"field": f"{plain}.value", "notIn": "[parameters('pces')]"},
    ]}  # fmt: skip
    given = [each.value for each in Parameter if each not in PROTECTED]
    return [
        {"field": f"{_TYPE}/source.script", "notIn": [scripts.LINUX, scripts.WINDOWS]},
        _any(plain, {"field": f"{plain}.name", "notIn": given}),
        _any(protected, {"field": f"{protected}.name", "notIn": sorted(PROTECTED)}),
        _any(plain, pce),
    ]


def _any(field: str, where: dict[str, Any]) -> dict[str, Any]:
    """Whether one of the parameters is so."""
    return {"count": {"field": field, "where": where}, "greater": 0}
