"""The parser under fire: whatever the text, one clear refusal or a mapping, within a second."""

from __future__ import annotations

import pathlib
import time
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microseg import mapping as m
from microseg.mapping import limits

EXAMPLE = yaml.safe_load((pathlib.Path(__file__).parents[3] / "manifests" / "examples" / "mapping.yaml").read_text())[
    "data"
]["mapping.yaml"]
HEAD = "apiVersion: mapping.microseg.dev/v1\nname: t\n"
FULL = limits.MAX_BYTES


def survives(text: str) -> m.MappingDocument | None:
    """Read it; None if it was refused properly. All else fails the test."""
    begun = time.thread_time()
    problems: tuple[m.Problem, ...] = ()
    try:
        return m.parse(text, "horror.yaml")
    except m.MappingError as refused:
        problems = refused.problems
    finally:
        assert time.thread_time() - begun < 1
    assert 1 <= len(problems) <= limits.MAX_PROBLEMS
    lines = sum(map(text.count, ("\n", "\r", "\x85", "\u2028", "\u2029")))
    for problem in problems:
        assert 1 <= problem.line <= lines + 2
        assert problem.column >= 1
        assert problem.message
        assert str(problem).isprintable()
    return None


def laughs() -> str:
    lines = ["a0: &a0 [x, x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    return "\n".join(lines)


def merge_chain() -> str:
    return "a: &a {k: v}\n" + "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 25))


def many_tables(number: int) -> str:
    cases = "".join(f"   - {{when: {{name: ['a*{n}?b*'], tags: {{t: [a{n}, b]}}}}, value: v}}\n" for n in range(200))
    return HEAD + "labels:\n" + "".join(f" k{n}:\n  cases:\n{cases}" for n in range(number))


HORRORS = {
    "billion laughs": laughs(),
    "merge chain": merge_chain(),
    "recursive alias": "a: &a [*a]",
    "open lists": "[" * FULL,
    "open fields": "{" * FULL,
    "nested keys": "? " * (FULL // 2),
    "nested dashes": "- " * (FULL // 2),
    "deep block": "\n".join(" " * depth + "a:" for depth in range(600)),
    "wide list": "[" + "a," * (FULL // 2 - 2) + "]",
    "many keys": "\n".join(f"k{number}: v" for number in range(20_000)),
    "one key, many times": "a: b\n" * 40_000,
    "open quote": "'" + "x" * (FULL - 2),
    "quotes": '"' * FULL,
    "long scalar": "a: " + "x" * (FULL - 4),
    "long number": "a: " + "1" * (FULL - 4),
    "long key": "x" * (FULL - 4) + ": a",
    "colons": "a: " * (FULL // 3),
    "blanks": " " * FULL,
    "tabs": "a:\t" * (FULL // 3),
    "lines": "\n" * FULL,
    "hashes": "#" * FULL,
    "percents": "%" * 1000,
    "commas": "," * 1000,
    "bangs": "! " * 1000,
    "block scalars": "a: |\n" + " x\n" * 60_000,
    "a python object": "!!python/object/apply:os.system ['true']",
    "a set": "!!set {a, b}",
    "omap": "!!omap [a: b]",
    "binary": "a: !!binary aGVsbG8=",
    "control characters": "a: \x1b[31m",
    "null": "\x00",
    "surrogate": "a: \ud83d",
    "emoji": "a: \U0001f4a5",
    "byte order marks": "\ufeff\ufeffa: b",
    "next line": "a: b\x85c: d\u2028e: f\u2029",
    "utf-16 text": EXAMPLE.encode("utf-16").decode("latin-1"),
    "not closed": EXAMPLE[:-40],
    "json": '{"apiVersion": "mapping.microseg.dev/v1", "name": "t", "labels": {"k": {"default": "d"}}}',
    "document ends": "...\n" * 1000,
    "document starts": "---\n" * 1000,
    "infinite number": "a: .inf\nb: .nan\nc: 190:20:30.15",
    "impossible date": "a: 2024-99-99",
    "everything null": "apiVersion:\nname:\nlabels:\ngroups:\ntests:\noverrides:\nowner:\n",
    "everything a list": "apiVersion: []\nname: []\nlabels: []\ngroups: []\ntests: []\noverrides: []\nowner: []\n",
    "everything fields": "apiVersion: {}\nname: {}\nlabels: {}\ngroups: {}\ntests: {}\noverrides: {}\nowner: {}\n",
    "many cases": many_tables(8),
    "many synonyms": HEAD
    + "labels:\n"
    + "".join(
        f" k{n}: {{fromTag: [t], normalize: [trim, lower], values: {{{', '.join(f'v{i}: w' for i in range(2000))}}}}}\n"
        for n in range(6)
    ),
    "many wrong expectations": HEAD
    + "labels: {k: {fromTag: [t], oneOf: ["
    + ", ".join(f"v{n}" for n in range(1900))
    + "]}}\ntests:\n"
    + "".join(f" - {{name: t, given: {{}}, labels: {{k: z{n}}}}}\n" for n in range(400)),
}


@pytest.mark.parametrize("name", HORRORS)
def test_a_horror_is_refused_or_read_and_always_within_a_second(name: str) -> None:
    survives(HORRORS[name])


def test_linting_a_very_large_mapping_ends() -> None:
    mapping = survives(many_tables(3))
    assert mapping is not None
    begun = time.thread_time()
    m.lint(mapping)
    assert time.thread_time() - begun < 5


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_refused_or_read(text: str) -> None:
    survives(text)


PIECES = st.sampled_from(
    [
        "a",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "? ",
        "&a ",
        "*a",
        "!!str ",
        "!x ",
        "|\n",
        ">-\n",
        "'",
        '"',
        "#",
        "%YAML 1.2\n",
        "---\n",
        "...\n",
        "<<: ",
        "~",
        "no",
        "010",
        "1.10",
        "2024-01-01",
        "=",
        "\t",
        "\\",
        "\\x00",
        "\x85",
        "labels:",
        "groups:",
        "tests:",
        "fromTag:",
        "oneOf:",
        "cases:",
        "when:",
        "tags:",
        "apiVersion: ",
        "name: ",
    ]
)


@settings(max_examples=80, deadline=None)
@given(st.lists(PIECES, max_size=60).map("".join))
def test_any_soup_of_yaml_is_refused_or_read(text: str) -> None:
    survives(text)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_damaged_mapping_is_refused_or_read(data: st.DataObject) -> None:
    text = EXAMPLE
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + data.draw(st.one_of(PIECES, st.text(max_size=5))) + text[end:]
    mapping = survives(text)
    if mapping is not None:
        m.lint(mapping, [])
        m.run_tests(mapping)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.text(max_size=12),
    st.sampled_from(["*", "linux", "keep", "default", "t", "v", "", "trim"]),
)
KEYS = st.sampled_from(
    [
        "apiVersion",
        "name",
        "owner",
        "labels",
        "overrides",
        "groups",
        "tests",
        "fromTag",
        "normalize",
        "values",
        "oneOf",
        "cases",
        "default",
        "onMiss",
        "when",
        "value",
        "tags",
        "notTags",
        "location",
        "os",
        "vmId",
        "reason",
        "until",
        "scope",
        "subscriptions",
        "given",
        "holds",
        "k",
    ]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.one_of(KEYS, SCALARS), inner, max_size=6)),
    max_leaves=25,
)


class Plain(yaml.SafeDumper):
    """Writes no anchors, which PyYAML makes of every object that it meets twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return data is not self


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, TREES, max_size=7))
@example({"labels": {"k": {"cases": [{"when": {"tags": [], "os": {}}, "value": []}]}}})
def test_any_tree_in_the_languages_own_words_is_refused_or_read(tree: dict[str, object]) -> None:
    head = {"apiVersion": "mapping.microseg.dev/v1", "name": "t", "labels": {}}
    survives(yaml.dump(head | tree, Dumper=Plain, allow_unicode=True))
