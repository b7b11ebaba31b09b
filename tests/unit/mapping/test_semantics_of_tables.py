"""Each line of the language's meaning, for labels."""

from __future__ import annotations

import datetime

import pytest

from microseg import mapping as m

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
VM = "5b8b0a44-6a0e-4a6e-9a60-0123456789ab"


def read(body: str) -> m.MappingDocument:
    return m.parse(f"apiVersion: mapping.microseg.dev/v1\nname: t\n{body}", "t.yaml")


def host(tags: dict[str, str] | tuple[tuple[str, str], ...] = (), **fields: str) -> m.Subject:
    pairs = tuple(tags.items()) if isinstance(tags, dict) else tags
    empty = dict.fromkeys(("name", "location", "resource_group", "subscription", "os", "vm_id"), "")
    return m.Subject(tags=pairs, **(empty | fields))


def label(body: str, subject: m.Subject, *, now: datetime.datetime = NOW) -> m.LabelAnswer:
    """What the table `k` of `body` (its fields, in flow style) says."""
    (answer,) = m.evaluate(read(f"labels: {{k: {body}}}"), subject, current=None, now=now).labels
    return answer


def holds(when: str, subject: m.Subject, normalize: str = "") -> bool:
    answer = label(f"{{{normalize} cases: [{{when: {when}, value: V}}], onMiss: keep}}", subject)
    return isinstance(answer, m.Value)


@pytest.mark.parametrize(
    ("when", "subject", "expected"),
    [
        ("{tags: {a: [x]}}", host({"a": "x"}), True),
        ("{tags: {a: [x]}}", host({"a": "X"}), False),
        ("{tags: {a: [x]}}", host({"a": " x"}), False),
        ("{tags: {a: [x]}}", host({"A": "x"}), True),
        ("{tags: {a: [x]}}", host(), False),
        ("{tags: {a: ['']}}", host({"a": ""}), True),
        ("{tags: {a: [x, y]}}", host({"a": "y"}), True),
        ("{tags: {a: [x], b: [y]}}", host({"a": "x"}), False),
        ("{tags: {a: [x], b: [y]}}", host({"a": "x", "b": "y"}), True),
        ("{tags: {a: ['*']}}", host({"a": ""}), True),
        ("{tags: {a: ['*']}}", host({"b": "x"}), False),
        ("{tags: {a: ['x*']}}", host({"a": "xy"}), False),
        ("{tags: {a: ['x*']}}", host({"a": "x*"}), True),
        ("{notTags: {a: [x]}}", host({"a": "x"}), False),
        ("{notTags: {a: [x]}}", host({"a": "y"}), True),
        ("{notTags: {a: [x]}}", host(), True),
        ("{notTags: {a: ['*']}}", host({"A": ""}), False),
        ("{notTags: {a: ['*']}}", host(), True),
        ("{tags: {a: [x]}, notTags: {b: ['*']}}", host({"a": "x", "b": ""}), False),
        ("{name: [web1]}", host(name="WEB1"), True),
        ("{name: ['web*']}", host(name="web-1"), True),
        ("{name: ['*-db?']}", host(name="x-db7"), True),
        ("{name: ['*-db?']}", host(name="x-db"), False),
        ("{name: ['*']}", host(name="x"), True),
        ("{name: ['*']}", host(), False),
        ("{name: ['a*', 'b*'], location: [here]}", host(name="b1", location="Here"), True),
        ("{name: ['a*', 'b*'], location: [here]}", host(name="b1", location="there"), False),
        ("{location: [australiaeast]}", host(location="AustraliaEast"), True),
        ("{location: [australiaeast]}", host(location="australiaeast2"), False),
        ("{resourceGroup: ['rg-prod-*']}", host(resource_group="RG-PROD-1"), True),
        ("{subscription: [ABC-1]}", host(subscription="abc-1"), True),
        ("{os: [windows]}", host(os="Windows"), True),
        ("{os: [linux, windows]}", host(os="linux"), True),
        ("{os: [linux]}", host(os="windows"), False),
    ],
)
def test_parts_of_when_are_anded_and_values_are_ored(when: str, subject: m.Subject, expected: bool) -> None:
    assert holds(when, subject) is expected


