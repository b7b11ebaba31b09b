"""The ports, and the gateways that implement them."""

from __future__ import annotations

import inspect

import pytest

from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.illumio.gateway import IllumioPceGateway
from microseg.gateways.ports import (
    AzureGateway,
    Busy,
    CheckPointGateway,
    GatewayError,
    IllumioGateway,
    OutcomeUnknown,
    Refused,
    Rejected,
    Throttled,
    Unreachable,
)
from microseg.model.script import Script
from microseg.model.secret import Secret


def types_agree(
    azure: AzureArmGateway, pce: IllumioPceGateway, management: CheckPointManagementGateway
) -> tuple[object, ...]:
    """Only for mypy, which fails if a gateway does not implement its port."""
    one: AzureGateway = azure
    two: IllumioGateway = pce
    three: CheckPointGateway = management
    return one, two, three


@pytest.mark.parametrize(
    ("port", "gateway"),
    [
        (AzureGateway, AzureArmGateway),
        (IllumioGateway, IllumioPceGateway),
        (CheckPointGateway, CheckPointManagementGateway),
    ],
)
def test_every_call_of_a_port_is_there_with_its_parameters(port: type, gateway: type) -> None:
    for name, call in inspect.getmembers(port, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(call).parameters) == list(
                inspect.signature(getattr(gateway, name)).parameters
            )


def test_the_family_of_errors_is_closed() -> None:
    assert set(GatewayError.__subclasses__()) == {Unreachable, Throttled, Busy, Refused, Rejected, OutcomeUnknown}


@pytest.mark.parametrize(("seconds", "bounded"), [(-5, 1), (0, 1), (17, 17), (1e9, 900)])
def test_a_pause_is_kept_in_bounds(seconds: float, bounded: float) -> None:
    assert Throttled("pause", seconds).retry_after == bounded


def test_a_script_shows_no_protected_value() -> None:
    script = Script(
        "n", "l", windows=False, text="t", parameters={}, protected={"A": Secret("c0de")}, timeout=1, tags={}
    )
    assert "c0de" not in f"{script} {script!r}"
