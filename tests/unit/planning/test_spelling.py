"""Names are compared as their systems compare them: another letter case is the same name, and is never made twice."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.memory import samples as m
from microseg.model.checkpoint_facts import EnforcementPoint, Group
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import ConditionType
from microseg.model.host import HostStatus
from microseg.model.illumio_record import IllumioRecord, LabelRecord
from microseg.model.plan import CreateLabel, PutObject, SetLabels
from microseg.model.spelling import Spellings, same_name
from microseg.model.verdict import Done
from microseg.planning import guard
from microseg.planning.decide import Decision, decide
from microseg.planning.desired import as_spelled
from microseg.stages.context import EstateContext, Policy

RESPELLED = {("app", "ORCHESTRATE"): "/orgs/50/labels/1", ("env", "dev"): "/orgs/50/labels/2"}
ESTATE = m.estate(labels=RESPELLED, groups={"so": Group("so", "g1")})


def decided(estate: EstateContext = ESTATE, *carried: tuple[str, str], groups: tuple[str, ...] = ()) -> Decision:
    facts = m.facts(
        illumio=m.illumio(stamped=m.stamped(*carried)),
        check_point=m.check_point(m.host_object(m.OBJECT, m.IP, *groups)),
    )
    return decide(m.host(), facts, estate, m.desired(), m.NOW)


def test_a_label_that_exists_in_another_letter_case_is_set_and_not_created() -> None:
    actions = decided().actions
    assert not [each for each in actions if isinstance(each, CreateLabel)]
    (change,) = [each for each in actions if isinstance(each, SetLabels)]
    assert dict(change.labels) == {"app": "/orgs/50/labels/1", "env": "/orgs/50/labels/2"}


def test_a_group_is_joined_by_the_name_that_the_domain_has() -> None:
    (change,) = [each for each in decided().actions if isinstance(each, PutObject)]
    assert change.join == ("so",)


def test_a_host_that_has_them_in_the_systems_spelling_is_done_and_recorded_so() -> None:
    decision = decided(ESTATE, ("app", "ORCHESTRATE"), ("env", "dev"), groups=("so",))
    assert isinstance(decision.verdicts[ConditionType.LABELLED], Done)
    assert isinstance(decision.verdicts[ConditionType.GROUPED], Done)
    record = decision.status.check_point
    assert record is not None
    assert record.groups == ("so",)
    again = decide(m.host(decision.status), m.protected_facts(), ESTATE, m.desired(), m.NOW)
    assert not guard.difference(m.host(decision.status), m.desired())
    assert again.status.check_point == record


def test_the_exact_spelling_comes_first_where_a_system_has_both() -> None:
    both = m.estate(labels=m.LABELS | {("env", "DEV"): "/orgs/50/labels/9"})
    (change,) = [each for each in decided(both).actions if isinstance(each, SetLabels)]
    assert dict(change.labels)["env"] == "/orgs/50/labels/2"


def test_a_label_that_is_in_no_spelling_is_created_as_the_mapping_spells_it() -> None:
    (create,) = [each for each in decided(m.estate(labels={("app", "orchestrate"): "/l/1"})).actions
                 if isinstance(each, CreateLabel)]  # fmt: skip
    assert (create.key, create.value) == ("env", "Dev")


def test_a_spelling_alone_is_no_change_of_the_mapping() -> None:
    labels = (
        LabelRecord(key="app", value="ORCHESTRATE", href="/l/1"),
        LabelRecord(key="env", value="DEV", href="/l/2"),
    )
    status = HostStatus(illumio=IllumioRecord(labels=labels), check_point=CheckPointRecord(groups=("so",)))
    assert guard.difference(m.host(status), m.desired()) == frozenset()
    other = msgspec.structs.replace(status, check_point=CheckPointRecord(groups=("SOX",)))
    assert guard.difference(m.host(other), m.desired()) == {"group SO: join", "group SOX: leave"}


def test_the_estates_allowed_groups_ignore_case() -> None:
    assert m.estate(allowed_groups=frozenset({"So"})).allows("SO")
    assert not m.estate(allowed_groups=frozenset({"So"})).allows("Web")


def test_a_package_in_another_letter_case_is_installed_where_it_is() -> None:
    gateway = EnforcementPoint("gw1", "STANDARD", m.PUBLISHED, m.NOW)
    estate = m.estate(policies=(Policy("standard", ("gw1",)),), gateways={"gw1": gateway})
    host = m.with_status(m.host(), decide(m.host(), m.protected_facts(), estate, m.desired(), m.NOW).status)
    decision = decide(host, m.protected_facts(), estate, m.desired(), m.NOW)
    assert isinstance(decision.verdicts[ConditionType.POLICY_INSTALLED], Done)


@given(st.lists(st.text(min_size=1, max_size=4)), st.text(min_size=1, max_size=4))
def test_what_is_found_is_a_name_of_the_system_and_the_same_name(names: list[str], asked: str) -> None:
    found = Spellings(names).of(asked)
    assert same_name(found, asked)
    assert (found in names) == any(same_name(each, asked) for each in names)
    assert not (asked in names and found != asked)


@pytest.mark.parametrize("estate", [m.estate(labels={}, groups={})])
def test_nothing_is_respelled_by_systems_that_were_not_read(estate: EstateContext) -> None:
    assert as_spelled(m.desired(), estate) == m.desired()
    assert as_spelled(None, estate) is None
