"""What the operator refuses in a spec that the API server let through."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from lab.memory.estate import estate
from microseg.engine.leadership.spec_faults import spec_fault
from microseg.model.azure_spec import Identity, Select, Source
from microseg.model.estate_spec import EstateSpec, InstallWindow, PolicyTargets

ONE, TWO = "0a0a0a0a-1111-4222-8333-444444444444", "0b0b0b0b-1111-4222-8333-444444444444"


def source(name: str, *subscriptions: str, networks: tuple[str, ...] = ()) -> Source:
    return Source(name=name, subscriptions=subscriptions, identity=Identity(), allowed_networks=networks)


def with_azure(**changes: Any) -> EstateSpec:
    spec = estate().spec
    return replace(spec, azure=replace(spec.azure, **changes))


def with_select(**fields: Any) -> EstateSpec:
    return with_azure(sources=(replace(source("a", ONE), select=Select(**fields)),))


def with_check_point(**fields: Any) -> EstateSpec:
    spec = estate().spec
    return replace(spec, check_point=replace(spec.check_point, **fields))


def with_window(**fields: Any) -> EstateSpec:
    spec = estate().spec
    return replace(spec, check_point=replace(spec.check_point, install_window=InstallWindow(**fields)))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (with_window(time_zone="Mars/Olympus"), "installWindow.timeZone: no time zone is called 'Mars/Olympus'"),
        *(
            (with_window(time_zone=name), "installWindow.timeZone: no time zone is called")
            for name in (
                "",
                "Europe",
                "europe/zurich",
                "localtime",
                "posixrules",
                "Factory",
                "+01:00",
                "GMT+1",
                "CEST",
                "W. Europe Standard Time",
                "Europe/Zurich\n",
                "/etc/localtime",
                "tzdata.zi",
            )
        ),
        (with_window(time_zone="../../etc/passwd"), "installWindow.timeZone: "),
        (with_window(start="25:00"), "installWindow.start: '25:00' is not a time"),
        (with_window(start="24:00"), "installWindow.start: '24:00' is not a time"),
        (with_window(end="24:30"), "installWindow.end: '24:30' is not a time"),
        (with_window(start="22:00", end="22:00"), "a window from 22:00 to 22:00 never opens"),
        (with_azure(sources=(source("a", ONE, TWO), source("b", ONE.upper()))), "is in source a and in source b"),
        (with_azure(tags={"a/b": "x"}), "'a/b' cannot be the name of a tag"),
        (with_azure(tags={"Cost": "x", "cost": "y"}), "Cost and cost are one tag for Azure"),
        (with_azure(sources=(source("a", ONE, networks=("10.1.0.4/16",)),)), "'10.1.0.4/16' is not a network in CIDR"),
        (with_azure(sources=(source("a", ONE, networks=("10.0.0.0/40",)),)), "'10.0.0.0/40' is not a network"),
        (with_azure(sources=(source("a", ONE, networks=("::/0",)),)), "::/0 is every address"),
        (with_azure(poll_interval="9999d"), "9999d is too long"),
        (with_select(tags={"env": "x"}, not_tags={"ENV": "*"}), "no VM can be selected"),
        (with_select(tags={"env": "x"}, not_tags={"env": "x"}), "no VM can be selected"),
        (with_select(resource_groups=("a/b",)), "'a/b' is no name of a resource group"),
        (with_select(resource_groups=(" ",)), "resourceGroups: ' ' cannot be a name"),
        (with_select(locations=("",)), "locations: '' cannot be a name"),
        (with_select(tags={"": "x"}), "tags: '' cannot be a name"),
        (with_check_point(policies=(PolicyTargets(package=" "),)), "policies: ' ' cannot be a name"),
        (with_check_point(policies=(PolicyTargets(package="p", targets=("<gateway>",)),)), "policies p: targets: "),
        (with_check_point(allowed_groups=("az-web ",)), "allowedGroups: 'az-web ' cannot be a name"),
        (
            with_check_point(policies=(PolicyTargets(package="Standard"), PolicyTargets(package="standard"))),
            "package standard is named twice",
        ),
        (
            with_check_point(
                policies=tuple(PolicyTargets(package=p, targets=(t,)) for p, t in (("A", "gw"), ("B", "GW")))
            ),
            "GW is a target of packages A and B; a gateway has one",
        ),
        (with_azure(poll_interval="9s"), "spec.azure.pollInterval: 9s is too short; the shortest is 10s"),
    ],
)
def test_what_can_never_work_is_one_sentence_with_its_path(spec: EstateSpec, words: str) -> None:
    shortest = 10.0 if spec.azure.poll_interval == "9s" else 0.0
    assert words in spec_fault(spec, shortest)


@pytest.mark.parametrize(
    "spec",
    [
        estate().spec,
        with_window(time_zone="Australia/Sydney", start="22:00", end="04:00"),
        with_window(),
        with_select(tags={"env": "*"}, not_tags={"env": "dev"}, resource_groups=("(prod) x",)),
        with_check_point(allowed_groups=("<b> web", "a b")),
        with_azure(sources=(source("a", ONE), source("b", TWO))),
        with_azure(sources=(source("a", ONE, networks=("10.1.0.0/16", "fd00::/8", "20.0.0.0/24")),)),
        with_azure(tags={"Cost Centre": "4711", "owner": ""}),
        with_azure(poll_interval="10s"),
    ],
)
def test_what_may_work_is_let_through(spec: EstateSpec) -> None:
    shortest = 10.0 if spec.azure.poll_interval == "10s" else 0.0
    assert spec_fault(spec, shortest) == ""
