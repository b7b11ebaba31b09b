"""docs/mapping.md shows only what works."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import re

import pytest

from microseg import mapping as m
from microseg.mapping import limits
from microseg.mapping.parser import DOCUMENT_FIELDS, GIVEN_FIELDS, GROUP_FIELDS, OVERRIDE_FIELDS, TEST_FIELDS
from microseg.mapping.table_parser import GROUP_WHEN_FIELDS, TABLE_FIELDS
from microseg.model.condition import Reason

PAGE = (pathlib.Path(__file__).parents[3] / "docs" / "mapping.md").read_text()
SNIPPETS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
HEAD = "apiVersion: mapping.microseg.dev/v1\nname: platform\nlabels:\n"


def test_the_first_snippet_is_a_whole_mapping() -> None:
    assert m.lint(m.parse(SNIPPETS[0], "first")) == ()


def test_the_snippets_together_are_the_seeds_table_and_its_test_passes() -> None:
    _, env, default, app, cases, groups, tests, overrides = SNIPPETS
    mapping = m.parse(HEAD + env + default + app + cases + groups + tests + overrides, "page")
    assert m.lint(mapping, ["SO", "az-pci"]) == ()
    assert m.run_tests(mapping) == ()


def test_the_answers_of_validate_on_the_page_are_the_real_ones() -> None:
    _, env, default, app, cases, groups, tests, _ = SNIPPETS
    whole = m.parse(HEAD + env + default + app + cases + groups + tests, "page")
    first = m.parse(SNIPPETS[0], "first")
    assert f"fit to be accepted as revision {first.shown}; it has no tests: write some" in PAGE
    assert f"fit to be accepted as revision {whole.shown}; 1 test passed" in PAGE


def test_the_answer_of_explain_on_the_page_is_the_real_one() -> None:
    _, env, default, app, cases, groups, tests, _ = SNIPPETS
    whole = m.parse(HEAD + env + default + app + cases + groups + tests, "page")
    given = dataclasses.replace(whole.tests[0].subject, name="Host24")
    told = m.explain(whole, given, current={}, now=datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC))
    assert "\n".join(f"  {line}" for line in told) in PAGE


@pytest.mark.parametrize("reason", ["ACCEPTED", *(each.name for each in Reason if each.name.startswith("MAPPING_"))])
def test_what_becomes_of_a_document_is_on_the_page(reason: str) -> None:
    assert Reason[reason].value in PAGE


@pytest.mark.parametrize(
    "word",
    sorted(
        {
            *DOCUMENT_FIELDS,
            *TABLE_FIELDS,
            *GROUP_WHEN_FIELDS,
            *GROUP_FIELDS,
            *OVERRIDE_FIELDS,
            *TEST_FIELDS,
            *GIVEN_FIELDS,
            *m.OnMiss,
        }
    ),
)
def test_every_word_of_the_language_is_on_the_page(word: str) -> None:
    assert re.search(rf"\b{word}\b", PAGE)


def test_the_limits_on_the_page_are_the_real_ones() -> None:
    counts = (
        f"{limits.MAX_BYTES // 1024} KiB, {limits.MAX_TABLES} tables, {limits.MAX_CASES} cases and "
        f"{limits.MAX_VALUES:,} synonyms per table, {limits.MAX_GROUPS} groups, "
        f"{limits.MAX_OVERRIDES} overrides and {limits.MAX_TESTS} tests"
    )
    assert counts in " ".join(PAGE.split())
