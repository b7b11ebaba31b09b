"""IPv6 only: the API server, the three systems and the probes have no other address than ::1."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.integration.scenario import SEED, TEMPO, vm

from lab import oracles
from lab.controlplane import ControlPlane
from lab.forked import fork
from lab.operator_process import Operator
from lab.processes import answers
from lab.rig import Rig


class Ipv6ControlPlane(ControlPlane):
    """Its API server has no IPv4 address."""

    loopback = "::1"


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as found:
        try:
            found.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback (::1)")
@pytest.mark.timeout(300)
def test_an_operator_without_any_ipv4_address_commissions_a_vm(tmp_path: Path) -> None:
    with (
        Ipv6ControlPlane.start(tmp_path / "control-plane", audit=True) as plane,
        Rig.build(
            tmp_path, cluster=plane, namespace="six", tempo=TEMPO, begin=fork, world_options=("--address", "::1")
        ) as rig,
    ):
        rig.worlds.post("/azure/vms", [vm("web1", tags=SEED, addresses=["fd00:9::4"])])
        rig.apply_estate()
        settings = rig.settings() | {"MICROSEG_PROBE_HOST": "::1"}
        rig.operator = Operator(tmp_path, rig.operator_kubeconfig, "six", settings, begin=fork)
        rig.operator.start()
        rig.wait_until(lambda: (host := rig.host("web1")) and host.commissioned, seconds=120, what="it is commissioned")
        assert answers(f"http://[::1]:{rig.operator.port}/readyz")
        assert not answers(f"http://127.0.0.1:{rig.operator.port}/readyz")
        rig.operator.stop()
        assert oracles.judge(rig) == []
