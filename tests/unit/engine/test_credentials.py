"""Secrets and CA bundles: which authorities a system is trusted by, and a sentence for what cannot be used."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest
import yaml

from microseg.engine.leadership.credentials import Credentials
from microseg.engine.leadership.unusable import EstateUnusable
from microseg.kube.secrets import SecretData
from microseg.model.condition import Reason
from microseg.model.fields import CaBundleRef, SecretRef
from microseg.model.secret import Secret, fault_of

ROOT = Path(__file__).parents[3]
PEM = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")[0]
PEM = f"-----BEGIN{PEM.partition('-----BEGIN')[2]}-----END CERTIFICATE-----\n"
REF = SecretRef(name="illumio")


def credentials(**values: str) -> Credentials:
    secret = SecretData("1", {key.replace("_", "."): Secret(value) for key, value in values.items()})
    return Credentials({"illumio": secret}, {"authority": f"{PEM}of the ConfigMap"}, "d")


def test_the_bundle_of_the_config_map_comes_before_the_secrets_own() -> None:
    found = credentials(ca_crt=PEM).bundle(CaBundleRef(config_map="authority"), REF)
    assert found == f"{PEM}of the ConfigMap"


def test_a_bundle_may_be_named_in_a_secret_of_its_own() -> None:
    authority = SecretData("1", {"ca.crt": Secret(PEM)})
    known = Credentials({"illumio": SecretData("1", {}), "authority": authority}, {}, "d")
    assert known.bundle(CaBundleRef(secret="authority")) == PEM
    with pytest.raises(EstateUnusable, match=r"Secret illumio has no key ca\.crt"):
        known.bundle(CaBundleRef(secret="illumio"), REF)


def test_a_secret_may_bring_its_systems_authority_along() -> None:
    assert credentials(ca_crt=PEM).bundle(None, REF) == PEM


@pytest.mark.parametrize("values", [{}, {"ca_crt": ""}])
def test_without_either_only_public_authorities_are_trusted(values: dict[str, str]) -> None:
    assert credentials(**values).bundle(None, REF) is None


def test_an_authority_that_is_no_certificate_is_a_sentence_without_its_text() -> None:
    with pytest.raises(EstateUnusable, match=r"Secret illumio has no certificate in PEM under ca\.crt\.") as refused:
        credentials(ca_crt="hunter2").bundle(None, REF)
    assert refused.value.reason == Reason.SECRET_INVALID


def test_a_key_that_is_missing_or_empty_is_named() -> None:
    with pytest.raises(EstateUnusable, match="Secret illumio has no key user, or it is empty"):
        credentials(user="").value("illumio", "user")


CANNOT_BE_RIGHT = [
    ("k3y\n", "ends with a line break"),
    ("k3y\r\n", "ends with a line break"),
    ("k3y\r", "ends with a line break"),
    ("k3y\u2028", "ends with a line break"),
    ("k3\ny", "contains a line break"),
    (" k3y", "begins or ends with white space"),
    ("k3y\t", "begins or ends with white space"),
    ("k3y\u00a0", "begins or ends with white space"),
    ("\ufeffk3y", "begins with a byte order mark"),
    ("\ufeffk3y\n", "begins with a byte order mark"),
    ("k3y\u200b", "contains a character that cannot be seen"),
    ("k\x003y", "contains a character that cannot be seen"),
    (" \n", "is empty"),
    ("'k3y'", "stands in quotation marks"),
    ("\u201ck3y\u201d", "stands in quotation marks"),
    ("\u00abk3y\u00bb", "stands in quotation marks"),
    ("k3y\\n", "ends with a line break that is written"),
    *(
        (text, "is a placeholder")
        for text in (
            "<your-key>", "<...>", "${KEY}", "{{ .Values.key }}", "changeme", "CHANGE-ME", "change_it", "REPLACE",
            "replace-me", "REPLACE_WITH_KEY", "todo", "TBD", "xxxx", "****", "...", "placeholder", "your-api-key",
            "put-the-api-secret-here", "put-the-api-key-here", "insert_password_here", "api_0000000000000000", "null",
            "REDACTED", "[redacted]", "(sensitive value)", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "INSERT_SECRET",
            "CHANGE-ME-PLEASE", "FIXME", "TODO: fill", "$API_KEY", "$(API_KEY)", "ENC[AES256_GCM,data:xx]",
            "op://vault/item", "ref+vault://x", "n/a", "password",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("value", "words"), CANNOT_BE_RIGHT)
def test_a_value_that_cannot_be_right_names_secret_key_and_fault_and_not_itself(value: str, words: str) -> None:
    with pytest.raises(EstateUnusable) as refused:
        credentials(secret=value).value("illumio", "secret")
    assert refused.value.reason == Reason.SECRET_INVALID
    said = str(refused.value)
    assert said.startswith(f"The value of key secret in Secret illumio {words}")
    assert "k3y" not in said


@pytest.mark.parametrize(
    "value",
    [
        "k3y",
        "two words",
        "x<y>z",
        "exchange",
        "todolist",
        "replaced",
        "p\u00e4ss",
        "a" * 999,
        "$ecret",
        "=k==",
        "$A1b2",
        "it's",
        "a\\b",
    ],
)
def test_a_value_that_may_be_right_is_used(value: str) -> None:
    assert fault_of(value) == ""
    assert credentials(secret=value).value("illumio", "secret").reveal() == value


def test_every_value_in_the_example_secrets_is_known_as_a_placeholder() -> None:
    text = (ROOT / "manifests/examples/secrets.yaml").read_text(encoding="utf-8")
    values = [value for each in yaml.safe_load_all(text) for value in each["stringData"].values()]
    assert len(values) == 3
    assert [value for value in values if not fault_of(value)] == []


def test_a_value_that_is_no_text_is_told_and_not_called_missing() -> None:
    secret = SecretData("1", {}, frozenset({"apiKey"}))
    found = Credentials({"checkpoint": secret}, {}, "d")
    assert found.has("checkpoint", "apiKey")
    with pytest.raises(EstateUnusable, match="key apiKey in Secret checkpoint is not text in UTF-8"):
        found.value("checkpoint", "apiKey")


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        (f"\ufeff{PEM}", "begins with a byte order mark"),
        (f"  {PEM}", "has a line with -----BEGIN CERTIFICATE----- and something else"),
        (PEM.replace("\n", " "), "has a line with -----BEGIN CERTIFICATE----- and something else"),
        (f"{PEM}{PEM[:200]}", "cannot be read: certificate 2 of 2 is damaged, or a placeholder"),
        (
            "-----BEGIN CERTIFICATE-----\nput your authority's certificate here\n-----END CERTIFICATE-----\n",
            "cannot be read: certificate 1 of 1 is damaged, or a placeholder",
        ),
    ],
)
def test_a_bundle_that_openssl_would_skip_in_part_is_refused(bundle: str, words: str) -> None:
    with pytest.raises(EstateUnusable) as refused:
        credentials(ca_crt=bundle).bundle(None, REF)
    assert refused.value.reason == Reason.SECRET_INVALID
    assert str(refused.value).startswith(f"The CA bundle under ca.crt in Secret illumio {words}")


@pytest.mark.parametrize("bundle", [PEM, f"# the authority\n{PEM}\n\n{PEM}", PEM.replace("\n", "\r\n"), PEM.rstrip()])
def test_a_bundle_may_have_comments_blank_lines_and_either_line_break(bundle: str) -> None:
    assert credentials(ca_crt=bundle).bundle(None, REF) == bundle
