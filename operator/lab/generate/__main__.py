"""Write every reference page, or with `--check` say which differ from the code (exit 1). Called by `make docs`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from lab.generate import conditions, process, resources, stages

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs" / "reference"


def pages() -> Mapping[str, str]:
    """File name -> text."""
    made = {
        "conditions.md": conditions.page(),
        "managedhost.md": resources.page("managedhosts"),
        "estate.md": resources.page("estates"),
        "annotations.md": resources.written_by_people(),
        "stages.md": stages.page(),
        "run-command.md": stages.run_command(),
        "settings.md": process.settings(),
        "metrics.md": process.metrics(),
        "command-line.md": process.command_line(),
        "mapping.schema.json": process.mapping_schema(),
    }
    return {"README.md": process.index(made), **made}


def main(arguments: list[str]) -> int:
    """Write, or compare."""
    made = pages()
    if "--check" in arguments:
        differ = [name for name, text in made.items() if _read(FOLDER / name) != text]
        for name in differ:
            print(f"docs/reference/{name} is not what the code says: run `make docs`", file=sys.stderr)
        return 1 if differ else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for left in sorted(path for path in FOLDER.iterdir() if path.name not in made):
        left.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
