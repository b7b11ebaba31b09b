"""The CRDs on a real API server: what people see, and the messages for wrong fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.examples import estate_text, filled_in

from lab.cluster import await_definitions
from lab.controlplane import ControlPlane, KubectlFailed
from microseg.kube.client import Api, connect
from microseg.kube.resources import CUSTOM_RESOURCE_DEFINITIONS
from microseg.kube.schema import missing_fields
from microseg.kube.schema_rules import EXAMPLE_IDS

ROOT = Path(__file__).parents[2]
VM = "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    apply = ("apply", "--server-side", "-k", str(ROOT / "crds"))
    control_plane.kubectl(*apply)
    await_definitions(control_plane)
    return control_plane


@pytest.fixture(scope="module")
def api(cluster: ControlPlane) -> Api:
    return connect(str(cluster.admin_kubeconfig))


def host(name: str = "host24", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "microseg.dev/v1alpha1",
        "kind": "ManagedHost",
        "metadata": {"name": name},
        "spec": {"estate": "respiro", "vmId": VM} | spec,
    }


def estate() -> dict[str, Any]:
    """The example, as a person fills it in."""
    text = estate_text()
    found: dict[str, Any] = next(iter(yaml.safe_load_all(text)))
    return found


def put(cluster: ControlPlane, namespace: str, document: dict[str, Any]) -> None:
    cluster.kubectl("-n", namespace, "apply", "--server-side", "-f", "-", input=json.dumps(document))


def set_status(cluster: ControlPlane, namespace: str, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    cluster.kubectl("-n", namespace, "patch", "mh", name, "--subresource=status", "--type=merge", "-p", patch)


READY = {
    "stage": "Commissioned",
    "ready": "True",
    "reason": "Commissioned",
    "ip": "10.1.0.4",
    "summary": {"labels": "app=ServiceOrchestrate", "groups": "SO"},
    "azure": {"resourceId": "/x", "name": "Host24", "resourceGroup": "rg1", "osType": "Linux", "subscription": "s1"},
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Commissioned", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    ],
}


def test_the_live_definitions_lack_nothing(api: Api) -> None:
    names = ("managedhosts.microseg.dev", "estates.microseg.dev", "approvals.microseg.dev")
    live = [api.get(CUSTOM_RESOURCE_DEFINITIONS.one(None, name), dict[str, Any]) for name in names]

    assert [missing_fields(document) for document in live] == [(), (), ()]
    assert [c for d in live for c in d["status"]["conditions"] if c["type"] == "NonStructuralSchema"] == []


def test_applying_them_again_changes_nothing(cluster: ControlPlane, api: Api) -> None:
    path = CUSTOM_RESOURCE_DEFINITIONS.one(None, "managedhosts.microseg.dev")
    before = api.get(path, dict[str, Any])["metadata"]["resourceVersion"]
    cluster.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))

    assert api.get(path, dict[str, Any])["metadata"]["resourceVersion"] == before


def test_a_new_host_is_ready_unknown(cluster: ControlPlane, namespace: str) -> None:
    put(cluster, namespace, host())
    document = json.loads(cluster.kubectl("-n", namespace, "get", "mh", "host24", "-o", "json"))

    (ready,) = document["status"]["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "Unknown", "NeverDecided")
    assert ready["lastTransitionTime"] == "1970-01-01T00:00:00Z"
    assert "observedGeneration" not in document["status"]
    assert document["spec"]["suspend"] is False


def test_people_see_the_columns_they_expect(cluster: ControlPlane, namespace: str) -> None:
    put(cluster, namespace, host())
    set_status(cluster, namespace, "host24", READY)

    head, row = cluster.kubectl("-n", namespace, "get", "mh").splitlines()
    assert head.split() == ["NAME", "READY", "REASON"]
    assert row.split() == ["host24", "True", "Commissioned"]

    head, row = cluster.kubectl("-n", namespace, "get", "managedhosts", "-o", "wide").splitlines()
    assert head.split()[3:] == ["STAGE", "IP", "OS", "AGE", "RESOURCE", "GROUP"]
    assert row.split()[3:6] == ["Commissioned", "10.1.0.4", "Linux"]
    assert row.split()[7:] == ["rg1"]

    put(cluster, namespace, estate())
    head, row = cluster.kubectl("-n", namespace, "get", "est").splitlines()
    assert head.split() == ["NAME", "MODE", "READY", "HOSTS", "COMMISSIONED", "BLOCKED", "AGE"]
    assert row.split()[:3] == ["respiro", "Observe", "Unknown"]
    both = cluster.kubectl("-n", namespace, "get", "microseg")
    assert "managedhost.microseg.dev/host24" in both
    assert "estate.microseg.dev/respiro" in both


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("mh.status.azure", "Stage 1's record"),
        ("mh.status.azure.powerState", "running, stopped, deallocated"),
        ("mh.status.timeline.commissionedAt", "When all stages first held."),
        ("est.spec.mode", "ENUM:\n    Observe\n    Adopt\n    Enforce"),
        ("est.spec.azure.sources.identity", "Exactly one of three ways"),
    ],
)
def test_kubectl_explain_describes_the_fields(cluster: ControlPlane, field: str, sentence: str) -> None:
    assert sentence in cluster.kubectl("explain", field)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("spec.estate=respiro", {"one", "two"}),
        (f"spec.vmId={VM}", {"one"}),
        ("status.ready=True", {"one"}),
        ("status.ready=Unknown", {"two"}),
        ("status.stage=Commissioned,status.azure.osType=Linux", {"one"}),
        ("status.azure.subscription=s1", {"one"}),
        ("status.reason=NeverDecided", {"two"}),
    ],
)
def test_hosts_are_selected_by_field(cluster: ControlPlane, namespace: str, selector: str, found: set[str]) -> None:
    put(cluster, namespace, host("one"))
    put(cluster, namespace, host("two", vmId=VM.replace("5b8b", "6c9c")))
    set_status(cluster, namespace, "one", READY)

    listed = cluster.kubectl("-n", namespace, "get", "mh", "--field-selector", selector, "-o", "name").split()
    assert {name.partition("/")[2] for name in listed} == found


def test_a_script_can_wait_for_a_host_to_be_ready(cluster: ControlPlane, namespace: str) -> None:
    put(cluster, namespace, host())
    wait = ("-n", namespace, "wait", "--for=condition=Ready", "mh/host24")
    with pytest.raises(KubectlFailed, match="timed out"):
        cluster.kubectl(*wait, "--timeout=1s")

    set_status(cluster, namespace, "host24", READY)
    assert "condition met" in cluster.kubectl(*wait, "--timeout=10s")


def test_a_wrong_vm_id_is_refused_with_an_example(cluster: ControlPlane, namespace: str) -> None:
    for wrong in (VM.upper(), "x" * 36):
        with pytest.raises(KubectlFailed, match="vmId must be Azure's vmId in lower case, such as 5b8b"):
            put(cluster, namespace, host(vmId=wrong))
    with pytest.raises(KubectlFailed, match=r"spec\.vmId"):
        put(cluster, namespace, host(vmId="short"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"vmId": VM.replace("5b8b", "6c9c")}, "vmId cannot change"), ({"estate": "other"}, "estate cannot change")],
)
def test_identity_cannot_change(cluster: ControlPlane, namespace: str, change: dict[str, str], sentence: str) -> None:
    put(cluster, namespace, host())
    with pytest.raises(KubectlFailed, match=sentence):
        put(cluster, namespace, host(**change))
    put(cluster, namespace, host(suspend=True))


def two_identities(document: dict[str, Any]) -> None:
    document["spec"]["azure"]["sources"][0]["identity"]["managedIdentity"] = {}


def no_identity(document: dict[str, Any]) -> None:
    document["spec"]["azure"]["sources"][0]["identity"] = {}


def same_names(document: dict[str, Any]) -> None:
    document["spec"]["azure"]["sources"] *= 2


def bad_mode(document: dict[str, Any]) -> None:
    document["spec"]["mode"] = "enforce"


def two_trusts(document: dict[str, Any]) -> None:
    document["spec"]["checkPoint"]["fingerprint"] = "ab" * 32


def plain_http(document: dict[str, Any]) -> None:
    document["spec"]["illumio"]["url"] = "http://pce"


def bad_duration(document: dict[str, Any]) -> None:
    document["spec"]["azure"]["pollInterval"] = "a minute"


def spoil(path: str, value: Any) -> Any:
    """A change of one field of the spec, by its path."""

    def change(document: dict[str, Any]) -> None:
        *outer, last = path.split(".")
        part: Any = document["spec"]
        for key in outer:
            part = part[int(key)] if key.isdigit() else part.setdefault(key, {})
        part[last] = value

    return change


def source(name: str) -> dict[str, Any]:
    return {"name": name, "subscriptions": [VM], "identity": {"managedIdentity": {}}}


OWN = "write the address of your own server"
URL = "without a path, a user or a query"
PROXY = "a user and a password belong into the Secret of secretRef"
WINDOW = "checkPoint.installWindow"
SOURCE = "azure.sources.0"
NEVER_RIGHT = [
    ("illumio.url", "https://pce.corp.internal:8443/api/v2", URL),
    ("illumio.url", "https://me@pce.corp.internal:8443", URL),
    ("illumio.url", "https://pce.corp.internal:8443?x=1", URL),
    ("illumio.url", "https://<your-pce>:8443", URL),
    ("illumio.url", "https://pce.example.com:8443", OWN),
    ("illumio.url", "https://example.org", OWN),
    ("illumio.url", "https://PCE.EXAMPLE.COM:8443", OWN),
    ("illumio.url", "https://your-pce:8443", OWN),
    ("illumio.url", "https://pce.corp.internal:99999", URL),
    ("illumio.url", "https://pce.corp.internal:port", URL),
    ("illumio.url", "https://:8443", URL),
    ("illumio.url", "https://${PCE}:8443", URL),
    ("illumio.offlineAfter", "9999999999d", "spec.illumio.offlineAfter"),
    ("retirement.tombstones", "9999999999d", "spec.retirement.tombstones"),
    ("retirement.missedPolls", 1 << 40, "spec.retirement.missedPolls"),
    ("azure.proxy", {"url": "http://me:word@proxy.corp.internal:3128"}, PROXY),
    ("illumio.proxy", {"url": "http://proxy.corp.internal:3128/path"}, PROXY),
    ("checkPoint.proxy", {"url": "https://proxy.corp.internal:3128?x=1"}, PROXY),
    ("checkPoint.proxy", {"url": "socks5://proxy.corp.internal:1080"}, "spec.checkPoint.proxy.url"),
    ("illumio.proxy", {"url": "http://proxy.example.com:3128"}, OWN),
    ("checkPoint.url", "https://mgmt.corp.internal/WEB_API", "without /web_api"),
    ("checkPoint.url", "https://mgmt.corp.internal/smartconsole/", "without /web_api"),
    ("checkPoint.url", "https://mgmt.corp.internal//", "without /web_api"),
    ("checkPoint.policies", [{"package": ""}], "spec.checkPoint.policies[0].package"),
    ("checkPoint.policies", [{"package": " "}], "write the name of the policy package"),
    ("checkPoint.policies", [{"package": "<package>"}], "write the name of the policy package"),
    ("illumio.pairingProfiles", {"linux": " "}, "write the name of the pairing profile"),
    ("checkPoint.url", "https://mgmt.corp.internal/web_api", "without /web_api"),
    ("checkPoint.url", "https://checkpoint.example.com/x", OWN),
    ("checkPoint.fingerprint", "ab" * 20, "has 64 hexadecimal digits"),
    ("checkPoint.fingerprint", "zz" * 32, "has 64 hexadecimal digits"),
    (f"{WINDOW}.start", "25:00", "start is a time"),
    (f"{WINDOW}.start", "24:00", "start is a time"),
    (f"{WINDOW}.end", "24:01", "end is a time"),
    (f"{WINDOW}.end", "06:00", "never opens"),
    (WINDOW, {"start": "00:00", "end": "00:00"}, "never opens"),
    ("illumio.pairingProfiles", {}, "name a pairing profile"),
    ("illumio.pairingProfiles", {"linux": "", "windows": ""}, "name a pairing profile"),
    (f"{SOURCE}.subscriptions", ["production"], "a subscription is written as its id"),
    (f"{SOURCE}.subscriptions", [EXAMPLE_IDS[1]], "this is the example's subscription"),
    (f"{SOURCE}.identity.workloadIdentity.tenantId", EXAMPLE_IDS[0], "this is a placeholder"),
    (f"{SOURCE}.identity.workloadIdentity.clientId", "<client-id>", "this is a placeholder"),
    (f"{SOURCE}.subscriptions", [EXAMPLE_IDS[1].upper()], "this is the example's subscription"),
    (f"{SOURCE}.identity.workloadIdentity.tenantId", "TENANT_ID", "this is a placeholder"),
    (f"{SOURCE}.cloud", {"name": "Custom", "authority": "https://login.corp"}, "a Custom cloud needs"),
    (
        f"{SOURCE}.cloud",
        {"name": "Custom", "authority": "https://a", "resourceManager": "https://b/x?y=1", "audience": "c"},
        "a Custom cloud needs",
    ),
    ("azure.sources", [source("one"), source("two")], "a subscription is in two sources"),
    ("azure.tags", {"a/b": "c"}, "none of < > % &"),
    ("azure.tags", {"": "c"}, "the name of an Azure tag"),
    ("azure.tags", {"Microseg.dev-Owner": "me"}, "the operator's own"),
]
"""Path in the spec, value, and words of the answer."""
RIGHT = [
    ("illumio.url", "https://pce.corp.internal:8443/"),
    ("illumio.url", "https://[fd00::1]:8443"),
    ("azure.proxy", {"url": "http://proxy.corp.internal:3128", "secretRef": {"name": "egress"}}),
    ("illumio.proxy", {"url": "https://[fd00::1]:3128/"}),
    ("checkPoint.url", "https://corp.maas.checkpoint.com/3f1c"),
    ("checkPoint.url", "https://corp.maas.checkpoint.com/3f1c/"),
    ("checkPoint.policies", [{"package": "Standard (EU) <1>", "targets": ["gw 1"]}]),
    (
        f"{SOURCE}.cloud",
        {"name": "Custom", "authority": "https://127.0.0.1:1/x", "resourceManager": "https://b:2", "audience": "c"},
    ),
    (WINDOW, {"start": "22:00", "end": "04:00"}),
    (WINDOW, {"timeZone": "UTC"}),
    ("illumio.pairingProfiles", {"linux": "one"}),
    ("azure.tags", {"Cost Centre": "4711/a", "owner@corp": ""}),
    (f"{SOURCE}.identity.workloadIdentity.tenantId", "corp.onmicrosoft.com"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), NEVER_RIGHT)
def test_what_can_never_be_right_is_refused(
    cluster: ControlPlane, namespace: str, path: str, value: Any, sentence: str
) -> None:
    document = estate()
    spoil(path, value)(document)
    with pytest.raises(KubectlFailed) as caught:
        put(cluster, namespace, document)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("path", "value"), RIGHT)
def test_what_may_be_right_is_accepted(cluster: ControlPlane, namespace: str, path: str, value: Any) -> None:
    document = estate()
    spoil(path, value)(document)
    put(cluster, namespace, document)


@pytest.mark.parametrize("colons", [":", ""])
def test_a_fingerprint_may_have_colons(cluster: ControlPlane, namespace: str, colons: str) -> None:
    document = estate()
    del document["spec"]["checkPoint"]["caBundle"]
    document["spec"]["checkPoint"]["fingerprint"] = colons.join(["ab"] * 32)
    put(cluster, namespace, document)


def two_bundles(document: dict[str, Any]) -> None:
    document["spec"]["illumio"]["caBundle"]["secret"] = "respiro-ca"


def unknown_field(document: dict[str, Any]) -> None:
    document["spec"]["checkpoint"] = {}


def long_name(document: dict[str, Any]) -> None:
    document["metadata"]["name"] = "e" * 64


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (two_identities, "give exactly one of workloadIdentity, managedIdentity and clientSecret"),
        (no_identity, "give exactly one of workloadIdentity, managedIdentity and clientSecret"),
        (same_names, "every source needs a name of its own"),
        (bad_mode, 'supported values: "Observe", "Adopt", "Enforce"'),
        (two_trusts, "give caBundle or fingerprint, not both"),
        (two_bundles, "name a configMap or a secret with the CA bundle, exactly one"),
        (plain_http, "spec.illumio.url"),
        (bad_duration, "spec.azure.pollInterval"),
        (unknown_field, "field not declared in schema"),
        (long_name, "at most 63 characters"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_malformed_estate_is_refused_with_a_sentence(
    cluster: ControlPlane, namespace: str, spoil: Any, sentence: str
) -> None:
    document = estate()
    spoil(document)
    with pytest.raises(KubectlFailed) as caught:
        put(cluster, namespace, document)
    assert sentence in str(caught.value)


def test_a_short_estate_gets_its_defaults(cluster: ControlPlane, namespace: str) -> None:
    document = estate()
    for key in ("mode", "ownerId", "drift", "retirement", "guard"):
        del document["spec"][key]
    put(cluster, namespace, document)

    spec = json.loads(cluster.kubectl("-n", namespace, "get", "est", "respiro", "-o", "json"))["spec"]
    assert (spec["mode"], spec["drift"], spec["guard"]) == ("Observe", "Repair", {"maxChangedPercent": 10})
    assert spec["retirement"]["maxPerHour"] == {"count": 5, "percent": 5}
    assert spec["azure"]["sources"][0]["cloud"] == {"name": "Public"}
    assert "ownerId" not in spec


def test_the_examples_are_refused_until_they_are_filled_in(cluster: ControlPlane, namespace: str) -> None:
    text = (ROOT / "manifests/examples/estate.yaml").read_text(encoding="utf-8")
    with pytest.raises(KubectlFailed) as caught:
        put(cluster, namespace, next(iter(yaml.safe_load_all(text))))
    for field in ("illumio.url", "checkPoint.url", "azure.sources[0].subscriptions", "workloadIdentity.tenantId"):
        assert f"spec.{field}" in str(caught.value) or field in str(caught.value)


def test_the_examples_are_accepted_once_they_are_filled_in(
    cluster: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    for file in (ROOT / "manifests/examples").glob("*.yaml"):
        (tmp_path / file.name).write_text(filled_in(file.read_text(encoding="utf-8")), encoding="utf-8")
    kustomization = tmp_path / "kustomization.yaml"
    text = kustomization.read_text(encoding="utf-8")
    kustomization.write_text(text.replace("namespace: microseg", f"namespace: {namespace}"), encoding="utf-8")

    output = cluster.kubectl("apply", "--server-side", "-k", str(tmp_path))
    assert "estate.microseg.dev/respiro serverside-applied" in output
