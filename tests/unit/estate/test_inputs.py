"""Secrets and CA bundles: which authorities a system is trusted by, and a sentence for what cannot be used."""

from __future__ import annotations

import pytest

from microseg.estate.inputs import Inputs
from microseg.estate.tenure import Unusable
from microseg.kube.secrets import SecretData
from microseg.model.condition import Reason
from microseg.model.estate import CaBundleRef, SecretRef
from microseg.model.secret import Secret

PEM = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
REF = SecretRef(name="pce")


def inputs(**values: str) -> Inputs:
    secret = SecretData("1", {key.replace("_", "."): Secret(value) for key, value in values.items()})
    return Inputs({"pce": secret}, {"authority": f"{PEM}of the ConfigMap"}, "d")


def test_the_bundle_of_the_config_map_comes_before_the_secrets_own() -> None:
    found = inputs(ca_crt=PEM).bundle(CaBundleRef(config_map="authority"), REF)
    assert found == f"{PEM}of the ConfigMap"


def test_a_secret_may_bring_its_systems_authority_along() -> None:
    assert inputs(ca_crt=PEM).bundle(None, REF) == PEM


@pytest.mark.parametrize("values", [{}, {"ca_crt": ""}])
def test_without_either_only_public_authorities_are_trusted(values: dict[str, str]) -> None:
    assert inputs(**values).bundle(None, REF) is None


def test_an_authority_that_is_no_certificate_is_a_sentence_without_its_text() -> None:
    with pytest.raises(Unusable, match=r"Secret pce has no certificate in PEM under ca\.crt\.") as refused:
        inputs(ca_crt="hunter2").bundle(None, REF)
    assert refused.value.reason == Reason.SECRET_INVALID


def test_a_key_that_is_missing_or_empty_is_named() -> None:
    with pytest.raises(Unusable, match="Secret pce has no key user, or it is empty"):
        inputs(user="").value("pce", "user")
