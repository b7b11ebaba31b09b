"""`microseg doctor`: would it work at all? One line per check, with what mends it; before anything is installed, too.

Exit 0: nothing failed, 1: the Estate cannot be read, 2: something failed.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from microseg.build_gateways import build_gateways
from microseg.cli import doctor_cluster, doctor_mapping, doctor_network, doctor_pod, doctor_systems
from microseg.cli.cluster import connected
from microseg.cli.errors import CommandError
from microseg.cli.findings import Finding, Health, bad
from microseg.cli.output import Lines, Report, Table, show
from microseg.cli.target import ClusterOptions
from microseg.engine.leadership.credentials import Credentials, read_credentials
from microseg.engine.leadership.unusable import EstateUnusable
from microseg.engine.mapping.revisions import KEY
from microseg.gateways.azure.credentials import cloud_endpoints
from microseg.gateways.checkpoint.refused_logins import RefusedLogins
from microseg.kube.client import Api
from microseg.kube.errors import KubeError, SpecInvalid
from microseg.kube.estates import Estates, decode_estate
from microseg.kube.kubectl_context import default_namespace
from microseg.kube.listing import Lists
from microseg.kube.secrets import ConfigMapData, SecretData
from microseg.model.estate import Estate
from microseg.model.names import MAPPING_API_VERSION, Annotation
from microseg.model.secret import Secret

_MAPPING: dict[str, Any] = {"kind": "ConfigMap", "metadata": {"labels": {Annotation.MAPPING.value: "v1"}}}
_SECRETS = "write the Secrets and ConfigMaps as docs/getting-started.md says"


@dataclass(frozen=True, slots=True)
class Installation:
    """What is to be examined: from files, or from the cluster."""

    estate: Estate
    credentials: Credentials
    mappings: tuple[ConfigMapData, ...]
    """The ConfigMaps that carry a mapping."""


def doctor(files: Sequence[Path], where: ClusterOptions, output: str, *, in_cluster: bool) -> int:
    """Examine, and show one line per check."""
    if in_cluster:
        findings = list(_in_cluster(where))
    elif files:
        findings = list(_of_files(files))
    else:
        raise CommandError("name the Estate's file with -f, or examine the installed one with --in-cluster")
    show(report(findings), output)
    return 2 if any(each.health is Health.BAD for each in findings) else 0


def report(findings: Sequence[Finding]) -> Report:
    """The answer: a line per check, then what to do."""
    rows = [(each.health.value, each.area, each.check, each.text) for each in findings]
    failed = [each for each in findings if each.health is Health.BAD]
    fixes = [f"{one.area}, {one.check}: {one.fix}" for one in findings if one.fix and one.health is not Health.GOOD]
    head = (
        f"{len(failed)} of {len(findings)} checks failed." if failed else f"Nothing failed in {len(findings)} checks."
    )
    data = {
        "failed": len(failed),
        "checks": [
            {
                "area": each.area,
                "check": each.check,
                "result": each.health.name.lower(),
                "text": each.text,
                "fix": each.fix,
            }
            for each in findings
        ],
    }
    table = Table("", ("", "where", "check", "found"), rows)
    return Report(data, (table, Lines("What mends it", fixes), Lines("", [head], loud=bool(failed))))


def _of_files(files: Sequence[Path]) -> Iterator[Finding]:
    documents = [document for file in files for document in _documents(file)]
    estates = [each for each in documents if each.get("kind") == "Estate"]
    if len(estates) != 1:
        raise CommandError(f"the files have {len(estates)} Estates: name one, with its Secrets and ConfigMaps")
    try:
        estate = decode_estate(estates[0])
    except SpecInvalid as error:
        raise CommandError(f"the Estate cannot be used: {error}") from None
    mappings = tuple(doctor_mapping.config_map(each) for each in documents if _is_mapping(each))
    yield from _examine(Installation(estate, credentials_in(documents), mappings))


def _in_cluster(where: ClusterOptions) -> Iterator[Finding]:
    namespace = where.namespace or default_namespace(where.kubeconfig, where.context)
    try:
        api = connected(where)
        yield from doctor_cluster.check(api, namespace)
        yield from _installed(api, namespace)
    except SpecInvalid as error:
        yield bad(
            "cluster", "Estate", f"an Estate in namespace {namespace} cannot be used: {error}", "correct its spec"
        )
    except KubeError as error:
        yield bad("cluster", "API server", str(error), "look at --kubeconfig, or at the ServiceAccount")


def _installed(api: Api, namespace: str) -> Iterator[Finding]:
    """Every Estate of the namespace. Raises KubeError, SpecInvalid."""
    estates = Estates(api).list(namespace)
    if not estates:
        yield bad("cluster", "Estate", f"there is none in namespace {namespace}", "apply one, or name another with -n")
    mappings = tuple(map(doctor_mapping.config_map, Lists(api).mappings(namespace)))
    for estate in estates:
        try:
            credentials = read_credentials(api, estate)
        except EstateUnusable as error:
            yield bad("secrets", estate.name, str(error), _SECRETS)
            continue
        yield from _examine(Installation(estate, credentials, mappings))


def _examine(installation: Installation) -> Iterator[Finding]:
    """The network first: a system is only asked when its address answers."""
    estate, credentials = installation.estate, installation.credentials
    spec = estate.spec
    document, finding = doctor_mapping.judged(estate, installation.mappings)
    yield finding
    yield from doctor_pod.check(estate)
    try:
        network = [
            *_azure_network(estate, credentials),
            *doctor_network.check(
                "illumio", spec.illumio.url, credentials.bundle(spec.illumio.ca_bundle, spec.illumio.secret_ref),
                proxy=spec.illumio.proxy,
            ),
            *doctor_network.check(
                "checkpoint", spec.check_point.url,
                None if spec.check_point.fingerprint
                else credentials.bundle(spec.check_point.ca_bundle, spec.check_point.secret_ref),
                spec.check_point.fingerprint,
                spec.check_point.proxy,
            ),
        ]  # fmt: skip
    except (EstateUnusable, KeyError) as error:
        yield bad("secrets", "CA bundle", _named(error), "add the ConfigMap or the Secret to the files")
        return
    yield from network
    with tempfile.TemporaryDirectory(prefix="microseg-doctor-") as folder:
        try:
            gateways = build_gateways(estate, credentials, Path(folder), _ignore, RefusedLogins())
        except (EstateUnusable, ValueError, OSError, KeyError) as error:
            yield bad("secrets", "credentials", _named(error), _SECRETS)
            return
        yield from doctor_systems.check(estate, gateways, document)


def _azure_network(estate: Estate, credentials: Credentials) -> Iterator[Finding]:
    for source in estate.spec.azure.sources:
        endpoints = cloud_endpoints(source.cloud)
        bundle = credentials.bundle(source.cloud.ca_bundle)
        for what, url in (("sign-in", endpoints.authority), ("resource manager", endpoints.resource_manager)):
            area, proxy = f"azure {source.name}, {what}", estate.spec.azure.proxy
            yield from doctor_network.check(area, url, bundle, proxy=proxy)


def _named(error: Exception) -> str:
    """A KeyError of ours carries the name of the object that no file has."""
    return f"no file has the object {error.args[0]}" if isinstance(error, KeyError) else str(error)


def _ignore(_system: str, _operation: str, _outcome: str, _seconds: float) -> None:
    """Count nothing."""


def credentials_in(documents: Sequence[Mapping[str, Any]]) -> Credentials:
    """The Secrets and CA bundles of the files; their values are shown by nothing."""
    kinds = {kind: [each for each in documents if each.get("kind") == kind] for kind in ("Secret", "ConfigMap")}
    secrets = {each["metadata"]["name"]: SecretData("file", _values(each)) for each in kinds["Secret"]}
    bundles = {each["metadata"]["name"]: str((each.get("data") or {}).get("ca.crt", "")) for each in kinds["ConfigMap"]}
    return Credentials(secrets, bundles, "file")


def _values(document: Mapping[str, Any]) -> dict[str, Secret]:
    encoded = {key: base64.b64decode(str(value)).decode() for key, value in (document.get("data") or {}).items()}
    return {key: Secret(str(value)) for key, value in (encoded | (document.get("stringData") or {})).items()}


def _documents(file: Path) -> list[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        loaded = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandError(f"{file} cannot be read ({error.__class__.__name__})") from None
    found = [each for each in loaded if isinstance(each, dict)]
    if len(found) == 1 and found[0].get("apiVersion") == MAPPING_API_VERSION:  # the plain document, as it lies in Git
        return [{**_MAPPING, "metadata": {**_MAPPING["metadata"], "name": file.name}, "data": {KEY: text}}]
    return found


def _is_mapping(document: Mapping[str, Any]) -> bool:
    labels = (document.get("metadata") or {}).get("labels") or {}
    return document.get("kind") == "ConfigMap" and Annotation.MAPPING.value in labels
