"""The page of stages, drawn from STAGES and from which stage asks whether another holds; and what the scripts say."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable

from lab.generate.markdown import code, document, table
from microseg import scripts
from microseg.model.condition import ConditionType
from microseg.stages import STAGES, Stage
from microseg.stages.context import HostContext


def page() -> str:
    """The life of a host."""
    rows = [
        (f"`{stage.condition.value}`", stage.doing, stage.condition.meaning, _first_line(stage.judge))
        for stage in STAGES
    ]
    return document(
        "Stages",
        "A host goes through these. Each is judged by itself from the facts, in this order; an arrow means that the "
        "stage at its end waits for the one at its beginning. Stages without an arrow between them go on side by side.",
        code(_diagram(), "mermaid"),
        table(("Condition", "`status.stage` meanwhile", "True says", "How it is judged"), rows),
        "`status.stage` is the first of these that does not hold; `Blocked` where a person must change something; "
        "`Commissioned` when all hold.",
        "## Verdicts",
        "What a stage concludes is one of four things.",
        table(
            ("Verdict", "Meaning", "The condition becomes"),
            [
                ("`Done`", "The owning system shows it.", "True"),
                ("`Act`", "These effects would make it hold.", "False"),
                ("`Wait`", "The world must move first.", "False, or Unknown where there is doubt"),
                ("`Blocked`", "A person must change something.", "False, and `Stalled` becomes True"),
            ],
        ),
    )


def run_command() -> str:
    """Outcomes, exit codes and codes of the scripts."""
    meanings = _member_docs(scripts.Outcome)
    outcomes = [
        (f"`{outcome.value}`", str(scripts.EXIT_CODES[outcome]), meanings[outcome.name]) for outcome in scripts.Outcome
    ]
    codes = [(str(number), meaning) for number, meaning in sorted(scripts.CODES.items())]
    return document(
        "What the script on a VM says",
        f"Script version `{scripts.SCRIPT_VERSION}`. The last line of its output is always:",
        code("microseg-result v1 nonce=<hex> outcome=<word> code=<number> workload=<uuid or -> org=<number or ->"),
        "The line is a claim by whoever has root on the VM. It is believed only where the PCE's own facts agree.",
        table(("Outcome", "Exit code", "Meaning"), outcomes),
        "## Codes",
        "The script's own. Lower numbers are of the tool that failed: the pairing script's exit code, an HTTP status "
        "(400 and up), or curl's exit code (on Windows the WebExceptionStatus).",
        table(("Code", "Meaning"), codes),
    )


def _diagram() -> str:
    lines = ["flowchart LR"]
    lines += [f'    {stage.condition.value}["{stage.condition.value}<br/>({stage.doing})"]' for stage in STAGES]
    lines.append('    Ready(["Ready (Commissioned)"])')
    needed: set[ConditionType] = set()
    for place, stage in enumerate(STAGES):
        waits = _waits_for(stage) or ({STAGES[0].condition} if place else set())
        needed |= waits
        lines += [f"    {kind.value} --> {stage.condition.value}" for kind in ConditionType if kind in waits]
    lines += [f"    {stage.condition.value} --> Ready" for stage in STAGES if stage.condition not in needed]
    return "\n".join(lines)


_ASKED = {"AWAITING_AGENT": ConditionType.AGENT_PAIRED, "AWAITING_PUBLISH": ConditionType.GROUPED}
"""Reason of a stage that waits for another one -> that one."""


def _waits_for(stage: Stage) -> set[ConditionType]:
    """The stages that this one asks for: its module gives the reason that says so."""
    tree = ast.parse(inspect.getsource(sys.modules[stage.judge.__module__]))
    return {_ASKED[node.attr] for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in _ASKED}


def _first_line(judge: Callable[[HostContext], object]) -> str:
    return (inspect.getdoc(judge) or "").split("\n", 1)[0]


def _member_docs(kind: type) -> dict[str, str]:
    """The sentence under each member of an enum."""
    return attribute_docs(kind)


def attribute_docs(kind: type) -> dict[str, str]:
    """Attribute -> the docstring that stands beneath it in the class's source."""
    body = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - the source of a class is a class
    docs: dict[str, str] = {}
    for one, following in zip(body.body, body.body[1:], strict=False):
        target = (
            one.targets[0] if isinstance(one, ast.Assign) else one.target if isinstance(one, ast.AnnAssign) else None
        )
        if (
            isinstance(target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            docs[target.id] = inspect.cleandoc(str(following.value.value))
    return docs
