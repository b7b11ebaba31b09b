"""What lint finds, and what it leaves alone."""

from __future__ import annotations

import pytest

from microseg import mapping as m

HEAD = "apiVersion: mapping.microseg.dev/v1\nname: t\n"


def found(body: str, allowed: list[str] | None = None) -> list[str]:
    return [str(finding) for finding in m.lint(m.parse(HEAD + body, "t"), allowed)]


def cases(*conditions: str, normalize: str = "") -> list[str]:
    """Findings on a table with these conditions as cases a, b, c, ..."""
    rows = "".join(
        f"\n  - {{name: {name}, when: {{{when}}}, value: V}}" for name, when in zip("abcdef", conditions, strict=False)
    )
    return found(f"labels:\n k:\n  default: D\n  {normalize}\n  cases:{rows}\n")


@pytest.mark.parametrize(
    ("conditions", "takers"),
    [
        (["tags: {x: [p, q]}", "tags: {x: [q]}"], "a"),
        (["tags: {x: ['*']}", "tags: {x: [q]}"], "a"),
        (["tags: {x: ['*']}", "tags: {x: ['*'], y: [z]}"], "a"),
        (["os: [linux]", "os: [Linux], tags: {x: [q]}"], "a"),
        (["name: ['*']", "tags: {x: [q]}"], "a"),
        (["name: ['web*']", "name: [web1, 'WEB-?', 'web-*-x']"], "a"),
        (["name: ['a?']", "name: ['a?', ab]"], "a"),
        (["notTags: {x: [p]}", "notTags: {x: [p, q]}"], "a"),
        (["notTags: {x: [p]}", "notTags: {x: ['*']}"], "a"),
        (["notTags: {x: ['*']}", "notTags: {x: ['*']}"], "a"),
        (["notTags: {x: [p]}", "tags: {x: [q]}"], "a"),
        (["location: [l], notTags: {x: [p]}", "location: [l], tags: {x: [q]}"], "a"),
        (["tags: {x: [p]}", "tags: {x: [q]}", "tags: {x: [p, q]}"], "a and b"),
        (["location: [l]", "location: [m]", "os: [linux]", "location: [l, m], tags: {x: [q]}"], "a and b"),
        (["name: ['a*']", "name: ['b*']", "name: [a1, 'b?']"], "a and b"),
    ],
)
def test_a_case_that_earlier_ones_take_whole_is_unreachable(conditions: list[str], takers: str) -> None:
    last = "abcdef"[len(conditions) - 1]
    assert cases(*conditions) == [
        (
            f't:{7 + len(conditions)}:5: warning: k: case "{last}" is unreachable: every host it asks for is taken by '
            f"{takers} (move it up, or remove it)"
        )
    ]


@pytest.mark.parametrize(
    "conditions",
    [
        ["tags: {x: [p]}", "tags: {x: [p, q]}"],
        ["tags: {x: [p]}", "tags: {x: ['*']}"],
        ["tags: {x: [p], y: [z]}", "tags: {x: [p]}"],
        ["tags: {x: [p]}", "tags: {y: [p]}"],
        ["tags: {x: [p]}", "tags: {x: [P]}"],
        ["tags: {x: [p]}", "os: [linux]"],
        ["name: ['a?']", "name: ['a*']"],
        ["name: ['?b']", "name: ['*b']"],
        ["name: [ab]", "name: ['a*']"],
        ["name: ['a*']", "name: ['a*', b]"],
        ["name: [a]", "name: ['*']"],
        ["notTags: {x: [p, q]}", "notTags: {x: [p]}"],
        ["notTags: {x: ['*']}", "notTags: {x: [p]}"],
        ["notTags: {x: ['*']}", "tags: {x: [p]}"],
        ["notTags: {x: [p]}", "tags: {x: ['*']}"],
        ["notTags: {x: [p]}", "tags: {x: [p, q]}"],
        ["notTags: {x: [p]}", "os: [linux]"],
        ["tags: {x: [p]}, os: [linux]", "tags: {x: [q]}", "tags: {x: [p, q]}"],
        ["tags: {x: [p]}", "tags: {x: [q]}, notTags: {y: ['*']}", "tags: {x: [p, q]}"],
    ],
)
def test_a_case_that_some_host_can_reach_is_left_alone(conditions: list[str]) -> None:
    assert cases(*conditions) == []


def test_reachability_compares_after_normalize() -> None:
    (told,) = cases("tags: {x: [p]}", "tags: {x: [' P']}", normalize="normalize: [trim, lower]")
    assert 'case "b" is unreachable' in told


