"""The benchmark of status writes, with few records on a real API server: both sides write every record."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lab import bench_writes
from lab.cluster import ACCOUNT, prepare
from lab.controlplane import ControlPlane
from lab.estate import NAME
from lab.raw_api import RawApi, RawRequestFailed
from microseg.kube.client import connect
from microseg.kube.hosts import Hosts


def test_the_operators_writer_and_the_least_client_bring_every_record_to_the_same_status(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    prepare(control_plane, namespace)
    kubeconfig = control_plane.kubeconfig_for_service_account(namespace, ACCOUNT, tmp_path / "kubeconfig")
    before, after = asyncio.run(bench_writes.two_statuses())
    api = connect(str(kubeconfig))
    store = Hosts(api, namespace)
    bench_writes.fill(store, 10, before)

    asyncio.run(bench_writes.write_as_operator(store, store.list(NAME), after, lambda: 0.0))
    assert [host.status for host in store.list(NAME)] == [after] * 10
    bench_writes.write_bare(kubeconfig, store.list(NAME), before, lambda: 0.0)
    assert [host.status for host in store.list(NAME)] == [before] * 10
    api.close()


def test_the_least_client_reads_answers_in_pieces_and_tells_refusals(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    prepare(control_plane, namespace)
    kubeconfig = control_plane.kubeconfig_for_service_account(namespace, ACCOUNT, tmp_path / "kubeconfig")
    with RawApi(kubeconfig) as api:
        assert len(json.loads(api.request("GET", "/openapi/v3"))["paths"]) > 30
        with pytest.raises(RawRequestFailed, match="403"):
            api.request("GET", f"/api/v1/namespaces/{namespace}/pods")
        assert b"gitVersion" in api.request("GET", "/version")
