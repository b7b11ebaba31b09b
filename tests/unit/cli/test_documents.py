"""A document in a file: alone or carried by a ConfigMap, and every place is the file's."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.cli.world import RULES

from microseg.cli import documents
from microseg.cli.errors import CommandError

Write = Callable[[str], Path]
HEAD = "# a comment\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: m\ndata:\n"


def indented(text: str, blanks: int = 4) -> str:
    return "".join(f"{' ' * blanks}{line}" for line in text.splitlines(keepends=True))


def test_a_plain_document_is_read_as_it_is(document: Write) -> None:
    assert documents.read(document(RULES)).parsed().name == "platform"


@pytest.mark.parametrize("before", ["", "---\nkind: Secret\ndata: {x: eA==}\n---\n"])
def test_a_config_map_carries_one_also_among_other_objects(document: Write, before: str) -> None:
    text = f"{before}{HEAD}  mapping.yaml: |\n{indented(RULES)}"
    assert documents.read(document(text)).text == RULES


@pytest.mark.parametrize("blanks", [3, 4, 8])
def test_a_problem_in_a_config_map_is_told_with_its_place_in_the_file(document: Write, blanks: int) -> None:
    broken = RULES.replace("onMiss: hold", "onMis: hold")
    text = f"{HEAD}  mapping.yaml: |\n{indented(broken, blanks)}"
    lines = text.splitlines()
    line = next(number for number, each in enumerate(lines, start=1) if "onMis:" in each)
    column = lines[line - 1].index("onMis:") + 1
    file = document(text)
    with pytest.raises(CommandError, match=f"^{file}:{line}:{column}: "):
        documents.read(file).parsed()


def test_a_manifest_without_a_mapping_is_told_so(document: Write) -> None:
    with pytest.raises(
        CommandError, match=r"holds Deployment, but no ConfigMap with a mapping under data, mapping\.yaml"
    ):
        documents.read(document("kind: Deployment\nspec: {}\n"))


def test_a_missing_file_and_one_that_is_no_text_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: No such file or directory"):
        documents.read(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: Gerät".encode("latin-1"))
    with pytest.raises(CommandError, match=r"is not UTF-8 \(byte 9\)"):
        documents.read(tmp_path / "latin.yaml")


def test_a_dash_is_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(RULES))
    found = documents.read(Path("-"))
    assert (found.source, found.parsed().name) == ("standard input", "platform")


@pytest.mark.parametrize(
    "text", ["kind: [", "kind: x\na: " + "[" * 50_000, "kind: &a [*a]\n", "\0kind:", "kind:\n- a\n"]
)
def test_whatever_the_file_holds_there_is_one_clear_answer(document: Write, text: str) -> None:
    with pytest.raises(CommandError):
        documents.read(document(text)).parsed()


def test_a_huge_file_is_not_even_parsed(document: Write) -> None:
    with pytest.raises(CommandError, match="at most 256 KiB"):
        documents.read(document("#" * 2_000_000))