@pytest.mark.parametrize(
    "when",
    [
        "tags: {x: [p]}, notTags: {x: [p, q]}",
        "tags: {x: [p]}, notTags: {x: ['*']}",
        "tags: {x: ['*']}, notTags: {x: ['*']}",
    ],
)
def test_a_condition_that_contradicts_itself_is_told(when: str) -> None:
    assert cases(when) == ['t:8:5: warning: k: case "a" can never hold: tags and notTags contradict each other']
    assert found(f"labels: {{}}\ngroups: [{{name: g, when: {{{when}}}}}]") == [
        't:4:10: warning: group "g" can have no member: tags and notTags contradict each other'
    ]


@pytest.mark.parametrize(
    "when",
    [
        "tags: {x: [p]}, notTags: {x: [q]}",
        "tags: {x: ['*']}, notTags: {x: [q]}",
        "tags: {x: [p, q]}, notTags: {x: [q]}",
        "os: [linux], notTags: {x: [q]}",
    ],
)
def test_a_condition_that_can_hold_is_left_alone(when: str) -> None:
    assert cases(when) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "labels: {k: {fromTag: [t], values: {p: Prd}, oneOf: [Prod, Dev]}}",
            "t:3:40: warning: k: \"Prd\" is not in oneOf (did you mean 'Prod'?)",
        ),
        (
            "labels: {k: {cases: [{when: {os: [linux]}, value: X}], oneOf: [Prod]}}",
            't:3:51: warning: k: "X" is not in oneOf (known: Prod)',
        ),
        (
            "labels: {k: {fromTag: [t], oneOf: [Prod], default: X}}",
            't:3:52: warning: k: "X" is not in oneOf (known: Prod)',
        ),
        (
            "labels: {k: {fromTag: [t], oneOf: [Prod], default: Prod, onMiss: keep}}",
            "t:3:52: warning: k: the default is unused, because onMiss is keep (write onMiss: default, or remove it)",
        ),
        (
            "labels: {k: {fromTag: [t], oneOf: [Prod, PROD]}}",
            't:3:10: warning: k: the labels "Prod" and "PROD" differ only in case (keep one spelling)',
        ),
        (
            "labels: {k: {fromTag: [t], normalize: [lower], values: {prod: Prod}}}",
            't:3:63: warning: k: the synonym "prod" is unused: "Prod" is known by its own name',
        ),
        (
            "labels: {k: {fromTag: [t], normalize: [trim], values: {p: Prod, ' p': Prod}}}",
            't:3:71: warning: k: the synonym " p" is unused: "p" is the same after normalize',
        ),
        (
            "labels: {k: {fromTag: [t], oneOf: [Prod]}}\ngroups: [{name: g, when: {labels: {k: [Prod, Prd]}}}]",
            "t:4:46: warning: group \"g\" asks for k=Prd, which no rule sets (did you mean 'Prod'?)",
        ),
        (
            "labels: {k: {fromTag: [Env], cases: [{when: {notTags: {env: [x]}}, value: V}]}}",
            (
                't:3:56: warning: the tag keys "Env" and "env" differ only in case '
                "(they are one tag; spelled otherwise in line 3)"
            ),
        ),
        (
            "labels: {}\ngroups: [{name: g, when: {tags: {a: ['x*']}}}]",
            (
                't:4:38: warning: "x*" is compared with the tag as it is written (patterns work only in name and '
                "resourceGroup)"
            ),
        ),
    ],
)
def test_what_can_not_be_meant_is_told_at_its_place(body: str, expected: str) -> None:
    shown = found(body)
    assert shown == [expected]


def test_a_kept_label_may_have_any_value_in_the_pce() -> None:
    body = "labels: {k: {fromTag: [t], oneOf: [V], onMiss: keep}}\ngroups: [{name: g, when: {labels: {k: [W]}}}]"
    assert found(body) == []


def test_asking_for_any_value_of_a_label_is_fine() -> None:
    body = "labels: {k: {fromTag: [t], oneOf: [V]}}\ngroups: [{name: g, when: {labels: {k: ['*']}}}]"
    assert found(body) == []


def test_a_group_that_the_estate_does_not_allow_is_a_problem_and_not_a_warning() -> None:
    mapping = m.parse(f"{HEAD}labels: {{}}\ngroups: [{{name: az-wbe, when: {{os: [linux]}}}}]", "t")
    assert m.lint(mapping) == ()
    assert m.lint(mapping, ["az-wbe"]) == ()
    (near,) = m.lint(mapping, ["az-web", "SO"])
    assert isinstance(near, m.Problem)
    assert str(near) == "t:4:17: the estate does not allow the group \"az-wbe\" (did you mean 'az-web'?)"
    (none,) = m.lint(mapping, [])
    assert str(none) == 't:4:17: the estate does not allow the group "az-wbe" (see allowedGroups of the Estate)'


def test_a_warning_without_a_hint_is_one_plain_line() -> None:
    assert str(m.LintWarning("f", 1, 2, "odd")) == "f:1:2: warning: odd"
