"""Helpers of the scenario with edited mappings: a person's command line, the edits, and readings of snapshots.

Called by `test_mapping_edits.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.integration.scenario import CommandResult, ScenarioRun
from tests.integration.snapshots import Snapshot

from simulators.ledger import Entry


class SecurityEngineer:
    """A person who edits a mapping in Git, previews it by command, and merges it."""

    def __init__(self, run: ScenarioRun) -> None:
        self._run = run

    def file(self, name: str, text: str) -> Path:
        path = self._run.rig.folder / f"{name}.yaml"
        path.write_text(text)
        return path

    def run(self, *arguments: str) -> CommandResult:
        return self._run.microseg(*arguments)

    def plan(self, file: Path) -> CommandResult:
        return self.run("plan", "-f", str(file), "-o", "json")

    def settled(self, approval: str) -> dict[str, Any]:
        """Wait until an Approval tells its outcome, and return it."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = json.loads(self._run.rig.kubectl("get", "approval", approval, "-o", "json"))
            return found if found.get("status", {}).get("outcome") else None

        found = self._run.wait(f"the outcome of {approval}", look)
        assert found is not None
        return found

    def deliver(self, text: str, name: str = "microseg-mapping") -> None:
        """Apply the ConfigMap, as GitOps does after a merge."""
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "labels": {"microseg.dev/mapping": "v1"},
                "annotations": {"microseg.dev/commit": "c0ffee1", "microseg.dev/author": "nora"},
            },
            "data": {"mapping.yaml": text},
        }
        path = self._run.rig.folder / f"delivered-{name}.json"
        path.write_text(json.dumps(body))
        self._run.rig.kubectl("apply", "-f", str(path))


def facts(run: ScenarioRun) -> dict[str, tuple[str, str]]:
    """Return ManagedHost name -> its labels and groups."""
    return {host.name: (host.labels, host.groups) for host in run.hosts().values()}


def held(run: ScenarioRun) -> str:
    """Wait until a plan is held; return the approval that it asks for."""
    message: str = run.wait_for_estate_condition("PlanHeld", "True", "Held")["message"]
    return message.partition("microseg approve plan ")[2].split("`")[0]


def with_override(text: str, vm_id: str, *, minutes: float) -> str:
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=minutes)
    override = f'{{vmId: {vm_id}, labels: {{env: Prod}}, reason: "CHG-1234", until: {until.isoformat()}}}'
    return text.replace("\ngroups:\n", f"\noverrides:\n  - {override}\n\ngroups:\n")


def changed(text: str) -> str:
    """Edit: production SAP hosts get the label Test and join az-pci."""
    text = text.replace("prd: Prod", "prd: Test").replace("Environment: PRD, dataclass: PCI", "env: production")
    text = text.replace("groups: [az-db, az-pci]", "groups: [az-db]")
    when = "{tags: {DataClass: [pci]}, labels: {env: [Prod]}}"
    assert when in text
    return text.replace(when, "{labels: {app: [sap]}}")


def differences(before: Mapping[str, tuple[str, str]], after: Mapping[str, tuple[str, str]]) -> dict[str, list[str]]:
    """Return ManagedHost name -> what changed, in the words of a plan."""
    return {name: found for name in before if (found := sorted(_kinds(before[name], after[name])))}


def _kinds(before: tuple[str, str], after: tuple[str, str]) -> Iterator[str]:
    old, new = (dict(pair.split("=") for pair in labels.split(",") if pair) for labels in (before[0], after[0]))
    for key in old.keys() | new.keys():
        if old.get(key) != new.get(key):
            yield f"label {key}: {old.get(key, '(none)')} -> {new.get(key, '(none)')}"
    was, now = ({name for name in groups.split(",") if name} for groups in (before[1], after[1]))
    yield from (f"group {name}: join" for name in now - was)
    yield from (f"group {name}: leave" for name in was - now)


def label_calls(snapshot: Snapshot, since: int) -> list[Entry]:
    return snapshot.of("illumio", "workloads.set_labels", "workloads.remove_labels", "workloads.update", since=since)


def events(snapshot: Snapshot, reason: str) -> list[str]:
    found: Callable[[Any], str] = lambda event: event.get("message") or event.get("note", "")  # noqa: E731
    return [found(event) for event in snapshot.events if event["reason"] == reason]
