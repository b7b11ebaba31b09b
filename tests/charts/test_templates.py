"""Every template of the charts: what a value does to the objects."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from tests.charts.rendered import IMAGE, Object, chart, container, crd_chart, pod
from tests.settings_read import variables_read

from lab.helm import CHART, Helm, HelmFailed
from lab.image.name import ROOT, project

MONITORING = ROOT / "manifests" / "monitoring"


def test_the_chart_has_only_objects_of_its_namespace(helm: Helm) -> None:
    found = chart(helm, namespace="elsewhere")
    assert {each["metadata"].get("namespace") for each in found.values()} == {"elsewhere"}
    assert sorted(kind for kind, _ in found) == [
        "Deployment", "Pod", "PodDisruptionBudget", "Role", "RoleBinding", "ServiceAccount",
    ]  # fmt: skip


def test_both_charts_and_the_product_have_one_version() -> None:
    for name in ("microseg", "microseg-crds"):
        told = yaml.safe_load((ROOT / "manifests" / "helm" / name / "Chart.yaml").read_text(encoding="utf-8"))
        assert told["version"] == told["appVersion"] == project()[1]
        assert told["kubeVersion"] == ">=1.32.0-0"


def test_nothing_is_in_the_folder_that_helm_never_upgrades() -> None:
    assert not list((ROOT / "manifests" / "helm").rglob("crds"))


def test_the_unpublished_image_is_refused_with_what_to_do(helm: Helm) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert values["image"]["repository"] == project()[0]
    with pytest.raises(HelmFailed, match="nobody publishes an image of microseg yet; build one"):
        helm.template(CHART)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ({}, f"registry.test/microseg:{project()[1]}"),
        ({"tag": "7"}, "registry.test/microseg:7"),
        ({"tag": "7", "digest": "sha256:" + "a" * 64}, "registry.test/microseg@sha256:" + "a" * 64),
    ],
)
def test_the_image_is_taken_by_digest_else_by_tag_else_by_version(helm: Helm, image: Object, name: str) -> None:
    assert container(chart(helm, {"image": IMAGE["image"] | image}))["image"] == name


def test_replicas_can_be_left_to_somebody_else(helm: Helm) -> None:
    assert chart(helm)["Deployment", "microseg"]["spec"]["replicas"] == 2
    assert chart(helm, {"replicas": 0})["Deployment", "microseg"]["spec"]["replicas"] == 0
    assert "replicas" not in chart(helm, {"replicas": None})["Deployment", "microseg"]["spec"]


def test_workload_identity_needs_a_client_id_and_marks_account_and_pod(helm: Helm) -> None:
    client = "00000000-0000-0000-0000-000000000001"
    found = chart(helm, {"workloadIdentity": {"enabled": True, "clientId": client}})
    account = found["ServiceAccount", "microseg"]["metadata"]["annotations"]
    assert account == {"azure.workload.identity/client-id": client}
    assert pod(found)["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    with pytest.raises(HelmFailed, match="clientId"):
        chart(helm, {"workloadIdentity": {"enabled": True}})
    assert "annotations" not in chart(helm)["ServiceAccount", "microseg"]["metadata"]


def test_settings_become_the_environment_and_are_settings_of_the_product(helm: Helm) -> None:
    asked = variables_read()
    name = next(key for key in asked if key.startswith("MICROSEG_"))
    env = container(chart(helm, {"settings": {name: "1"}}))["env"]
    assert {"name": name, "value": "1"} in env
    with pytest.raises(HelmFailed, match="settings"):
        chart(helm, {"settings": {"PATH": "/"}})
    with pytest.raises(HelmFailed, match="settings"):
        chart(helm, {"settings": {name: 1}})


def test_spread_constraints_select_the_pods_of_one_revision(helm: Helm) -> None:
    selector = chart(helm)["Deployment", "microseg"]["spec"]["selector"]["matchLabels"]
    for constraint in pod(chart(helm))["spec"]["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == selector
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]
    assert "topologySpreadConstraints" not in pod(chart(helm, {"topologySpreadConstraints": []}))["spec"]


def test_the_selectors_do_not_change_with_release_or_version(helm: Helm) -> None:
    text = helm.template(CHART, release="other", values=yaml.safe_dump(IMAGE))
    other = {each["kind"]: each for each in yaml.safe_load_all(text) if each}
    assert other["Deployment"]["spec"]["selector"] == chart(helm)["Deployment", "microseg"]["spec"]["selector"]


def test_the_network_policy_needs_the_two_systems_and_allows_no_more_than_is_named(helm: Helm) -> None:
    with pytest.raises(HelmFailed, match="illumio"):
        chart(helm, {"networkPolicy": {"enabled": True}})
    systems = {
        "enabled": True,
        "apiServer": [{"cidr": "10.0.0.1/32", "port": 6443}],
        "azure": [],
        "illumio": [{"cidr": "203.0.113.7/32", "port": 8443}],
        "checkPoint": [{"cidr": "203.0.113.8/32"}],
    }
    spec = chart(helm, {"networkPolicy": systems})["NetworkPolicy", "microseg"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert spec["ingress"] == []
    dns, *rules = spec["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert [(rule["to"][0]["ipBlock"]["cidr"], rule["ports"][0]["port"]) for rule in rules] == [
        ("10.0.0.1/32", 6443),
        ("203.0.113.7/32", 8443),
        ("203.0.113.8/32", 443),
    ]


def test_a_pod_monitor_takes_the_place_of_the_scrape_annotations(helm: Helm) -> None:
    assert "prometheus.io/scrape" in pod(chart(helm))["metadata"]["annotations"]
    found = chart(helm, {"podMonitor": {"enabled": True, "labels": {"release": "x"}}})
    assert not any(key.startswith("prometheus.io/") for key in pod(found)["metadata"]["annotations"])
    monitor = found["PodMonitor", "microseg"]
    assert monitor["metadata"]["labels"]["release"] == "x"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["port"] in {port["name"] for port in container(found)["ports"]}


def test_a_service_monitor_does_the_same_through_a_service_and_never_beside_a_pod_monitor(helm: Helm) -> None:
    found = chart(helm, {"serviceMonitor": {"enabled": True, "labels": {"release": "x"}}})
    assert not any(key.startswith("prometheus.io/") for key in pod(found)["metadata"]["annotations"])
    monitor, service = found["ServiceMonitor", "microseg"], found["Service", "microseg"]
    assert monitor["metadata"]["labels"]["release"] == "x"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod(found)["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    with pytest.raises(HelmFailed, match="both enabled: choose one"):
        chart(helm, {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}})


def test_the_alerts_are_those_of_the_one_source(helm: Helm) -> None:
    rule = chart(helm, {"prometheusRule": {"enabled": True, "labels": {"release": "x"}}})["PrometheusRule", "microseg"]
    assert rule["spec"] == yaml.safe_load((MONITORING / "rules.yaml").read_text(encoding="utf-8"))
    assert rule["metadata"]["labels"]["release"] == "x"
    assert ("PrometheusRule", "microseg") not in chart(helm)


def test_the_dashboards_are_those_of_the_one_source_with_the_label_of_grafanas_sidecar(helm: Helm) -> None:
    found = chart(helm, {"dashboards": {"enabled": True}})["ConfigMap", "microseg-dashboards"]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    files = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in MONITORING.glob("dashboards/*.json")}
    assert {name: json.loads(text) for name, text in found["data"].items()} == files
    assert len(files) >= 3
    assert ("ConfigMap", "microseg-dashboards") not in chart(helm)


def test_a_flow_schema_is_named_by_the_namespace_and_speaks_of_its_account_only(helm: Helm) -> None:
    found = chart(helm, {"flowSchema": {"enabled": True}}, namespace="two")
    (rule,) = found["FlowSchema", "microseg-two"]["spec"]["rules"]
    assert rule["subjects"] == [{"kind": "ServiceAccount", "serviceAccount": {"name": "microseg", "namespace": "two"}}]


def test_extra_objects_are_objects_or_texts_with_templates(helm: Helm) -> None:
    extra = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Namespace }}-one"}},
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-two\n",
    ]
    found = chart(helm, {"extraObjects": extra})
    assert {name for kind, name in found if kind == "ConfigMap"} == {"microseg-one", "microseg-two"}


def test_helm_test_examines_with_the_operators_account_identity_and_network(helm: Helm) -> None:
    client = "00000000-0000-0000-0000-000000000001"
    found = chart(helm, {"workloadIdentity": {"enabled": True, "clientId": client}})
    tested, operator = found["Pod", "microseg-doctor"], pod(found)
    (only,) = tested["spec"]["containers"]
    assert tested["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert only["args"] == ["doctor", "--in-cluster"]
    assert only["image"] == container(found)["image"]
    assert only["volumeMounts"] == container(found)["volumeMounts"]
    assert tested["spec"]["serviceAccountName"] == operator["spec"]["serviceAccountName"]
    assert tested["metadata"]["labels"]["azure.workload.identity/use"] == "true"


def test_the_pod_of_helm_test_is_not_taken_for_a_replica_but_is_under_its_network_policy(helm: Helm) -> None:
    systems = {"enabled": True, "illumio": [{"cidr": "203.0.113.7/32"}], "checkPoint": [{"cidr": "203.0.113.8/32"}]}
    found = chart(helm, {"networkPolicy": systems})
    labels = found["Pod", "microseg-doctor"]["metadata"]["labels"]
    assert not found["Deployment", "microseg"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    selector = found["NetworkPolicy", "microseg"]["spec"]["podSelector"]
    (of_component,) = selector["matchExpressions"]
    for each in (labels, pod(found)["metadata"]["labels"]):
        assert selector["matchLabels"].items() <= each.items()
        assert each[of_component["key"]] in of_component["values"]


def test_a_pod_is_asked_for_its_readiness_each_second_from_its_start(helm: Helm) -> None:
    only = container(chart(helm))
    assert only["readinessProbe"]["periodSeconds"] == 1
    assert "initialDelaySeconds" not in only["readinessProbe"]
    assert "startupProbe" not in only, "readiness would wait for it"
    liveness = only["livenessProbe"]
    assert liveness["initialDelaySeconds"] + liveness["periodSeconds"] * liveness["failureThreshold"] == 90


def test_the_commands_of_the_install_page_name_values_that_the_charts_have(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    block = page.partition("## In three commands\n\n```\n")[2].partition("```")[0].replace("\\\n", "")
    commands = [shlex.split(line) for line in block.splitlines()]
    assert [words[:2] for words in commands] == [["helm", "install"], ["helm", "install"], ["kubectl", "apply"]]
    client = "00000000-0000-0000-0000-000000000001"
    for _, _, *words in commands[:2]:
        assert "kind: " in helm.run("template", *(word.replace("CLIENT_ID", client) for word in words))


def test_no_rule_of_any_role_has_a_wildcard(helm: Helm) -> None:
    roles = [each for each in [*chart(helm).values(), *crd_chart(helm).values()] if "rules" in each]
    assert len(roles) >= 4
    for rule in (rule for role in roles for rule in role["rules"]):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_the_definitions_and_the_policy_stay_when_their_chart_is_uninstalled(helm: Helm) -> None:
    kept = {
        kind
        for (kind, _), each in crd_chart(helm).items()
        if each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == {
        "CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
    }  # fmt: skip


def test_the_clusters_own_roles_grow_only_where_it_is_wanted(helm: Helm) -> None:
    assert ("ClusterRole", "microseg-view") in crd_chart(helm)
    assert ("ClusterRole", "microseg-view") not in crd_chart(helm, {"aggregateRoles": False})
