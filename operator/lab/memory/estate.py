"""The Estate that tests reconcile."""

from __future__ import annotations

from typing import Any

from microseg.model.azure_spec import AzureSpec, Identity, Source
from microseg.model.estate import Estate
from microseg.model.estate_spec import (
    CheckPointSpec,
    EstateSpec,
    IllumioSpec,
    MappingRef,
    PairingProfiles,
    PolicyTargets,
)
from microseg.model.fields import SecretRef


def estate(**changes: Any) -> Estate:
    """An enforcing estate without anything in its status."""
    secret = SecretRef(name="s")
    spec = EstateSpec(
        azure=AzureSpec(
            sources=(Source(name="main", subscriptions=("S1",), identity=Identity()),), poll_interval="50ms"
        ),
        illumio=IllumioSpec(
            url="https://pce:8443", org_id=50, secret_ref=secret, pairing_profiles=PairingProfiles(linux="linux")
        ),
        check_point=CheckPointSpec(
            url="https://mgmt", secret_ref=secret, policies=(PolicyTargets(package="Standard", targets=("gw1",)),)
        ),
        mapping=MappingRef(name="platform"),
        mode="Enforce",
    )
    known: dict[str, Any] = {"name": "respiro", "namespace": "plant", "spec": spec, "resource_version": "1"}
    return Estate(**(known | changes))
