"""Each line of the language's meaning, for groups."""

from __future__ import annotations

import datetime

import pytest

from microseg import mapping as m

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
LABELS = """\
apiVersion: mapping.microseg.dev/v1
name: t
labels:
  env: {fromTag: [env], oneOf: [Prod, Dev], onMiss: remove}
  role: {fromTag: [role], oneOf: [Web], onMiss: keep}
"""


def host(tags: dict[str, str], **fields: str) -> m.Subject:
    empty = dict.fromkeys(("name", "location", "resource_group", "subscription", "os", "vm_id"), "")
    return m.Subject(tags=tuple(tags.items()), **(empty | fields))


def member(group: str, subject: m.Subject, current: dict[str, str] | None = None) -> bool | None:
    mapping = m.parse(f"{LABELS}groups: [{{name: g, {group}}}]", "t.yaml")
    (answer,) = m.evaluate(mapping, subject, current=current, now=NOW).groups
    return answer.member


@pytest.mark.parametrize(
    ("group", "subject", "current", "expected"),
    [
        ("when: {tags: {a: [x]}}", host({"A": "x"}), None, True),
        ("when: {tags: {a: [x]}}", host({"a": "X"}), None, False),
        ("when: {tags: {a: [x]}}, normalize: [trim, lower]", host({"a": " X"}), None, True),
        ("when: {notTags: {a: ['*']}, os: [linux]}", host({}, os="linux"), None, True),
        ("when: {labels: {env: [Prod]}}", host({"env": "Prod"}), None, True),
        ("when: {labels: {env: [Prod]}}", host({"env": "Dev"}), None, False),
        ("when: {labels: {env: [Prod, Dev]}}", host({"env": "Dev"}), None, True),
        ("when: {labels: {env: ['*']}}", host({"env": "Dev"}), None, True),
        ("when: {labels: {env: ['*']}}", host({}), {"env": "Prod"}, False),
        ("when: {labels: {env: [Prod]}}", host({"env": "Dev"}), {"env": "Prod"}, False),
        ("when: {labels: {role: [Web]}}", host({"role": "Web"}), None, True),
        ("when: {labels: {role: [Web]}}", host({}), None, None),
        ("when: {labels: {role: [Web]}}", host({}), {}, False),
        ("when: {labels: {role: [Web]}}", host({}), {"role": "Web"}, True),
        ("when: {labels: {role: [Web]}}", host({}), {"role": "Db"}, False),
        ("when: {labels: {role: [ByHand]}}", host({}), {"role": "ByHand"}, True),
        ("when: {labels: {role: [byhand]}}", host({}), {"role": "BYHAND"}, True),
        ("when: {labels: {env: [PROD]}}", host({"env": "Prod"}), None, True),
        ("when: {labels: {role: ['*']}}", host({}), {"role": "Db"}, True),
        ("when: {labels: {role: ['*']}}", host({}), None, None),
        ("when: {labels: {role: [Web], env: [Prod]}}", host({"env": "Dev"}), None, False),
        ("when: {labels: {role: [Web], env: [Prod]}}", host({"env": "Prod"}), None, None),
        ("when: {labels: {role: [Web]}, tags: {a: [x]}}", host({}), None, False),
        ("when: {os: [linux]}, scope: {subscriptions: [S1, s2]}", host({}, os="linux", subscription="s1"), None, True),
        ("when: {os: [linux]}, scope: {subscriptions: [s1]}", host({}, os="linux", subscription="s2"), None, False),
        ("when: {os: [linux]}, scope: {subscriptions: [s1]}", host({}, subscription="s1"), None, False),
    ],
)
def test_a_group_is_a_question_of_tags_place_and_the_labels_just_decided(
    group: str, subject: m.Subject, current: dict[str, str] | None, expected: bool | None
) -> None:
    assert member(group, subject, current) is expected


def test_every_yes_joins_and_groups_are_answered_by_name() -> None:
    mapping = m.parse(f"{LABELS}groups:\n- {{name: b, when: {{os: [linux]}}}}\n- {{name: a, when: {{os: ['*']}}}}", "t")
    answer = m.evaluate(mapping, host({}, os="linux"), current={}, now=NOW)
    assert answer.groups == (m.GroupAnswer("a", True), m.GroupAnswer("b", True))
