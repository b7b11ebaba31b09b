"""What holds for every mapping and every host."""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import itertools
import json
import random
import re
import time
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from microseg import mapping as m
from microseg.mapping.evaluator import CompiledTable
from microseg.mapping.groups import LabelState
from microseg.mapping.matching import Glob, HostIndex, all_hold, normalizer, questions
from microseg.mapping.reachability import condition, taken_by

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
VM = "5b8b0a44-6a0e-4a6e-9a60-0123456789ab"
WORDS = ["x", "y", "X", "prod "]
TAGS = ["a", "b", "C"]


def some(of: list[str], least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(of), min_size=least, max_size=3, unique=True)


VALUES = st.one_of(some(WORDS), st.just(["*"]))
WHEN: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "tags": st.dictionaries(st.sampled_from(TAGS), VALUES, min_size=1, max_size=2),
        "notTags": st.dictionaries(st.sampled_from(TAGS), VALUES, min_size=1, max_size=2),
        "name": st.one_of(some(["n*", "?1", "n1", "*2*"]), st.just(["*"])),
        "location": some(["l1", "l2"]),
        "os": some(["linux", "windows"]),
    },
).filter(bool)
CASES = st.lists(st.fixed_dictionaries({"when": WHEN, "value": st.sampled_from(["V1", "V2"])}), max_size=5)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    table: dict[str, Any] = {
        "normalize": draw(st.lists(st.sampled_from(["trim"]), max_size=1)),
        "cases": draw(CASES),
        "onMiss": draw(st.sampled_from(["hold", "keep", "remove", "default"])),
    }
    if draw(st.booleans()) or not table["cases"]:
        table |= {
            "fromTag": draw(some(TAGS)),
            "oneOf": ["V1", "V2", "x"],
            "values": draw(st.dictionaries(st.sampled_from(["X", "y"]), st.sampled_from(["V1", "V2"]), max_size=2)),
        }
    if table["onMiss"] == "default":
        table["default"] = "V2"
    return table


