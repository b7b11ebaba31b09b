"""What `explain` says, and that it is what `evaluate` does."""

from __future__ import annotations

import datetime

import pytest

from microseg import mapping as m

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
VM = "5b8b0a44-6a0e-4a6e-9a60-0123456789ab"


def told(body: str, tags: dict[str, str], current: dict[str, str] | None = None, **fields: str) -> list[str]:
    mapping = m.parse(f"apiVersion: mapping.microseg.dev/v1\nname: t\n{body}", "t.yaml")
    empty = dict.fromkeys(("name", "location", "resource_group", "subscription", "os", "vm_id"), "")
    subject = m.Subject(tags=tuple(tags.items()), **(empty | fields))
    lines = m.explain(mapping, subject, current=current, now=NOW)
    return [line.replace(f" (t@{mapping.shown})", "") for line in lines]


ENV = "labels: {env: {fromTag: [Environment], normalize: [lower], values: {prd: Prod}, oneOf: [Prod, Dev]%s}}"


@pytest.mark.parametrize(
    ("body", "tags", "current", "expected"),
    [
        (ENV % "", {"environment": "PRD"}, None, 'env = Prod <- tag environment="PRD" -> values prd'),
        (
            ENV % "",
            {"Environment": "x"},
            None,
            'env waits for a person <- onMiss hold: no rule knows tag Environment="x"',
        ),
        (ENV % "", {}, None, "env waits for a person <- onMiss hold: the VM has no tag Environment"),
        (
            ENV % ", onMiss: keep",
            {},
            None,
            "env is kept (the PCE has not been read) <- onMiss keep: the VM has no tag Environment",
        ),
        (
            ENV % ", onMiss: keep",
            {},
            {},
            "env is kept (the PCE has none) <- onMiss keep: the VM has no tag Environment",
        ),
        (
            ENV % ", onMiss: keep",
            {},
            {"env": "QA"},
            'env is kept ("QA" in the PCE) <- onMiss keep: the VM has no tag Environment',
        ),
        (ENV % ", onMiss: remove", {}, None, "env is removed <- onMiss remove: the VM has no tag Environment"),
        (ENV % ", default: Dev", {}, None, "env = Dev <- default: the VM has no tag Environment"),
        (
            "labels: {k: {cases: [{when: {os: [linux]}, value: v}], default: d}}",
            {},
            None,
            'k = d <- default: no case matches; not case k#1: os "", not linux',
        ),
        (
            "labels: {k: {cases: [{when: {notTags: {a: [x]}, resourceGroup: ['rg*', b]}, value: v}], default: d}}",
            {"A": "x"},
            None,
            'k = d <- default: no case matches; not case k#1: tag A="x" is excluded',
        ),
        (
            (
                "labels: {k: {cases: [{when: {tags: {a: ['*']}}, value: v}, {when: {tags: {a: [x, y, z]}}, value: w}],"
                " fromTag: [a], default: d}}"
            ),
            {"a": "q"},
            None,
            'k = v <- case k#1: tag a="q"; not case k#2: tag a="q", not x, y or z; tag a="q" was not asked',
        ),
        (
            "labels: {k: {cases: [{when: {tags: {a: ['*']}}, value: v}, {when: {tags: {a: [q]}}, value: w}]}}",
            {"a": "q"},
            None,
            'k = v <- case k#1: tag a="q"; not case k#2: it holds, but comes later',
        ),
    ],
)
def test_a_key_is_one_line_with_its_winner_and_why_others_lost(
    body: str, tags: dict[str, str], current: dict[str, str] | None, expected: str
) -> None:
    assert told(body, tags, current) == [expected]


def test_a_long_list_of_values_is_cut() -> None:
    body = "labels: {k: {cases: [{when: {tags: {a: [b, c, d, e, f, g, h, i]}}, value: v}], default: x}}"
    (line,) = told(body, {"a": "z"})
    assert line.endswith('not case k#1: tag a="z", not b, c, d, e, f, g or 2 more')


