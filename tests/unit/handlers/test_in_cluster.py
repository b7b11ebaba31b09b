"""Where a Pod finds its API server, and on which addresses it answers the kubelet."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import kopf
import pytest

from lab.processes import answers, free_port
from microseg.handlers import watch
from microseg.handlers.probes import Probes
from microseg.metrics import Metrics
from microseg.settings import load


@pytest.mark.parametrize(
    ("host", "port", "server"),
    [
        ("10.96.0.1", "443", "https://10.96.0.1:443"),
        ("fd00:96::1", "443", "https://[fd00:96::1]:443"),
        ("", "443", ""),
        ("10.96.0.1", "", ""),
    ],
)
def test_the_api_server_is_where_the_kubelet_says(host: str, port: str, server: str) -> None:
    assert watch.in_cluster_server({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}) == server


def test_a_pod_does_not_need_dns_to_find_its_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    by_name = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t")
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: by_name)
    registry: Any = None
    (login,) = watch.handlers(registry)._activities.get_all_handlers()
    call: Any = login.fn
    found = call(settings=watch.settings())
    assert found.server == "https://10.96.0.1:443"
    assert found.token == "t"


async def test_the_probes_answer_on_every_address_of_both_families() -> None:
    probes = Probes(dict, str, Metrics("1", list))
    port = free_port()
    await probes.start(load({}).probe_host, port)
    try:
        hosts = ["127.0.0.1"] + (["[::1]"] if _has_ipv6() else [])
        for host in hosts:
            assert await asyncio.to_thread(answers, f"http://{host}:{port}/healthz")
    finally:
        await probes.stop()


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as found:
        try:
            found.bind(("::1", 0))
        except OSError:
            return False
    return True
