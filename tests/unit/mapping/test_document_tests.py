"""The document's own tests."""

from __future__ import annotations

import pytest

from microseg import mapping as m

VM = "5b8b0a44-6a0e-4a6e-9a60-0123456789ab"
BODY = f"""\
apiVersion: mapping.microseg.dev/v1
name: t
labels:
  app: {{fromTag: [app], oneOf: [sap, shop]}}
  env: {{fromTag: [env], oneOf: [Prod, Dev], default: Dev}}
  role:
    cases: [{{when: {{name: ['db*'], os: [linux], resourceGroup: [rg], subscription: [s]}}, value: Db}}]
    onMiss: keep
overrides:
  - {{vmId: {VM}, labels: {{app: sap}}, reason: r, until: 2020-01-01T00:00:00Z}}
groups:
  - {{name: g, when: {{labels: {{env: [Prod]}}}}}}
  - {{name: h, when: {{labels: {{role: [Db, ByHand]}}}}}}
  - {{name: i, when: {{labels: {{app: [shop]}}}}}}
tests:
"""


def failures(test: str) -> list[str]:
    return [str(failure) for failure in m.run_tests(m.parse(f"{BODY}  - {{name: x, {test}}}\n", "t.yaml"))]


@pytest.mark.parametrize(
    "test",
    [
        "given: {tags: {app: sap}}, labels: {env: Dev}",
        "given: {tags: {app: sap}}, groups: []",
        "given: {tags: {app: sap}}, holds: []",
        "given: {tags: {app: sap, env: Prod}}, labels: {app: sap, env: Prod}, groups: [g]",
        "given: {name: DB1, os: linux, resourceGroup: RG, subscription: S, tags: {app: sap}}, groups: [h]",
        "given: {tags: {app: sap}, labels: {role: ByHand}}, groups: [h]",
        "given: {}, holds: [app]",
        "given: {}, groups: []",
        "given: {tags: {app: q}}, holds: [app], labels: {env: Dev}",
        f"given: {{vmId: {VM}}}, labels: {{app: sap}}, holds: []",
    ],
)
def test_what_is_expected_and_so_passes(test: str) -> None:
    assert failures(test) == []


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("given: {tags: {app: sap}}, labels: {env: Prod}", ['16:56: test "x": label env is Dev, expected Prod']),
        ("given: {}, labels: {app: sap}", ['16:40: test "x": label app is on hold, expected sap']),
        ("given: {tags: {app: sap}}, labels: {role: Db}", ['16:57: test "x": label role is absent, expected Db']),
        (
            "given: {tags: {app: sap, env: Prod}}, groups: [h]",
            [
                '16:53: test "x": the host is a member of group g',
                '16:53: test "x": the host is not a member of group h',
            ],
        ),
        ("given: {}, groups: [i]", ['16:26: test "x": group i is on hold: app: the VM has no tag app']),
        ("given: {}, holds: []", ['16:26: test "x": on hold: app, expected nothing']),
        ("given: {tags: {app: sap}}, holds: [app]", ['16:42: test "x": on hold: nothing, expected app']),
    ],
)
def test_what_is_not_met_is_told_at_the_expectation(test: str, expected: list[str]) -> None:
    assert failures(test) == [f"t.yaml:{line}" for line in expected]


def test_what_a_test_does_not_name_is_not_checked() -> None:
    assert failures("given: {tags: {env: Prod}}, labels: {env: Prod}") == []
