"""The demo's chapter about the mapping: one edit is previewed, a large one held and approved, a broken one refused.

Commands run as a person runs them, with the kubeconfig of the demo's cluster. Their effect is read from the PCE and
from the Estate, not from the commands.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab import estate
from lab.cluster import ROOT
from lab.demo.check import Check
from lab.demo.wording import counted
from lab.rig import Rig

_CHANGES = 2
"""Exit code of `microseg plan` if something would change."""
_WAIT = 40.0
_SOURCES = ROOT / "operator"
_CACHES = '      - {name: cache, when: {name: ["*-cache*"]}, value: Cache}\n'
_BEFORE_CACHES = "      - {name: web, when:"
_OLD_PLACE, _NEW_PLACE = "Elsewhere", "Europe"
_RIGHT, _MISSPELT = "onMiss: hold", "onMis: hold"
Labels = dict[str, dict[str, str]]
"""vmId -> labels in the PCE."""
Say = Callable[[str], None]


def play(rig: Rig, say: Say) -> list[Check]:
    """Make three edits of the mapping; return one check per edit."""
    first = estate.documents(rig.worlds, rig.namespace)
    document = next(each for each in first if each["metadata"].get("labels", {}).get("microseg.dev/mapping"))
    text = str(document["data"]["mapping.yaml"])
    small = text.replace(_BEFORE_CACHES, _CACHES + _BEFORE_CACHES, 1)
    large = small.replace(_OLD_PLACE, _NEW_PLACE)
    broken = large.replace(_RIGHT, _MISSPELT, 1)
    return [_previewed(rig, small, say), _held(rig, large, say), _refused(rig, broken, large, say)]


def _previewed(rig: Rig, text: str, say: Say) -> Check:
    """A small edit changes exactly what the preview names."""
    say("An edit of the mapping: caches get their own role. What would change?")
    plan = _plan(rig, "caches.yaml", text, say)
    planned = _planned(rig, plan)
    before = _labels(rig)
    rig.apply_estate(mapping=text)
    rig.wait_until(lambda: _changed(before, _labels(rig)) >= planned, seconds=_WAIT, what="the PCE shows the edit")
    _wait_ready(rig)
    changed = _changed(before, _labels(rig))
    say(f"Applied: labels changed on {counted(len(changed), 'workload')} in the PCE.")
    return Check(
        bool(planned) and changed == planned and not plan["guard"]["held"],
        f"a mapping edit changed exactly what its preview named in the PCE ({counted(len(planned), 'host')})",
    )


def _held(rig: Rig, text: str, say: Say) -> Check:
    """A large edit changes nothing until a person approves exactly that plan."""
    say(f"A larger edit: the location {_OLD_PLACE} becomes {_NEW_PLACE}.")
    plan = _plan(rig, "europe.yaml", text, say)
    planned = _planned(rig, plan)
    before = _labels(rig)
    rig.apply_estate(mapping=text)
    message = rig.wait_until(lambda: _condition(rig, "PlanHeld", "True"), seconds=_WAIT, what="the plan is held")
    say(f"Applied and held: {message}")
    changed_early = _changed(before, _labels(rig))
    approval = str(plan["guard"]["approve"])
    where = ("-n", rig.namespace, "--kubeconfig", str(rig.cluster.admin_kubeconfig))
    _command(rig, "approve", "plan", approval, "--reason", "CHG-7", hidden=where, say=say)
    rig.wait_until(
        lambda: _changed(before, _labels(rig)) >= planned, seconds=_WAIT, what="the approved edit in the PCE"
    )
    _wait_ready(rig)
    after = _changed(before, _labels(rig))
    say(f"Approved: the PCE shows {_NEW_PLACE} on {counted(len(after), 'workload')}.")
    return Check(
        bool(plan["guard"]["held"]) and not changed_early and after == planned,
        f"an edit of {counted(len(planned), 'host')} was held: {len(changed_early)} changed before approval,"
        f" {len(after)} after",
    )


def _refused(rig: Rig, text: str, good: str, say: Say) -> Check:
    """A broken edit: the command and the operator refuse it and name the line; the last good revision stays."""
    line = next(number for number, each in enumerate(text.splitlines(), 1) if _MISSPELT in each)
    say(f"A broken edit: line {line} has {_MISSPELT!r}.")
    _, output = _command(rig, "validate", _write(rig, "broken.yaml", text), say=say)
    before = _labels(rig)
    rig.apply_estate(mapping=text)
    message = rig.wait_until(
        lambda: _condition(rig, "MappingValid", "False"), seconds=_WAIT, what="the operator refuses the mapping"
    )
    say(f"Applied and refused: {message}")
    changed_early = _changed(before, _labels(rig))
    rig.apply_estate(mapping=good)
    rig.wait_until(
        lambda: _condition(rig, "MappingValid", "True"),
        seconds=_WAIT,
        what="the operator accepts the corrected mapping",
    )
    say("Corrected.")
    named = f":{line}:" in output and (f":{line}:" in message or f"line {line}" in message)
    return Check(
        named and not changed_early,
        f"a broken edit was refused {'with' if named else 'WITHOUT'} its line number ({line});"
        f" {counted(len(changed_early), 'host')} changed",
    )


def _plan(rig: Rig, name: str, text: str, say: Say) -> dict[str, Any]:
    """Run `microseg plan` once for the screen and once as JSON."""
    where = ("-n", rig.namespace, "--kubeconfig", str(rig.cluster.admin_kubeconfig))
    file = _write(rig, name, text)
    _command(rig, "plan", "-f", file, hidden=where, say=say)
    code, output = _command(rig, "plan", "-f", file, "-o", "json", hidden=where)
    if code != _CHANGES:
        raise AssertionError(f"microseg plan -f {file} exited with {code}, not {_CHANGES}: {output}")
    found: dict[str, Any] = json.loads(output)
    return found


def _command(rig: Rig, *words: str, hidden: tuple[str, ...] = (), say: Say | None = None) -> tuple[int, str]:
    """Run `microseg`; return exit code and output. `hidden`: arguments that a person's kubeconfig context supplies."""
    done = subprocess.run(
        [sys.executable, "-m", "microseg", *words, *hidden],
        cwd=rig.folder,
        env=os.environ | {"PYTHONPATH": str(_SOURCES), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    if say is not None:
        say(f"$ microseg {' '.join(words)}\n{output.rstrip()}\n  (exit code {done.returncode})")
    return done.returncode, output


def _write(rig: Rig, name: str, text: str) -> str:
    Path(rig.folder, name).write_text(text, encoding="utf-8")
    return name


def _labels(rig: Rig) -> Labels:
    """Return the labels of all workloads in the PCE."""
    found = rig.worlds.get("/illumio/workloads")["workloads"]
    return {each["external_data_reference"]: dict(each["labels"]) for each in found if not each["deleted"]}


def _changed(before: Labels, after: Labels) -> set[str]:
    return {vm_id for vm_id, labels in after.items() if before.get(vm_id) != labels}


def _planned(rig: Rig, plan: dict[str, Any]) -> set[str]:
    """Return the vmIds of the commissioned hosts in the plan; others have no workload yet."""
    return {host.vm_id for host in rig.hosts() if host.commissioned and host.name in plan["byHost"]}


def _condition(rig: Rig, kind: str, status: str) -> str:
    """Return the message of an Estate's condition if it has that status, else an empty string."""
    conditions = rig.estate()["status"]["conditions"]
    found = next((each for each in conditions if each["type"] == kind and each["status"] == status), None)
    return str(found["message"]) if found is not None else ""


def _wait_ready(rig: Rig) -> None:
    """Wait until the ManagedHosts show the change."""
    rig.wait_until(lambda: _records_agree(rig), seconds=_WAIT, what="every ManagedHost shows the labels of the PCE")


def _records_agree(rig: Rig) -> bool:
    labels = _labels(rig)
    return all(
        host.labels == ",".join(f"{key}={value}" for key, value in sorted(labels[host.vm_id].items()))
        for host in rig.hosts()
        if host.commissioned
    )