def test_a_glob_that_matched_is_named() -> None:
    body = "labels: {k: {cases: [{when: {name: [x, 'a?', '*-DB*']}, value: v}]}}"
    assert told(body, {}, name="my-db1") == ['k = v <- case k#1: name "my-db1" matches *-db*']


def test_an_override_shows_reason_and_end_and_what_it_beats() -> None:
    body = (
        f"labels: {{env: {{fromTag: [env], oneOf: [Prod, Dev], cases: [{{when: {{os: [linux]}}, value: Dev}}]}},"
        " loc: {default: AU}}\n"
        f"overrides:\n- {{vmId: {VM}, labels: {{env: Prod}}, reason: CHG-1, until: 2027-01-31T00:00:00+11:00}}\n"
        f"- {{vmId: {VM}, labels: {{loc: AU}}, reason: CHG-2, until: 2026-01-01T00:00:00Z}}"
    )
    assert told(body, {"env": "Dev"}, vm_id=VM, os="linux") == [
        (
            'env = Prod <- override until 2027-01-31T00:00:00+11:00, "CHG-1"; '
            "not case env#1: it holds, but comes later; "
            'tag env="Dev" was not asked'
        ),
        "loc = AU <- default: no case matches; not AU: its override ended 2026-01-01T00:00:00+00:00",
    ]


def test_a_long_list_of_losers_is_cut() -> None:
    cases = ", ".join(f"{{when: {{name: [n{number}]}}, value: v}}" for number in range(30))
    (line,) = told(f"labels: {{k: {{cases: [{cases}], default: d}}}}", {})
    assert line.endswith('not case k#8: name "", not n7; and 22 more')


GROUP = "labels: {env: {fromTag: [env], oneOf: [Prod, Dev], onMiss: %s}}\ngroups: [{name: g, when: {%s}}]"


@pytest.mark.parametrize(
    ("on_miss", "when", "tags", "current", "expected"),
    [
        (
            "hold",
            "tags: {a: [x]}, labels: {env: [Prod]}",
            {"a": "x", "env": "Prod"},
            None,
            'group g: member <- tag a="x" and label env="Prod"',
        ),
        ("hold", "tags: {a: [x]}", {"a": "y", "env": "Prod"}, None, 'group g: not a member: tag a="y", not x'),
        ("hold", "tags: {a: [x]}", {"a": "x"}, None, 'group g: member <- tag a="x"'),
        ("hold", "labels: {env: [Prod]}", {"env": "Dev"}, None, 'group g: not a member: label env="Dev", not Prod'),
        ("remove", "labels: {env: [Prod]}", {}, None, "group g: not a member: label env is absent"),
        (
            "keep",
            "labels: {env: [Prod]}, os: ['*']",
            {},
            None,
            "group g: unchanged for now: label env is kept and the PCE has not been read",
        ),
        (
            "hold",
            "labels: {env: [Prod]}",
            {"a": "x"},
            None,
            "group g: unchanged while the labels wait: env: the VM has no tag env",
        ),
    ],
)
def test_a_group_is_one_line_with_its_reason(
    on_miss: str, when: str, tags: dict[str, str], current: dict[str, str] | None, expected: str
) -> None:
    assert told(GROUP % (on_miss, when), tags, current, os="linux")[1:] == [expected]


def test_warnings_come_last_and_nothing_of_a_tag_can_steer_a_terminal() -> None:
    lines = told(ENV % "", {"environment": "\x1b[2J", "ENVIRONMENT": "\x1b[2J\n"})
    assert lines[-1] == "warning: tag keys that differ only in case from ENVIRONMENT are ignored"
    assert all(line.isprintable() for line in lines)


def test_a_tag_key_that_turns_the_line_around_is_shown_escaped() -> None:
    body = "labels: {k: {fromTag: [%s], oneOf: [x]}, l: {cases: [{when: {tags: {%s: [x]}}, value: v}]}}" % (
        ('"a\\u202e"',) * 2
    )
    for tags in ({}, {"a\u202e": "y"}, {"A\u202e": "x"}, {"A\u202e": "x", "a\u202e": "x"}):
        lines = told(body, tags)
        assert all(line.isprintable() for line in lines)
        assert "\\u202e" in lines[0]
