"""Write every reference page and the CRDs' chart, or with `--check` list what differs from the code (exit 1)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from lab.generate import azure_policy, charts, conditions, downgrade, process, resources, stages
from lab.monitoring import dashboards, rules

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs" / "reference"
MONITORING = ROOT / "manifests" / "monitoring"
CHART = ROOT / "manifests" / "helm" / "microseg" / "monitoring"
"""Copies for the chart: Helm reads no file outside of it."""


def pages() -> Mapping[str, str]:
    """File name -> text."""
    texts = {
        "conditions.md": conditions.page(),
        "managedhost.md": resources.page("managedhosts"),
        "estate.md": resources.page("estates"),
        "approval.md": resources.page("approvals"),
        "annotations.md": resources.written_by_people(),
        "stages.md": stages.page(),
        "run-command.md": stages.run_command(),
        "settings.md": process.settings(),
        "metrics.md": process.metrics(),
        "command-line.md": process.command_line(),
        "mapping.schema.json": process.mapping_schema(),
        "alerts.md": rules.page(),
        "downgrade.md": downgrade.page(),
    }
    return {"README.md": process.index(texts), **texts}


def monitoring() -> dict[Path, str]:
    """Path -> text: manifests/monitoring/, and what of it the chart carries."""
    plain, boards = rules.files(), {f"dashboards/{name}": text for name, text in dashboards.files().items()}
    charted = {"rules.yaml": plain["rules.yaml"], **boards}
    return {
        **{MONITORING / name: text for name, text in (plain | boards).items()},
        **{CHART / name: text for name, text in charted.items()},
    }


def manifests() -> dict[Path, str]:
    """Path -> text, of what is written beside the pages and the charts' templates."""
    return {**monitoring(), ROOT / "manifests" / "azure" / azure_policy.NAME: azure_policy.text()}


def main(arguments: list[str]) -> int:
    """Write, or compare."""
    texts = pages()
    if "--check" in arguments:
        differ = [name for name, text in texts.items() if _read(FOLDER / name) != text]
        for name in differ:
            print(f"docs/reference/{name} differs from the code: run `make docs`", file=sys.stderr)
        old = [name for name, text in charts.templates().items() if _read(charts.FOLDER / name) != text]
        for name in old:
            print(f"{charts.FOLDER.name}/{name} of the chart differs from the code: run `make docs`", file=sys.stderr)
        stale = [path for path, text in manifests().items() if _read(path) != text]
        for path in stale:
            print(f"{path.relative_to(ROOT)} differs from the code: run `make docs`", file=sys.stderr)
        return 1 if differ or old or stale else 0
    charts.write()
    for path, text in manifests().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for left in sorted(path for path in FOLDER.iterdir() if path.name not in texts):
        left.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
