"""The seed's table, whole, as a person would write it, and the host of its one published log."""

from __future__ import annotations

import datetime

from microseg import mapping as m

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
VM = "5b8b0a44-6a0e-4a6e-9a60-0123456789ab"
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"

SEED = f"""\
apiVersion: mapping.microseg.dev/v1
name: platform                        # identity
owner: team-netsec
labels:
  app:
    fromTag: [Application, app]
    normalize: [trim, lower]
    values: {{service orchestrate: ServiceOrchestrate}}
    oneOf: [ServiceOrchestrate, sap]
    onMiss: hold
  env:
    fromTag: [env]
    values: {{production: Prod, prd: Prod, dev: Dev}}
    default: Dev
    onMiss: default
  loc:
    cases:
      - {{when: {{location: [australiaeast, australiasoutheast]}}, value: AU}}
    default: Elsewhere
    onMiss: default
  role:
    cases:
      - {{name: web, when: {{tags: {{rol: [web]}}}}, value: Web}}
      - {{name: db-by-name, when: {{name: ["*-db*"]}}, value: Database}}
    onMiss: keep
overrides:
  - {{vmId: {VM}, labels: {{env: Prod}}, reason: "migration CHG-1234", until: 2027-01-31T00:00:00+11:00}}
groups:
  - {{name: SO, when: {{labels: {{app: [ServiceOrchestrate]}}}}}}
  - name: az-pci
    when: {{tags: {{DataClass: [pci]}}, labels: {{env: [Prod]}}}}
    scope: {{subscriptions: [{SUBSCRIPTION}]}}
tests:
  - name: the seed's host
    given: {{location: australiaeast, tags: {{app: service orchestrate, env: dev, loc: azure, rol: web}}}}
    labels: {{app: ServiceOrchestrate, env: Dev, loc: AU, role: Web}}
    groups: [SO]
"""

HOST24 = m.Subject(
    name="Host24",
    location="australiaeast",
    resource_group="rg-apps",
    subscription=SUBSCRIPTION,
    os="windows",
    tags=(("app", "service orchestrate"), ("env", "dev"), ("loc", "azure"), ("rol", "web")),
    vm_id="c0ffee00-0000-4000-8000-000000000024",
)


def test_the_seeds_table_is_read_without_a_warning_and_its_own_test_passes() -> None:
    mapping = m.parse(SEED, "platform.yaml")
    assert m.lint(mapping, ["SO", "az-pci"]) == ()
    assert m.run_tests(mapping) == ()
    assert (mapping.name, mapping.owner) == ("platform", "team-netsec")
    assert list(mapping.tables) == ["app", "env", "loc", "role"]


def test_the_seeds_host_gets_the_seeds_labels_and_group() -> None:
    answer = m.evaluate(m.parse(SEED, "platform.yaml"), HOST24, current={}, now=NOW)
    assert answer.labels == (
        m.Value("app", "ServiceOrchestrate", "values service orchestrate"),
        m.Value("env", "Dev", "values dev"),
        m.Value("loc", "AU", "loc#1"),
        m.Value("role", "Web", "web"),
    )
    assert answer.groups == (m.GroupAnswer("SO", True), m.GroupAnswer("az-pci", False))
    assert answer.cases == ("loc#1", "web")
    assert (answer.undecided, answer.miss_message, answer.warnings) == (False, "", ())


def test_the_seeds_host_is_explained_in_one_line_a_key_and_one_a_group() -> None:
    mapping = m.parse(SEED, "platform.yaml")
    by = f"(platform@{mapping.shown})"
    assert m.explain(mapping, HOST24, current={}, now=NOW) == (
        f'app = ServiceOrchestrate <- tag app="service orchestrate" -> values service orchestrate {by}',
        f'env = Dev <- tag env="dev" -> values dev {by}',
        f'loc = AU <- case loc#1: location "australiaeast" {by}',
        f'role = Web <- case web: tag rol="web" {by}; not case db-by-name: name "Host24", not *-db*',
        'group SO: member <- label app="ServiceOrchestrate"',
        "group az-pci: not a member: tag DataClass is absent",
    )
