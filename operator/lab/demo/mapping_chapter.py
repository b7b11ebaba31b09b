"""The demo's chapter about the mapping: an edit previewed, one too large held and then approved, a broken one refused.

A person's commands are run as a person runs them, with the kubeconfig of the demo's cluster; what came of them is read
from the PCE's world and from the Estate, not from the commands.
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
from lab.rig import Rig

_CHANGES = 2
"""Exit code of `microseg plan` where something would change."""
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
    """Three edits of the mapping; returns what must be true of each."""
    first = estate.documents(rig.worlds, rig.namespace)
    document = next(each for each in first if each["metadata"].get("labels", {}).get("microseg.dev/mapping"))
    text = str(document["data"]["mapping.yaml"])
    small = text.replace(_BEFORE_CACHES, _CACHES + _BEFORE_CACHES, 1)
    large = small.replace(_OLD_PLACE, _NEW_PLACE)
    broken = large.replace(_RIGHT, _MISSPELT, 1)
    return [_previewed(rig, small, say), _held(rig, large, say), _refused(rig, broken, large, say)]


def _previewed(rig: Rig, text: str, say: Say) -> Check:
    """A small edit: what the preview names is what changes, and nothing else."""
    say("An edit of the mapping: caches get a role of their own. What would it do?")
    plan = _plan(rig, "caches.yaml", text, say)
    foreseen = _foreseen(rig, plan)
    before = _labels(rig)
    rig.apply_estate(mapping=text)
    rig.wait_until(lambda: _changed(before, _labels(rig)) >= foreseen, seconds=_WAIT, what="the edit in the PCE")
    _wait_ready(rig)
    changed = _changed(before, _labels(rig))
    say(f"Applied: the PCE shows another label on {len(changed)} workload(s).")
    return Check(
        bool(foreseen) and changed == foreseen and not plan["guard"]["held"],
        f"a mapping edit was previewed ({len(foreseen)} host) and then changed that in the PCE, and nothing else",
    )


def _held(rig: Rig, text: str, say: Say) -> Check:
    """A large edit: nothing changes until a person approves that very plan; then all of it does."""
    say(f"A larger edit: the location {_OLD_PLACE} is called {_NEW_PLACE}.")
    plan = _plan(rig, "europe.yaml", text, say)
    foreseen = _foreseen(rig, plan)
    before = _labels(rig)
    rig.apply_estate(mapping=text)
    said = rig.wait_until(lambda: _condition(rig, "PlanHeld", "True"), seconds=_WAIT, what="the plan is held")
    say(f"Applied, and held: {said}")
    moved = _changed(before, _labels(rig))
    approval = str(plan["guard"]["approve"])
    say(f"$ kubectl annotate est {estate.NAME} --overwrite {approval}")
    rig.kubectl("annotate", "est", estate.NAME, "--overwrite", approval)
    rig.wait_until(lambda: _changed(before, _labels(rig)) >= foreseen, seconds=_WAIT, what="the approved edit")
    _wait_ready(rig)
    after = _changed(before, _labels(rig))
    say(f"Approved: the PCE shows {_NEW_PLACE} on {len(after)} workloads.")
    return Check(
        bool(plan["guard"]["held"]) and not moved and after == foreseen,
        f"one of {len(foreseen)} hosts was held, changed {len(moved)} until it was approved, and all of them then",
    )


def _refused(rig: Rig, text: str, good: str, say: Say) -> Check:
    """A broken edit: refused with its line, by the command and by the operator, which keeps the last good one."""
    line = next(number for number, each in enumerate(text.splitlines(), 1) if _MISSPELT in each)
    say(f"A broken edit: line {line} says {_MISSPELT!r}.")
    _, told = _command(rig, "validate", _written(rig, "broken.yaml", text), say=say)
    before = _labels(rig)
    rig.apply_estate(mapping=text)
    said = rig.wait_until(lambda: _condition(rig, "MappingValid", "False"), seconds=_WAIT, what="the mapping refused")
    say(f"Applied, and refused: {said}")
    moved = _changed(before, _labels(rig))
    rig.apply_estate(mapping=good)
    rig.wait_until(lambda: _condition(rig, "MappingValid", "True"), seconds=_WAIT, what="the mapping mended")
    say("Mended.")
    named = f":{line}:" in told and (f":{line}:" in said or f"line {line}" in said)
    return Check(
        named and not moved,
        f"a broken one was {'refused with its line' if named else 'NOT refused with its line'} ({line}),"
        f" and {len(moved)} hosts changed",
    )


def _plan(rig: Rig, name: str, text: str, say: Say) -> dict[str, Any]:
    """`microseg plan`, once for the person and once as JSON."""
    where = ("-n", rig.namespace, "--kubeconfig", str(rig.cluster.admin_kubeconfig))
    file = _written(rig, name, text)
    _command(rig, "plan", "-f", file, hidden=where, say=say)
    code, told = _command(rig, "plan", "-f", file, "-o", "json", hidden=where)
    if code != _CHANGES:
        raise AssertionError(f"microseg plan -f {file} ended with {code}, not {_CHANGES}: {told}")
    found: dict[str, Any] = json.loads(told)
    return found


def _command(rig: Rig, *words: str, hidden: tuple[str, ...] = (), say: Say | None = None) -> tuple[int, str]:
    """Run `microseg`; its exit code, and what it printed. `hidden`: words that a person's own context would give."""
    done = subprocess.run(
        [sys.executable, "-m", "microseg", *words, *hidden],
        cwd=rig.folder,
        env=os.environ | {"PYTHONPATH": str(_SOURCES), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout + done.stderr
    if say is not None:
        say(f"$ microseg {' '.join(words)}\n{told.rstrip()}\n  (exit code {done.returncode})")
    return done.returncode, told


def _written(rig: Rig, name: str, text: str) -> str:
    Path(rig.folder, name).write_text(text, encoding="utf-8")
    return name


def _labels(rig: Rig) -> Labels:
    """What the PCE's world has now."""
    found = rig.worlds.get("/illumio/workloads")["workloads"]
    return {each["external_data_reference"]: dict(each["labels"]) for each in found if not each["deleted"]}


def _changed(before: Labels, after: Labels) -> set[str]:
    return {vm_id for vm_id, labels in after.items() if before.get(vm_id) != labels}


def _foreseen(rig: Rig, plan: dict[str, Any]) -> set[str]:
    """The commissioned hosts that the plan names; others have no workload yet."""
    return {host.vm_id for host in rig.hosts() if host.commissioned and host.name in plan["byHost"]}


def _condition(rig: Rig, kind: str, status: str) -> str:
    """The message of the Estate's condition, if it has that status; else empty."""
    conditions = rig.estate()["status"]["conditions"]
    found = next((each for each in conditions if each["type"] == kind and each["status"] == status), None)
    return str(found["message"]) if found is not None else ""


def _wait_ready(rig: Rig) -> None:
    """Until the hosts' records tell of the change: all that were commissioned are so again, by the newest rules."""
    rig.wait_until(lambda: _told(rig), seconds=_WAIT, what="every record tells of it")


def _told(rig: Rig) -> bool:
    labels = _labels(rig)
    return all(
        host.labels == ",".join(f"{key}={value}" for key, value in sorted(labels[host.vm_id].items()))
        for host in rig.hosts()
        if host.commissioned
    )