def test_values_are_compared_after_normalize_on_both_sides() -> None:
    assert holds("{tags: {a: [Web Server]}}", host({"a": " wEB sERVER "}), "normalize: [trim, lower],")
    assert not holds("{tags: {a: [web]}}", host({"a": "WEB"}), "normalize: [trim],")
    assert not holds("{tags: {a: [web]}}", host({"a": " web"}), "normalize: [lower],")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"app": "svc"}, m.Value("k", "Service", "values svc")),
        ({"app": "Service"}, m.Value("k", "Service", "value Service")),
        ({"app": "Listed"}, m.Value("k", "Listed", "oneOf Listed")),
        ({"app": "Fallback"}, m.Value("k", "Fallback", "value Fallback")),
        ({"app": "FromCase"}, m.Value("k", "FromCase", "value FromCase")),
        ({"APP": "svc"}, m.Value("k", "Service", "values svc")),
        ({"app": "svc", "Application": "Listed"}, m.Value("k", "Listed", "oneOf Listed")),
        ({"app": "svc", "application": "unknown"}, m.Value("k", "Fallback", "default")),
        ({"app": "service"}, m.Value("k", "Fallback", "default")),
        ({}, m.Value("k", "Fallback", "default")),
        ({"app": ""}, m.Value("k", "Fallback", "default")),
        ({"c": "1", "app": "svc"}, m.Value("k", "FromCase", "c")),
    ],
)
def test_the_first_tag_present_is_looked_up_among_all_values_of_the_table(
    tags: dict[str, str], expected: m.LabelAnswer
) -> None:
    body = (
        "{fromTag: [Application, app], values: {svc: Service}, oneOf: [Listed, Service2],"
        " cases: [{name: c, when: {tags: {c: ['1']}}, value: FromCase}], default: Fallback, onMiss: default}"
    )
    assert label(body, host(tags)) == expected


def test_a_synonym_goes_before_a_labels_own_name() -> None:
    assert label("{fromTag: [t], values: {sap: ERP}, oneOf: [sap, ERP]}", host({"t": "sap"})) == m.Value(
        "k", "ERP", "values sap"
    )


def test_an_empty_tag_value_can_have_a_synonym() -> None:
    assert label("{fromTag: [t], values: {'': None}}", host({"t": ""})) == m.Value("k", "None", "values ")


@pytest.mark.parametrize(
    ("body", "tags", "expected"),
    [
        ("{fromTag: [a, b], oneOf: [x], onMiss: hold}", {"B": "q"}, m.Miss("k", "B", "q")),
        ("{fromTag: [a, b], oneOf: [x], onMiss: hold}", {}, m.Miss("k", "a or b", None)),
        ("{fromTag: [a, b], oneOf: [x]}", {}, m.Miss("k", "a or b", None)),
        ("{cases: [{when: {os: [linux]}, value: v}], onMiss: hold}", {}, m.Miss("k", "", None)),
        ("{fromTag: [a], oneOf: [x], onMiss: keep}", {"a": "q"}, m.Keep("k")),
        ("{fromTag: [a], oneOf: [x], onMiss: remove}", {"a": "q"}, m.Remove("k")),
        ("{fromTag: [a], oneOf: [x], default: d, onMiss: default}", {"a": "q"}, m.Value("k", "d", "default")),
        ("{fromTag: [a], oneOf: [x], default: d}", {}, m.Value("k", "d", "default")),
        ("{fromTag: [a], oneOf: [x], default: d, onMiss: keep}", {}, m.Keep("k")),
        ("{default: d}", {}, m.Value("k", "d", "default")),
    ],
)
def test_a_miss_is_answered_by_on_miss(body: str, tags: dict[str, str], expected: m.LabelAnswer) -> None:
    assert label(body, host(tags)) == expected


def test_a_tags_value_never_becomes_a_label_that_the_table_does_not_name() -> None:
    answer = label("{fromTag: [a], oneOf: [x], onMiss: hold}", host({"a": "$(reboot)"}))
    assert answer == m.Miss("k", "a", "$(reboot)")


def test_a_held_host_names_every_key_and_tag_that_misses() -> None:
    mapping = read(
        "labels: {a: {fromTag: [t], oneOf: [x]}, b: {fromTag: [u, v], oneOf: [x]},"
        " c: {cases: [{when: {os: [linux]}, value: v}]}, d: {default: v}}\n"
        "groups: [{name: g, when: {os: [windows]}}]"
    )
    answer = m.evaluate(mapping, host({"t": "bad\x1b[0m" + "x" * 99}, os="windows"), current={}, now=NOW)
    assert answer.undecided
    assert answer.miss_message.startswith('a: no rule knows tag t="bad\\x1b[0mxxx')
    assert answer.miss_message.endswith('…"; b: the VM has no tag u or v; c: no case matches')
    assert answer.labels[3] == m.Value("d", "v", "default")


