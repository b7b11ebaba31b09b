"""How fast a mapping plans a fleet, compared with a naive baseline. `make bench-mapping`.

Planning is what the operator and `microseg plan` do: evaluate the mapping for every host, compare with its status, and
apply the guard. The baseline walks through the parsed YAML for each host. Both must give the same labels and groups,
or the numbers mean nothing. Environment: BENCH_MAPPING_HOSTS.
"""

from __future__ import annotations

import fnmatch
import json
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from lab.cluster import ROOT
from microseg.mapping import Evaluator, parse
from microseg.model.azure_record import AzureRecord, Tag
from microseg.model.desired import Desired
from microseg.model.host import HostSpec, HostStatus, ManagedHost, Timeline
from microseg.planning import desired as desired_state
from microseg.planning.preview import preview

HOSTS = 10_000
MOST_SECONDS = 1.0
_NOW = datetime(2027, 1, 1, tzinfo=UTC)
_APPS = ("service orchestrate", "SAP", "shop ", "billing", "mystery")
_ENVS = ("production", "PRD", "development", "tst", "", "dev")
_ROLES = ("web", "db", "app")
_PLACES = ("australiaeast", "westeurope", "eastus")
Result = tuple[dict[str, str], set[str]]


def main() -> int:
    """Measure and print; exit code 1 if the results differ or planning takes a second."""
    hosts = fleet(int(os.environ.get("BENCH_MAPPING_HOSTS", HOSTS)))
    results = [measure(name, text, hosts) for name, text in (("example", _example()), ("large", _large()))]
    for each in results:
        print(
            f"mapping ({each['mapping']}): {each['hosts']:,} hosts planned in {each['planSeconds']:.3f} s of one core"
            f" (limit {MOST_SECONDS:g} s), of which evaluation {each['evaluateSeconds']:.3f} s;"
            f" naive evaluation {each['naiveSeconds']:.3f} s, {each['ratio']:.1f} times as long;"
            f" same results: {'yes' if each['sameAnswers'] else 'NO'}"
        )
    print(json.dumps(results))
    return 0 if all(each["sameAnswers"] and each["planSeconds"] < MOST_SECONDS for each in results) else 1


def measure(name: str, text: str, hosts: Sequence[ManagedHost]) -> dict[str, Any]:
    """Return the CPU seconds for planning, for evaluation alone, and for the baseline."""
    rules, loaded = parse(text, name), yaml.load(text, Loader=yaml.CSafeLoader)
    found, planning = _timed(lambda: preview(rules, None, hosts, percent=10, now=_NOW))
    fresh = Evaluator(rules)
    asked = [desired_state.subject(host.status.azure, host.spec.vm_id) for host in hosts if host.status.azure]
    _, evaluating = _timed(lambda: [fresh.evaluate(subject, current={}, now=_NOW) for subject in asked])
    answers, naive = _timed(lambda: {host.name: naively(loaded, host) for host in hosts})
    return {
        "mapping": name,
        "hosts": len(hosts),
        "planSeconds": round(planning, 4),
        "evaluateSeconds": round(evaluating, 4),
        "naiveSeconds": round(naive, 4),
        "ratio": round(naive / evaluating, 2),
        "sameAnswers": all(_as_baseline(found.desired[host.name]) == answers[host.name] for host in hosts),
    }


def fleet(number: int) -> list[ManagedHost]:
    """Return commissioned hosts with different names and ids, and realistic tags."""
    return [_host(index) for index in range(number)]


