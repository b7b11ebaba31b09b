"""What all hosts share: which pairing profile may be used, and where policy is installed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lab.memory import samples as m
from lab.memory.estate import estate
from microseg.engine.estate_context import estate_context, mistakes, policies, profile
from microseg.engine.state.host_table import HostTable
from microseg.engine.state.snapshots import CheckPointSnapshot, IllumioSnapshot
from microseg.model.checkpoint_facts import EnforcementPoint, Group, Package
from microseg.model.estate import Estate
from microseg.model.estate_spec import PolicyTargets
from microseg.model.estate_status import TargetState
from microseg.model.illumio_facts import PairingProfile
from microseg.stages.context import Policy, Timing
from microseg.stages.policy import disputed_target


def found(made: PairingProfile | None, os: str = "Linux") -> PairingProfile | str:
    return profile(estate(), IllumioSnapshot.of(m.MARK, (), (), (made,) if made else ()), os)


def profiled(**changes: Any) -> PairingProfile:
    known: dict[str, Any] = {"name": "linux", "href": "/p/7", "enabled": True, "uses_per_key": 1, "key_life": 1800}
    return PairingProfile(**(known | changes))


@pytest.mark.parametrize("life", [600, 1800, 3600])
def test_a_profile_with_short_keys_of_one_use_is_used(life: int) -> None:
    assert found(profiled(key_life=life)) == profiled(key_life=life)


@pytest.mark.parametrize(
    ("made", "os", "words"),
    [
        (None, "Linux", "no pairing profile named linux"),
        (profiled(), "Windows", "names no pairing profile for Windows"),
        (profiled(enabled=False), "Linux", "disabled"),
        (profiled(uses_per_key=None), "Linux", "more than once"),
        (profiled(uses_per_key=2), "Linux", "more than once"),
        (profiled(key_life=None), "Linux", "10 to 60 minutes"),
        (profiled(key_life=599), "Linux", "10 to 60 minutes"),
        (profiled(key_life=3601), "Linux", "10 to 60 minutes"),
    ],
)
def test_a_profile_whose_keys_are_worth_stealing_is_refused_in_one_sentence(
    made: PairingProfile | None, os: str, words: str
) -> None:
    said = found(made, os)
    assert isinstance(said, str)
    assert words in said


def test_a_package_without_named_targets_is_installed_where_it_is_now() -> None:
    table = HostTable()
    shown = (("gw2", "Standard"), ("gw1", "Standard"), ("gw3", "Other"))
    gateways = tuple(EnforcementPoint(name, policy, None, None) for name, policy in shown)
    table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), (), gateways, m.PUBLISHED))
    spec = estate().spec
    check_point = msgspec.structs.replace(spec.check_point, policies=(PolicyTargets(package="Standard"),))
    made = estate(spec=msgspec.structs.replace(spec, check_point=check_point))
    view = estate_context(made, table, Timing(), m.NOW)
    assert [policy.targets for policy in view.policies] == [("gw1", "gw2")]


@pytest.mark.parametrize(
    ("now", "targets"),
    [
        (EnforcementPoint("gw2", "", None, None), ("gw1", "gw2")),
        (EnforcementPoint("gw2", "Other", None, None), ("gw1",)),
        (None, ("gw1",)),
    ],
    ids=["set up anew, without a policy", "it has another package", "it is there no more"],
)
def test_a_gateway_that_had_the_package_and_has_no_policy_is_still_a_target(
    now: EnforcementPoint | None, targets: tuple[str, ...]
) -> None:
    known = estate()
    spec = msgspec.structs.replace(known.spec.check_point, policies=(PolicyTargets(package="Standard"),))
    recorded = (TargetState(package="standard", target="gw1"), TargetState(package="standard", target="gw2"))
    known = msgspec.structs.replace(
        known,
        spec=msgspec.structs.replace(known.spec, check_point=spec),
        status=msgspec.structs.replace(known.status, targets=recorded),
    )
    table = HostTable()
    shown = [EnforcementPoint("gw1", "Standard", None, None), *([now] if now else [])]
    table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), (), shown, None))
    assert estate_context(known, table, Timing(), m.NOW).policies[0].targets == targets


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (("GW1",), ("gw1",)),
        (("uid-2",), ("gw2",)),
        (("UID-2", "gw2"), ("gw2",)),
        (("Perimeter",), ("gw1", "gw2")),
        (("perimeter", "gw3"), ("gw1", "gw2", "gw3")),
        (("gw9",), ("gw9",)),
    ],
)
def test_targets_are_named_in_any_letter_case_by_uid_or_by_group(
    named: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    table = HostTable()
    group = frozenset({"perimeter"})
    gateways = (
        EnforcementPoint("gw1", "Standard", None, None, "uid-1", group),
        EnforcementPoint("gw2", "", None, None, "uid-2", group),
        EnforcementPoint("gw3", "Standard", None, None, "uid-3"),
    )
    table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), (), gateways, m.PUBLISHED))
    spec = estate().spec
    policies = (PolicyTargets(package="STANDARD", targets=named),)
    check_point = msgspec.structs.replace(spec.check_point, policies=policies)
    made = estate(spec=msgspec.structs.replace(spec, check_point=check_point))
    view = estate_context(made, table, Timing(), m.NOW)
    assert [(policy.package, policy.targets) for policy in view.policies] == [("Standard", expected)]


def with_policy(*policies: PolicyTargets, **changes: Any) -> Estate:
    spec = estate().spec
    check_point = msgspec.structs.replace(spec.check_point, policies=policies, **changes)
    return estate(spec=msgspec.structs.replace(spec, check_point=check_point))


def table_of(*groups: str) -> HostTable:
    """Check Point with two packages and one gateway."""
    table = HostTable()
    packages = (Package("Standard", "uid-std"), Package("Edge", "uid-edge"))
    gateways = (EnforcementPoint("gw1", "Standard", None, None),)
    known = tuple(Group(name, f"g-{name}") for name in groups)
    table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), known, gateways, m.PUBLISHED, packages))
    return table


@pytest.mark.parametrize("named", ["Edge", "EDGE", "uid-edge", "UID-Edge"])
def test_a_package_may_be_named_in_any_letter_case_and_by_uid(named: str) -> None:
    made = with_policy(PolicyTargets(package=named, targets=("gw1",)))
    assert [policy.package for policy in policies(made, table_of())] == ["Edge"]
    assert mistakes(made, table_of()) == ()


def test_one_package_by_name_and_by_uid_is_one_and_a_gateway_of_two_packages_is_installed_by_neither() -> None:
    table = HostTable()
    gateways = [EnforcementPoint(f"gw{n}", "Standard", None, None, f"uid-{n}") for n in (1, 2)]
    packages = (Package("Standard", "uid-std"), Package("Edge", "uid-edge"))
    table.saw_check_point(CheckPointSnapshot.of(m.OWNER, (), (), gateways, m.PUBLISHED, packages))
    one = with_policy(*(PolicyTargets(package=p, targets=(t,)) for p, t in (("Standard", "gw1"), ("uid-std", "gw2"))))
    assert policies(one, table) == (Policy("Standard", ("gw1", "gw2")),)
    named = (("Standard", ("gw1", "gw2")), ("Edge", ("uid-2",)))
    two = with_policy(*(PolicyTargets(package=package, targets=targets) for package, targets in named))
    assert policies(two, table) == (Policy("Standard", ("gw1",), ("gw2",)), Policy("Edge", (), ("gw2",)))
    (told,) = mistakes(two, table)
    assert told == f"spec.checkPoint.policies: {disputed_target('gw2')}"
    by_default = with_policy(PolicyTargets(package="Standard"), PolicyTargets(package="Edge", targets=("gw2",)))
    assert policies(by_default, table) == (Policy("Standard", ("gw1",)), Policy("Edge", ("gw2",))), "it is on its way"


def test_names_that_their_system_does_not_have_are_told_and_nothing_before_it_was_read() -> None:
    made = with_policy(PolicyTargets(package="Edgy", targets=("gw1", "gw9")), allowed_groups=("so", "Lost"))
    assert mistakes(made, HostTable()) == ()
    table = table_of("SO")
    table.saw_illumio(IllumioSnapshot.of(m.MARK, (), (), (profiled(name="LINUX"),)))
    assert mistakes(made, table) == (
        "spec.checkPoint.policies: Check Point has no package Edgy.",
        "spec.checkPoint.policies: Check Point has no gateway gw9.",
        "spec.checkPoint.allowedGroups: the domain has no group Lost.",
    )
    table.saw_illumio(IllumioSnapshot.of(m.MARK, (), (), ()))
    assert mistakes(made, table)[-1] == "spec.illumio.pairingProfiles.linux: the PCE has no pairing profile linux."
