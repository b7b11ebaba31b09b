"""The comparison's sums, and the filters that the playbook computes with."""

from __future__ import annotations

import pytest

from lab.peers.costs import Pass, Result
from lab.peers.playbook.filter_plugins.peers import addresses, label_changes, members, missing_labels, not_paired
from lab.peers.report import compare, text

ROWS = [
    {"name": "vm-a", "hostname": "a", "labels": {"app": "shop", "env": "Prod"}, "groups": ["web"]},
    {"name": "vm-b", "hostname": "b", "labels": {"app": "shop", "env": "Test"}, "groups": ["db", "web"]},
]
LABELS = [{"key": "app", "value": "shop", "href": "/1"}, {"key": "env", "value": "Prod", "href": "/2"}]


def _pass(hosts: int, seconds: float, calls: int) -> Pass:
    return Pass(hosts, seconds, seconds / 10, {"azure": calls})


def test_a_peer_that_was_measured_with_few_hosts_is_told_for_the_fleet_in_proportion() -> None:
    flow = Result("flow", _pass(2, 100.0, 30), _pass(200, 1.0, 6))
    ours = Result("operator", _pass(200, 50.0, 1000), _pass(200, 60.0, 12))
    found = compare([flow, ours], 200, scale=2.0)

    assert found["flow"]["worldSeconds"] == 20_000
    assert found["flow"]["first"] == {"seconds": 200.0, "cpu": 200.0, "requests": 3.0}
    assert found["flow"]["again"] == {"cpu": pytest.approx(1 / 60), "requests": 0.5}
    assert found["operator"]["first"] == {"seconds": 1.0, "cpu": 1.0, "requests": 1.0}
    assert "in proportion" in text([flow, ours], found, 200)


def test_the_vms_without_a_workload_are_those_to_pair() -> None:
    vms = [{"properties": {"osProfile": {"computerName": name}}} for name in ("a", "b")]
    assert not_paired(vms, [{"hostname": "a"}]) == vms[1:]


def test_the_address_of_a_vm_is_the_first_one_of_its_first_nic() -> None:
    def nic(vm: str, address: str) -> dict[str, object]:
        configuration = {"properties": {"privateIPAddress": address}}
        return {"properties": {"virtualMachine": {"id": f"/x/{vm}"}, "ipConfigurations": [configuration]}}

    found = addresses([nic("VM-A", "10.0.0.1"), nic("vm-a", "10.0.0.2"), nic("vm-b", "10.0.0.3")])
    assert found == {"vm-a": "10.0.0.1", "vm-b": "10.0.0.3"}


def test_only_labels_that_are_missing_are_made_and_only_workloads_that_differ_are_changed() -> None:
    assert missing_labels(ROWS, LABELS) == [{"key": "env", "value": "Test"}]
    labels = [*LABELS, {"key": "env", "value": "Test", "href": "/3"}]
    done = {"hostname": "a", "href": "/w/a", "labels": [{"href": "/2"}, {"href": "/1"}]}
    new = {"hostname": "b", "href": "/w/b", "labels": []}
    foreign = {"hostname": "c", "href": "/w/c", "labels": []}
    assert label_changes(ROWS, [done, new, foreign], labels) == [
        {"href": "/w/b", "labels": [{"href": "/1"}, {"href": "/3"}]}
    ]


def test_each_group_has_all_its_hosts() -> None:
    assert members(ROWS) == [{"name": "db", "members": ["vm-b"]}, {"name": "web", "members": ["vm-a", "vm-b"]}]


def test_a_peers_requests_are_those_to_all_systems() -> None:
    assert Pass(1, 1.0, 1.0, {"azure": 2, "illumio": 3}).requests == pytest.approx(5)
