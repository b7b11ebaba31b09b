"""What pages, docstrings and comments cite exists: codes of docs/invariants.md, modules by path or dotted name."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "operator"
PRODUCT = SOURCE / "microseg"
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(page for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")) if page.parent != REFERENCE)
MODULES = sorted(SOURCE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
OTHERS = sorted(
    path
    for folder in ("operator", "manifests", "hack", ".ci")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".sh", ".ps1", ".yaml", ""} and path.is_file()
)
INVARIANTS = (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8")
DEFINED = re.findall(r"^### ([SL]\d+) ", INVARIANTS, re.MULTILINE)
VENDORS = {"cpapi/mgmt_api.py", "monitor.py", "plugins/module_utils/checkpoint.py", "transport.py"}
"""Files of other projects, cited as sources of protocol facts."""
RETIRED = {"estate", "wiring"}
"""What stood at the top of the product once. A field of an Estate is written `spec.` or `status.`."""
_CODE = re.compile(r"\b[SL]\d{1,2}\b")
_TICKS = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"[\w/.*-]*\w\.py")
_DOTTED = re.compile(r"[a-z_]+(?:\.\w+)+")
_FIELD = re.compile(r"[a-z]+[A-Z]\w*|^(?:spec|status|yaml|json|dev)\b")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def docstrings(module: Path) -> str:
    """Every string that stands by itself: docstrings of modules, classes, functions, constants and fields."""
    nodes = (node.value for node in ast.walk(ast.parse(text_of(module))) if isinstance(node, ast.Expr))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def comments(module: Path) -> str:
    tokens = tokenize.generate_tokens(io.StringIO(text_of(module)).readline)
    return "\n".join(token.string for token in tokens if token.type == tokenize.COMMENT)


# the codes --------------------------------------------------------------------------------------------------------


def test_each_code_has_one_heading_and_they_are_in_order() -> None:
    safety, liveness = ([code for code in DEFINED if code.startswith(letter)] for letter in "SL")
    assert [*safety, *liveness] == DEFINED
    for codes in (safety, liveness):
        assert [int(code[1:]) for code in codes] == list(range(1, len(codes) + 1))


def test_each_code_that_code_cites_is_defined() -> None:
    citing = (module for module in (*MODULES, *TESTS) if _CODE.search(text_of(module)))
    cited = {module: f"{docstrings(module)}\n{comments(module)}" for module in citing}
    cited |= {path: text_of(path) for path in OTHERS}
    assert sum(bool(_CODE.search(text)) for text in cited.values()) > 30
    assert [
        f"{named(path)}: {code}" for path, text in cited.items() for code in _CODE.findall(text) if code not in DEFINED
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_code_that_a_page_cites_is_defined(page: Path) -> None:
    assert set(_CODE.findall(text_of(page))) - set(DEFINED) == set()


@pytest.mark.parametrize("code", DEFINED)
def test_each_invariant_names_its_judges_and_they_exist(code: str) -> None:
    section = re.search(rf"^### {code} .+?(?=^##|\Z)", INVARIANTS, re.MULTILINE | re.DOTALL)
    assert section is not None
    judges = section[0].partition("*Judged by*")[2]
    oracles = text_of(SOURCE / "lab" / "oracles.py")
    names = _TICKS.findall(judges)
    assert names
    assert [name for name in names if "/" not in name and f"def {name}(" not in oracles] == []


# modules and names ------------------------------------------------------------------------------------------------


def dangling(text: str, folders: list[Path], *, files_only: bool = False) -> Iterator[str]:
    """Backticked paths and dotted names that lead to nothing, as seen from `folders`."""
    for words in _TICKS.findall(text):
        word = words.removesuffix("()")
        if _FILE.fullmatch(word):
            if word not in VENDORS and not any(any(folder.glob(word)) for folder in folders):
                yield word
        elif not files_only and _DOTTED.fullmatch(word) and not _FIELD.search(word.partition(".")[2]):
            begun = [folder for folder in folders if begins(word, folder)]
            retired = word.partition(".")[0] in RETIRED
            if (begun or retired) and not any(leads_somewhere(word.split("."), folder) for folder in begun):
                yield word


def begins(word: str, folder: Path) -> bool:
    """Whether the first part of a dotted name is a package or module in `folder`."""
    first = word.partition(".")[0]
    return (folder / first / "__init__.py").exists() or (folder / f"{first}.py").exists()


def leads_somewhere(parts: list[str], folder: Path) -> bool:
    """Whether a dotted name is a package, a module, or a name that a module defines."""
    for number, part in enumerate(parts):
        if (folder / part).is_dir():
            folder /= part
            continue
        module = folder / f"{part}.py"
        rest = parts[number + 1 :] if module.exists() else parts[number:]
        return defines(module if module.exists() else folder / "__init__.py", rest)
    return True


def defines(module: Path, names: list[str]) -> bool:
    if not module.exists():
        return False
    text = text_of(module)
    return all(re.search(rf"(?:\b(?:def|class|import|as) |^\s*|, ){name}\b", text, re.MULTILINE) for name in names)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_module_that_a_page_names_exists(page: Path) -> None:
    worlds = page.name.startswith("worlds")  # they name files of the simulators, and operations such as `vms.list`
    inside = [each.parent for each in SOURCE.glob("simulators/**/__init__.py")] if worlds else []
    folders = [ROOT, SOURCE, PRODUCT, ROOT / "tests" / "integration", *inside]
    assert list(dangling(text_of(page), folders, files_only=worlds)) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_module_in_a_drawing_of_a_page_exists(page: Path) -> None:
    drawings = "\n".join(re.findall(r"^```$\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL))
    known = {module.name for module in MODULES}
    assert set(re.findall(r"\b[a-z_]+\.py\b", drawings)) - known == set()


def section(heading: str) -> str:
    """A section of docs/architecture.md."""
    return text_of(ROOT / "docs" / "architecture.md").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def modules_of(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.py")} - {"__init__.py"}


def test_the_drawing_of_the_engine_has_every_module_of_it() -> None:
    folders = {path.parent for path in (PRODUCT / "engine").rglob("*.py")}
    modules = {name for folder in folders for name in modules_of(folder)}
    assert modules - set(re.findall(r"\b[a-z_]+\.py\b", section("The packages of the engine"))) == set()


def drawn() -> dict[str, list[str]]:
    """Package -> modules that have a line in the drawing of the packages around the engine."""
    lines = re.findall(r"^(?:([a-z/]+)/(?: .*)?|  (\w+\.py) +\S.*)$", section("The packages around it"), re.MULTILINE)
    packages: dict[str, list[str]] = {}
    package = ""
    for folder, module in lines:
        package = folder or package
        packages.setdefault(package, []).extend([module] if module else [])
    return packages


def test_the_drawing_has_every_package_around_the_engine() -> None:
    folders = {path.parent.relative_to(PRODUCT) for path in PRODUCT.rglob("*.py")} - {
        Path(),
        Path("scripts"),
        Path("handlers"),
    }
    assert set(drawn()) == {str(folder) for folder in folders if folder.parts[0] != "engine"}


@pytest.mark.parametrize("package", drawn())
def test_the_drawing_of_a_package_has_one_line_per_module(package: str) -> None:
    assert sorted(drawn()[package]) == sorted(modules_of(PRODUCT / package))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_each_class_or_member_that_a_page_names_exists(page: Path) -> None:
    """The words of `HostTable` and `HostTable.actions` occur in the code, or are kinds or fields in YAML."""
    told = re.findall(r"`([A-Z][a-z]+[A-Z]\w+(?:\.\w+)*)(?:\(\))?`", text_of(page))
    assert {word for name in told for word in name.split(".")} - words() == set()


@cache
def words() -> set[str]:
    files = [*SOURCE.rglob("*"), *(ROOT / "manifests").rglob("*"), *(ROOT / "crds").rglob("*")]
    return {
        word
        for path in files
        if path.suffix in {".py", ".yaml", ".ps1", ".sh"}
        for word in re.findall(r"\w+", text_of(path))
    }


def test_each_module_that_a_docstring_names_exists() -> None:
    assert list(dangling_in_docstrings()) == []


def dangling_in_docstrings() -> Iterator[str]:
    for module in MODULES:
        folders = [module.parent, module.parent.parent, ROOT, SOURCE, PRODUCT]
        yield from (f"{named(module)}: {word}" for word in dangling(docstrings(module), folders))