@pytest.mark.parametrize(
    ("when", "member"),
    [
        ("tags: {quarantine: ['yes']}", True),
        ("tags: {quarantine: ['no']}", False),
        ("labels: {env: [Prod]}, os: [linux]", True),
        ("labels: {app: [x]}", None),
        ("tags: {T: [x]}", None),
        ("tags: {u: [x]}", None),
        ("notTags: {t: [y]}, os: [linux]", None),
        ("labels: {role: [web]}", None),
    ],
)
def test_a_held_host_joins_and_leaves_only_groups_that_no_correction_can_answer_otherwise(
    when: str, *, member: bool | None
) -> None:
    """The label app misses; its table reads the tags t and u, and the table role reads t too."""
    mapping = read(
        "labels: {app: {fromTag: [t], oneOf: [x], cases: [{when: {tags: {u: [x]}}, value: x}]},"
        " env: {default: Prod}, role: {cases: [{when: {tags: {t: [x]}}, value: db}], default: web}}\n"
        f"groups: [{{name: g, when: {{{when}}}}}]"
    )
    subject = host({"t": "typo", "quarantine": "yes"}, os="linux")
    assert m.evaluate(mapping, subject, current={}, now=NOW).groups == (m.GroupAnswer("g", member),)


def test_the_first_case_that_holds_wins_and_is_named() -> None:
    mapping = read(
        "labels: {k: {cases: [{when: {os: [linux]}, value: A}, {name: two, when: {os: ['*']}, value: B},"
        " {name: three, when: {os: ['*']}, value: C}]}}"
    )
    assert m.evaluate(mapping, host(os="linux"), current=None, now=NOW).cases == ("k#1",)
    assert m.evaluate(mapping, host(os="windows"), current=None, now=NOW).cases == ("two",)


def test_of_two_tag_keys_that_differ_in_case_the_first_sorted_counts_and_a_warning_is_given() -> None:
    mapping = read("labels: {k: {fromTag: [env], oneOf: [a, b]}}")
    for pairs in ((("env", "a"), ("Env", "b"), ("ENV", "a")), (("ENV", "a"), ("env", "a"), ("Env", "b"))):
        answer = m.evaluate(mapping, host(pairs), current=None, now=NOW)
        assert answer.labels == (m.Value("k", "a", "oneOf a"),)
        assert answer.warnings == ("tag keys that differ only in case from ENV are ignored",)


def test_doubled_tag_keys_that_no_rule_reads_are_nobodys_business() -> None:
    mapping = read("labels: {k: {fromTag: [env], oneOf: [a]}}")
    assert m.evaluate(mapping, host((("x", "1"), ("X", "2"))), current=None, now=NOW).warnings == ()


OVERRIDDEN = (
    f"labels: {{env: {{fromTag: [env], oneOf: [Prod, Dev]}}, loc: {{default: AU}}}}\n"
    f"overrides: [{{vmId: {VM.upper()}, labels: {{env: Prod}}, reason: CHG-1,"
    " until: 2027-01-31T00:00:00+11:00}, "
    f"{{vmId: {VM}, labels: {{loc: AU}}, reason: CHG-2, until: '2026-01-01T00:00:00Z'}}]"
)
END = datetime.datetime(2027, 1, 30, 13, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("vm_id", "now", "expected"),
    [
        (VM, NOW, m.Value("env", "Prod", "override")),
        (VM.upper(), NOW, m.Value("env", "Prod", "override")),
        (VM, END - datetime.timedelta(microseconds=1), m.Value("env", "Prod", "override")),
        (VM, END, m.Value("env", "Dev", "oneOf Dev")),
        ("another", NOW, m.Value("env", "Dev", "oneOf Dev")),
    ],
)
def test_an_override_wins_over_every_rule_until_the_moment_it_ends(
    vm_id: str, now: datetime.datetime, expected: m.LabelAnswer
) -> None:
    answer = m.evaluate(read(OVERRIDDEN), host({"env": "Dev"}, vm_id=vm_id), current=None, now=now)
    assert answer.labels[0] == expected


def test_an_override_lifts_a_hold() -> None:
    mapping = read(OVERRIDDEN)
    assert not m.evaluate(mapping, host(vm_id=VM), current=None, now=NOW).undecided
    assert m.evaluate(mapping, host(vm_id=VM), current=None, now=END).undecided


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        m.evaluate(read("labels: {}"), host(), current=None, now=datetime.datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_mapping_without_rules_says_nothing_of_any_host() -> None:
    answer = m.evaluate(read("labels: {}"), host({"a": "b"}, name="x"), current=None, now=NOW)
    assert answer == m.Answer((), (), undecided=False, miss_message="", cases=(), warnings=())


def test_only_keys_with_a_table_are_owned() -> None:
    answer = m.evaluate(read("labels: {b: {default: x}, a: {default: y}}"), host(), current={"c": "z"}, now=NOW)
    assert [each.key for each in answer.labels] == ["a", "b"]


def test_an_evaluator_forgets_when_it_knows_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microseg.mapping.evaluator.MAX_CACHED", 3)
    evaluator = m.Evaluator(read("labels: {k: {fromTag: [t], oneOf: [x], onMiss: keep}}"))
    for number in range(10):
        evaluator.evaluate(host({"t": str(number)}), current=None, now=NOW)
        assert len(evaluator._cache) <= 3