GROUPS = st.lists(
    st.tuples(
        WHEN, st.dictionaries(st.sampled_from(["k1", "k2"]), st.sampled_from([["V1"], ["V2", "x"], ["*"]]), max_size=2)
    ),
    max_size=4,
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    groups = [
        {"name": f"g{number}", "when": when | ({"labels": labels} if labels else {})}
        for number, (when, labels) in enumerate(draw(GROUPS))
    ]
    overrides = [
        {
            "vmId": VM,
            "labels": {"k1": "V2"},
            "reason": "r",
            "until": draw(st.sampled_from(["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"])),
        }
    ]
    labels = {"k1": draw(tables()), "k2": draw(tables())}
    document = {"apiVersion": "mapping.microseg.dev/v1", "name": "t", "labels": labels, "groups": groups}
    has_value = any(case["value"] == "V2" for case in labels["k1"]["cases"]) or "fromTag" in labels["k1"]
    return document | ({"overrides": overrides} if has_value else {})


HOSTS = st.builds(
    m.Subject,
    name=st.sampled_from(["n1", "N2", "z"]),
    location=st.sampled_from(["l1", "L2", "l3"]),
    resource_group=st.just("rg"),
    subscription=st.just("s"),
    os=st.sampled_from(["linux", "windows"]),
    tags=st.dictionaries(
        st.sampled_from(["a", "A", "b", "c", "z"]), st.sampled_from(["", "x", "X", " y", "V1", "q"])
    ).map(lambda tags: tuple(tags.items())),
    vm_id=st.sampled_from([VM, "another"]),
)
CURRENT = st.one_of(st.none(), st.dictionaries(st.sampled_from(["k1", "k2", "other"]), st.sampled_from(["V1", "x"])))


def shuffled(tree: Any, seed: random.Random, key: str = "") -> Any:
    """The same document written otherwise: keys in another order, and lists where order means nothing."""
    if isinstance(tree, dict):
        entries = list(tree.items())
        seed.shuffle(entries)
        return {name: shuffled(part, seed, name) for name, part in entries}
    if isinstance(tree, list):
        parts = [shuffled(part, seed) for part in tree]
        if key not in {"cases", "fromTag"}:
            seed.shuffle(parts)
        return parts
    return tree


class Plain(yaml.SafeDumper):
    """Writes no anchors, which PyYAML makes of every object that it meets twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return data is not self


def read(document: dict[str, Any]) -> m.MappingDocument:
    return m.parse(json.dumps(document), "t.yaml")


@settings(max_examples=25, deadline=None)
@given(documents(), HOSTS, CURRENT, st.randoms(use_true_random=False))
def test_the_answer_depends_on_nothing_but_the_meaning(
    document: dict[str, Any], host: m.Subject, current: dict[str, str] | None, seed: random.Random
) -> None:
    first = read(document)
    written = yaml.dump(shuffled(document, seed), Dumper=Plain, sort_keys=False, default_flow_style=False)
    other = m.parse("# moved\n" + written, "other.yaml")
    tags = list(host.tags)
    seed.shuffle(tags)
    moved = dataclasses.replace(host, tags=tuple(tags))
    assert first.digest == other.digest
    answer = m.evaluate(first, host, current=current, now=NOW)
    assert m.evaluate(other, moved, current=current, now=NOW) == answer
    assert m.Evaluator(first).evaluate(host, current=current, now=NOW) == answer
    assert m.explain(first, host, current=current, now=NOW) == m.explain(other, moved, current=current, now=NOW)


@settings(max_examples=25, deadline=None)
@given(documents(), st.lists(HOSTS, min_size=1, max_size=8), CURRENT)
def test_every_host_gets_one_answer_a_key_and_one_a_group(
    document: dict[str, Any], hosts: list[m.Subject], current: dict[str, str] | None
) -> None:
    mapping = read(document)
    for host in hosts:
        answer = m.evaluate(mapping, host, current=current, now=NOW)
        assert [label.key for label in answer.labels] == ["k1", "k2"]
        assert [group.name for group in answer.groups] == sorted(group.name for group in mapping.groups)
        assert m.Evaluator(mapping).evaluate(host, current=current, now=NOW) == answer  # it remembered nothing wrong
        assert (
            answer.undecided == any(isinstance(label, m.Miss) for label in answer.labels) == bool(answer.miss_message)
        )
        for label in answer.labels:
            if isinstance(label, m.Value):
                assert label.value in mapping.tables[label.key].allowed
        if not answer.undecided and current is not None:
            assert all(group.member is not None for group in answer.groups)
        lines = m.explain(mapping, host, current=current, now=NOW)
        assert len(lines) == 2 + len(answer.groups) + len(answer.warnings)
        for group, line in zip(answer.groups, lines[2:], strict=False):
            told = {True: "member <-", False: "not a member", None: "unchanged"}[group.member]
            assert line.startswith(f"group {group.name}: {told}")


@settings(max_examples=25, deadline=None)
@given(documents(), HOSTS, st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8)))
def test_tags_that_no_rule_reads_change_nothing(
    document: dict[str, Any], host: m.Subject, more: dict[str, str]
) -> None:
    mapping = read(document)
    unread = tuple((f"unread-{key}", value) for key, value in more.items())
    other = dataclasses.replace(host, tags=(*unread, *host.tags))
    expected = m.evaluate(mapping, host, current=None, now=NOW)
    assert m.Evaluator(mapping).evaluate(other, current=None, now=NOW) == expected


@settings(max_examples=25, deadline=None)
@given(documents(), st.dictionaries(st.sampled_from(["k1", "k2"]), st.sampled_from(["V1", "x"])))
def test_a_host_that_no_rule_touches_keeps_everything(document: dict[str, Any], current: dict[str, str]) -> None:
    for table in document["labels"].values():
        table.pop("default", None)
        table["onMiss"] = "keep"
        table["cases"] = [case for case in table["cases"] if "tags" in case["when"]]
        if not table["cases"]:
            table |= {"fromTag": ["a"], "oneOf": ["V1", "V2"]}
    document.pop("overrides", None)
    mapping = read(document)
    bare = m.Subject("z", "l3", "rg", "s", "linux", (), "another")
    answer = m.evaluate(mapping, bare, current=current, now=NOW)
    assert answer.labels == (m.Keep("k1"), m.Keep("k2"))
    assert LabelState.of(answer.labels, current).values == current
    unread = m.evaluate(mapping, bare, current=None, now=NOW)
    for known, unknown in zip(answer.groups, unread.groups, strict=True):
        assert unknown.member in (None, known.member)


@settings(max_examples=60, deadline=None)
@given(st.lists(WHEN, min_size=2, max_size=5), HOSTS)
def test_what_lint_calls_unreachable_no_host_reaches(conditions: list[dict[str, Any]], host: m.Subject) -> None:
    rows = [{"when": when, "value": "V"} for when in conditions]
    mapping = read(
        {"apiVersion": "mapping.microseg.dev/v1", "name": "t", "labels": {"k": {"cases": rows, "normalize": ["trim"]}}}
    )
    cases = [questions(case.when, normalizer(mapping.tables["k"].normalize)) for case in mapping.tables["k"].cases]
    sorted_cases = [condition(asked) for asked in cases]
    index = HostIndex(host, m.Evaluator(mapping).tags(host)[0])
    for number in range(1, len(cases)):
        takers = taken_by(sorted_cases[number], sorted_cases[:number])
        if takers and all_hold(cases[number], index):
            assert any(all_hold(cases[taker], index) for taker in takers)


@settings(max_examples=25, deadline=None)
@given(documents(), HOSTS)
def test_a_case_answers_exactly_where_its_questions_hold(document: dict[str, Any], host: m.Subject) -> None:
    mapping = read(document)
    table = CompiledTable(mapping.tables["k1"])
    index = HostIndex(host, m.Evaluator(mapping).tags(host)[0])
    holding = [each for each in table.cases if all_hold(each.questions, index)]
    assert (table.rule(index).source is holding[0]) if holding else (table.rule(index).source not in table.cases)


@settings(max_examples=200, deadline=None)
@given(st.text("ab*?", max_size=9), st.text("ab", max_size=9))
def test_a_glob_matches_what_the_shell_would(pattern: str, text: str) -> None:
    assert Glob.of(pattern).matches(text) is (re.match(fnmatch.translate(pattern), text) is not None)


def test_a_hostile_glob_and_name_take_no_time() -> None:
    begun = time.thread_time()
    for pattern in ("*a" * 128 + "b", "*?a" * 85, "*" * 256, "?*" * 128):
        Glob.of(pattern).matches("a" * 256)
    assert time.thread_time() - begun < 0.5


def test_ten_thousand_hosts_are_evaluated_within_a_second() -> None:
    mapping = m.parse(
        """\
apiVersion: mapping.microseg.dev/v1
name: t
labels:
  app: {fromTag: [app], normalize: [trim, lower], values: {so: ServiceOrchestrate}, oneOf: [sap, shop], onMiss: keep}
  env: {fromTag: [env], oneOf: [Prod, Dev], default: Dev}
  loc: {cases: [{when: {location: [l1]}, value: AU}], default: Elsewhere}
  role: {cases: [{when: {tags: {rol: [web]}}, value: Web}, {when: {name: ['*-db*']}, value: Db}], onMiss: keep}
groups:
  - {name: SO, when: {labels: {app: [ServiceOrchestrate]}}}
  - {name: db, when: {labels: {role: [Db]}, notTags: {x: ['*']}}}
""",
        "t",
    )
    tags = itertools.product(["so", "SAP", "shop", "?"], ["Prod", "Dev", ""], ["web", "app"])
    combinations = [(("app", app), ("env", env), ("rol", rol), ("n1", "1"), ("n2", "2")) for app, env, rol in tags]
    hosts = [
        m.Subject(
            f"host-{'db' if number % 7 else 'x'}{number}",
            f"l{number % 3}",
            "rg",
            "s",
            "linux",
            combinations[number % len(combinations)],
            f"vm{number}",
        )
        for number in range(10_000)
    ]
    evaluator = m.Evaluator(mapping)
    begun = time.thread_time()
    answers = [evaluator.evaluate(host, current=None, now=NOW) for host in hosts]
    assert time.thread_time() - begun < 1
    assert len(answers) == 10_000
