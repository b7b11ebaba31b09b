"""The clients of the three systems, from an Estate and its Secrets and bundles. Called by `wiring.py` alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from microseg.estate.inputs import Inputs
from microseg.gateways.azure import AzureArm
from microseg.gateways.azure_credentials import credential_maker, endpoints
from microseg.gateways.checkpoint import Management
from microseg.gateways.checkpoint_session import ApiKey, Password
from microseg.gateways.illumio import Pce
from microseg.gateways.transport import Observe
from microseg.model.estate import Estate, Source

_FEDERATED_TOKEN = Path("/var/run/secrets/azure/tokens/azure-identity-token")
"""Where Azure's workload-identity webhook projects the token (azure.github.io/azure-workload-identity)."""


@dataclass(frozen=True, slots=True)
class Gateways:
    """One estate's. `azure`: by the name of its source."""

    azure: dict[str, AzureArm]
    pce: Pce
    check_point: Management


def gateways(estate: Estate, inputs: Inputs, folder: Path, observe: Observe) -> Gateways:
    """The clients of the three systems. ValueError or OSError: something in the spec or a bundle cannot be used."""
    illumio, check_point = estate.spec.illumio, estate.spec.check_point
    bundle = None if check_point.fingerprint else inputs.bundle(check_point.ca_bundle, check_point.secret_ref)
    return Gateways(
        azure={source.name: _azure(source, inputs, folder, observe) for source in estate.spec.azure.sources},
        pce=Pce(
            illumio.url,
            illumio.org_id,
            inputs.value(illumio.secret_ref.name, "user").reveal(),
            inputs.value(illumio.secret_ref.name, "secret"),
            ca_file=_written(folder, inputs.bundle(illumio.ca_bundle, illumio.secret_ref)),
            observe=observe,
        ),
        check_point=Management(
            check_point.url,
            check_point.domain,
            _check_point_credential(check_point.secret_ref.name, inputs),
            ca_file=_written(folder, bundle),
            fingerprint=check_point.fingerprint,
            observe=observe,
        ),
    )


def _azure(source: Source, inputs: Inputs, folder: Path, observe: Observe) -> AzureArm:
    """The client of one source."""
    places = endpoints(source.cloud)
    ca_file = _written(folder, inputs.bundle(source.cloud.ca_bundle))
    way = source.identity.client_secret
    secret = inputs.value(way.secret_ref.name, "clientSecret") if way is not None else None
    maker = credential_maker(
        source.identity, places, ca_file=ca_file, client_secret=secret, token_file=_FEDERATED_TOKEN
    )
    return AzureArm(source, maker, places, ca_file=ca_file, observe=observe)


def _check_point_credential(name: str, inputs: Inputs) -> ApiKey | Password:
    """By key where the Secret has one, else by password."""
    if inputs.has(name, "apiKey"):
        return ApiKey(inputs.value(name, "apiKey"))
    return Password(inputs.value(name, "user").reveal(), inputs.value(name, "password"))


def _written(folder: Path, bundle: str | None) -> str | None:
    """A CA bundle as a file, for the clients that only take one; None: the public ones."""
    if bundle is None:
        return None
    path = folder / f"{hashlib.sha256(bundle.encode()).hexdigest()[:16]}.pem"
    path.write_text(bundle, encoding="utf-8")
    return str(path)