def _host(index: int) -> ManagedHost:
    vm_id = str(uuid.UUID(int=index))
    tags = {
        "app": _APPS[index % len(_APPS)],
        "Environment": _ENVS[index // 5 % len(_ENVS)],
        "rol": _ROLES[index // 30 % len(_ROLES)],
        "costcenter": str(index % 977),
        "owner": f"team-{index % 41}",
    }
    record = AzureRecord(
        resource_id=f"/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm-{index}",
        name=f"vm-{'db' if index % 7 == 0 else 'x'}-{index}",
        location=_PLACES[index // 90 % len(_PLACES)],
        resource_group=f"rg-{index % 50}",
        subscription="s",
        os_type="Linux",
        tags=tuple(Tag(key=key, value=value) for key, value in sorted(tags.items()) if value),
    )
    status = HostStatus(azure=record, timeline=Timeline(commissioned_at=_NOW))
    return ManagedHost(name=f"vm-{index}", namespace="bench", spec=HostSpec(estate="bench", vm_id=vm_id), status=status)


def _example() -> str:
    """Return the example mapping."""
    path = ROOT / "manifests" / "examples" / "mapping.yaml"
    text: str = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]["mapping.yaml"]
    return text


def _large() -> str:
    """Return a large mapping: 300 applications, each with a synonym, many with a case and a group."""
    names = [f"application-{number}" for number in range(300)] + ["ServiceOrchestrate", "sap", "shop", "billing"]
    synonyms = {f"app {number}": f"application-{number}" for number in range(300)}
    cases = [{"when": {"tags": {"rol": [f"role-{n}"]}, "name": [f"*-r{n}-*"]}, "value": f"Role{n}"} for n in range(40)]
    app = {"fromTag": ["Application", "app"], "normalize": ["trim", "lower"], "onMiss": "hold"}
    document = {
        "apiVersion": "mapping.microseg.dev/v1",
        "name": "large",
        "labels": {
            "app": app | {"values": synonyms | {"service orchestrate": "ServiceOrchestrate"}, "oneOf": names},
            "env": {"fromTag": ["env", "Environment"], "normalize": ["trim", "lower"], "default": "Dev"}
            | {"values": {"production": "Prod", "prd": "Prod", "tst": "Test"}, "oneOf": ["Prod", "Test", "Dev"]},
            "role": {"cases": [*cases, {"when": {"tags": {"rol": ["web"]}}, "value": "Web"}], "default": "App"},
        },
        "groups": [
            {"name": f"group-{number}", "when": {"labels": {"app": [name]}, "tags": {"rol": ["web", "db"]}}}
            for number, name in enumerate(names[-60:])
        ],
    }
    return json.dumps(document)


def _as_baseline(desired: Desired) -> Result:
    """Return a result in the baseline's form."""
    return ({} if desired.miss else dict(desired.labels), set() if desired.miss else set(desired.groups))


def _timed(call: Any) -> tuple[Any, float]:
    began = time.thread_time()
    made = call()
    return made, time.thread_time() - began


# the baseline ---------------------------------------------------------------------------------------------------------


def naively(document: Mapping[str, Any], host: ManagedHost) -> Result:
    """Return labels and groups by walking through the document, without tables or caches."""
    labels: dict[str, str] = {}
    for key, table in document["labels"].items():
        value = _label(table, host)
        if value is None and table.get("onMiss", "default" if "default" in table else "hold") == "hold":
            return {}, set()
        if value is not None:
            labels[key] = value
    groups = {group["name"] for group in document.get("groups", ()) if _holds(group["when"], host, group, labels)}
    return labels, groups


def _label(table: Mapping[str, Any], host: ManagedHost) -> str | None:
    for case in table.get("cases", ()):
        if _holds(case["when"], host, table, {}):
            return str(case["value"])
    for desired in table.get("fromTag", ()):
        found = _tag(host, desired)
        if found is not None:
            value = _known(table, found)
            if value is not None:
                return value
            break
    return table.get("default") if table.get("onMiss", "default") == "default" else None


def _known(table: Mapping[str, Any], value: str) -> str | None:
    spelled = _spelled(table, value)
    for synonym, label in table.get("values", {}).items():
        if _spelled(table, synonym) == spelled:
            return str(label)
    named = [*table.get("oneOf", ()), *table.get("values", {}).values(), *(c["value"] for c in table.get("cases", ()))]
    return next((label for label in named if _spelled(table, label) == spelled), None)


def _spelled(rule: Mapping[str, Any], text: str) -> str:
    for way in rule.get("normalize", ()):
        text = text.strip() if way == "trim" else text.lower()
    return text


def _tag(host: ManagedHost, key: str) -> str | None:
    azure = host.status.azure
    return next((tag.value for tag in azure.tags if tag.key.lower() == key.lower()), None) if azure else None


def _holds(when: Mapping[str, Any], host: ManagedHost, rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    azure = host.status.azure
    if azure is None:
        return False
    for key, values in when.get("tags", {}).items():
        if not _any(_tag(host, key), values, rule):
            return False
    for key, values in when.get("notTags", {}).items():
        if _any(_tag(host, key), values, rule):
            return False
    if "name" in when and not any(fnmatch.fnmatchcase(azure.name.lower(), one.lower()) for one in when["name"]):
        return False
    if "location" in when and azure.location.lower() not in [one.lower() for one in when["location"]]:
        return False
    return all(labels.get(key) in values for key, values in when.get("labels", {}).items())


def _any(found: str | None, values: Sequence[str], rule: Mapping[str, Any]) -> bool:
    if found is None:
        return False
    return values == ["*"] or _spelled(rule, found) in [_spelled(rule, value) for value in values]


if __name__ == "__main__":
    sys.exit(main())
