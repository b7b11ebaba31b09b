"""The scripts as texts: syntax, lint, and that the two say the same as the table in `microseg.scripts`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell

from microseg import scripts
from microseg.scripts import CODES, EXIT_CODES, LINUX, WINDOWS, Outcome, Parameter

SHELLCHECK = Path(sys.executable).parent / "shellcheck"


def powershell_errors(text: str) -> list[str]:
    """The places where the PowerShell grammar does not understand the text."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))

    def broken(node: tree_sitter.Node) -> Iterator[str]:
        if node.type == "ERROR" or node.is_missing:
            yield f"line {node.start_point[0] + 1}: {node.type}"
        for child in node.children:
            yield from broken(child)

    return list(broken(parser.parse(text.encode()).root_node))


def test_bash_understands_the_linux_script() -> None:
    said = subprocess.run(["/bin/bash", "-n"], input=LINUX, text=True, capture_output=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")


def test_shellcheck_finds_nothing_in_the_linux_script() -> None:
    said = subprocess.run([SHELLCHECK, "-s", "bash", "-"], input=LINUX, text=True, capture_output=True, check=False)
    assert (said.returncode, said.stdout) == (0, "")


def test_the_powershell_grammar_understands_the_windows_script() -> None:
    assert powershell_errors(WINDOWS) == []


@pytest.mark.parametrize("wrong", ["function f( {", "if ($a { 1 }", "try { 1 }\n$x = ("])
def test_the_powershell_check_can_fail(wrong: str) -> None:
    assert powershell_errors(f"{WINDOWS}\n{wrong}\n")


@pytest.mark.parametrize("text", [LINUX, WINDOWS], ids=["linux", "windows"])
def test_a_script_is_plain_ascii_with_unix_lines(text: str) -> None:
    assert text.isascii()
    assert "\r" not in text
    assert text.endswith("\n")


def test_the_linux_script_names_its_shell_in_the_first_line() -> None:
    assert LINUX.startswith("#!/bin/bash\n")


def test_the_scripts_stay_well_below_what_a_run_command_carries() -> None:
    assert max(len(LINUX), len(WINDOWS)) < 32_000


def test_the_windows_script_has_no_backslash_n_that_azure_could_take_for_a_line_end() -> None:
    assert "\\n" not in WINDOWS


def test_both_scripts_know_the_same_parameters() -> None:
    block = WINDOWS[WINDOWS.index("param(") : WINDOWS.index("\n)")]
    assert set(re.findall(r"\[string\]\$(MICROSEG_[A-Z_]+)", block)) == set(Parameter)
    assert set(re.findall(r"MICROSEG_[A-Z_]*[A-Z]", LINUX)) == set(Parameter)


def test_both_scripts_end_with_the_exit_codes_of_the_table() -> None:
    windows = {word: int(code) for word, code in re.findall(r"'([a-z-]+)' = ([0-9]+)", WINDOWS)}
    assert windows == {str(outcome): code for outcome, code in EXIT_CODES.items()}
    cases = re.findall(r"^    ([a-z| *-]+)\) exit ([0-9]+) ;;$", LINUX, re.MULTILINE)
    linux = {word: int(code) for words, code in cases for word in words.split(" | ")}
    assert linux.pop("*") == EXIT_CODES[Outcome.SCRIPT_FAILED]
    assert linux == {str(o): code for o, code in EXIT_CODES.items() if o is not Outcome.SCRIPT_FAILED}


@pytest.mark.parametrize("text", [LINUX, WINDOWS], ids=["linux", "windows"])
def test_every_code_of_a_script_is_explained(text: str) -> None:
    used = {int(code) for code in re.findall(r"\b6[0-9]{2}\b", text)}
    assert used
    assert used <= set(CODES)


@pytest.mark.parametrize("text", [LINUX, WINDOWS], ids=["linux", "windows"])
def test_every_outcome_of_the_table_is_reached_by_a_script(text: str) -> None:
    assert {outcome for outcome in Outcome if outcome not in text} == set()


@pytest.mark.parametrize("word", ["eval ", "--insecure", "curl -k", " -k ", "set -x", "Invoke-Expression", "iex "])
def test_no_script_has_a_word_of_danger(word: str) -> None:
    assert word not in LINUX.replace("--no-insecure", "")
    assert word not in WINDOWS
    assert "ServerCertificateValidationCallback" not in WINDOWS


def test_the_version_is_a_digest_of_both_texts() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}", scripts.SCRIPT_VERSION)
