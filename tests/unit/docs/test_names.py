"""One table of names: what has `microseg.dev/` in it stands in `model/names.py` and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from microseg.model import names

PRODUCT = Path(__file__).resolve().parents[3] / "operator" / "microseg"
MODULES = sorted(path for path in PRODUCT.rglob("*.py") if path != Path(names.__file__).resolve())


def literals(text: str) -> Iterator[str]:
    """Every piece of a string with the prefix in it, docstrings excepted."""
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in docstrings:
            continue
        if names.PREFIX in node.value or names.CHECK_POINT_TAG_PREFIX in node.value:
            yield node.value


def joined(text: str) -> Iterator[str]:
    """Every f-string that puts a name together from the group."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr) and any(part in ast.unparse(node) for part in ("GROUP}/", "GROUP}-")):
            yield ast.unparse(node)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PRODUCT)))
def test_no_module_but_the_table_spells_a_name(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert [*literals(text), *joined(text)] == []


@pytest.mark.parametrize(
    "line", ['x = "microseg.dev/x"', 'x = f"{GROUP}/x"', 'x = f"microseg.dev/{x}"', 'x = {"microseg.dev/x": 1}']
)
def test_a_name_spelled_elsewhere_would_be_noticed(line: str) -> None:
    assert [*literals(line), *joined(line)]


def test_a_docstring_may_name_one() -> None:
    assert [*literals('"""Reads `microseg.dev/x`."""'), *joined("x = GROUP")] == []
