"""The bench's sums: what it counts, the least time that it computes, and what it takes for growth."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import msgspec

from lab.bench import fleet, report
from lab.bench.bounds import lower_bound
from lab.bench.counting import kubernetes_writes
from lab.bench.restart import Restart, effects, is_deciding, is_informed
from lab.bench.run import Onboarding, Quiet, Run
from simulators.ledger import Ledger

_HOLDER = """\
# TYPE microseg_hosts_by_reason gauge
microseg_hosts_by_reason{namespace="microseg",estate="respiro",stage="Commissioned",reason="Commissioned"} 198.0
microseg_hosts_by_reason{namespace="microseg",estate="respiro",stage="Blocked",reason="NoResult"} 2.0
microseg_queue_length{namespace="microseg",estate="respiro",queue="decide"} 0.0
microseg_queue_length{namespace="microseg",estate="respiro",queue="status"} 3.0
microseg_last_reading_timestamp_seconds{namespace="microseg",estate="respiro",system="azure"} 1.9e+09
microseg_last_reading_timestamp_seconds{namespace="microseg",estate="respiro",system="illumio"} 1.9e+09
"""
_METRICS = """\
# HELP apiserver_request_total Counter
apiserver_request_total{code="200",group="microseg.dev",resource="managedhosts",subresource="status",verb="PATCH"} 12
apiserver_request_total{code="409",group="microseg.dev",resource="managedhosts",subresource="status",verb="PATCH"} 2
apiserver_request_total{code="201",group="microseg.dev",resource="managedhosts",subresource="",verb="POST"} 3
apiserver_request_total{code="200",group="microseg.dev",resource="managedhosts",subresource="",verb="LIST"} 9
apiserver_request_total{code="200",group="coordination.k8s.io",resource="leases",subresource="",verb="PUT"} 7
"""


def _run(hosts: int, *, calls: int, cpu: float = 1.0) -> Run:
    work = Onboarding(
        seconds=60.0, bound=lower_bound(hosts, 2, 10.0), middle=30.0, curve=[(60.0, hosts)], writes=Counter(a=hosts),
        conflicts=0, calls={"azure": Counter(get=calls)}, throttled=Counter(), cpu=cpu, memory=1 << 20,
        installers=Counter({1: hosts}), starts=(1.0, 2.0, 3.0), load=0.0,
    )  # fmt: skip
    restart = Restart(4.0, 6.0, 0.5, 2.0, Counter(), Counter(azure=8))
    idle = Quiet(60.0, Counter(), {"azure": Counter(list=10)}, 1.0, 1 << 20)
    return Run(hosts, work, idle, restart, idle)


def test_writes_are_counted_by_resource_without_reads_and_lease_renewals() -> None:
    writes, conflicts = kubernetes_writes(_METRICS)
    assert writes == {"managedhosts/status": 14, "managedhosts": 3}
    assert conflicts == 2


def test_the_bound_of_a_small_fleet_is_one_hosts_latency() -> None:
    assert lower_bound(20, 2, 10.0).seconds == 14.5


def test_the_bound_of_a_large_fleet_is_paced_by_the_pces_calls_a_minute() -> None:
    bound = lower_bound(1000, 2, 10.0)
    assert (bound.paced_by.name, bound.seconds) == ("pce-keys", 71.5)


def test_calls_that_grow_with_the_square_of_the_fleet_fail_the_comparison() -> None:
    checks = report.compare(_run(100, calls=100), _run(200, calls=400))
    assert [check.sentence.split(":")[0] for check in checks if not check.passed] == ["outside calls"]


def test_a_second_installer_a_quiet_write_or_a_restart_that_changes_something_fails_the_run() -> None:
    run = _run(10, calls=10)
    twice = replace(run, onboarding=replace(run.onboarding, installers=Counter({1: 9, 2: 1})))
    written = replace(run, quiet=replace(run.quiet, writes=Counter(events=1)))
    acted = replace(run, restart=replace(run.restart, effects=Counter({"azure commands.put": 1})))
    assert [check.passed for each in (run, twice, written, acted) for check in report.judge(each)] == [
        True, True, True, False, True, True, True, False, True, True, True, False,
    ]  # fmt: skip


def test_the_results_survive_json_with_their_counts() -> None:
    data = msgspec.json.decode(msgspec.json.encode(report.as_json(_run(10, calls=20))))
    assert data["onboarding"]["calls"] == {"azure": {"get": 20}}
    assert data["onboarding"]["installers"] == {"1": 10}


def test_the_fleet_is_spread_evenly_and_has_no_name_twice() -> None:
    ordered = fleet.orders(100, ["s1", "s2"])
    assert Counter(each["subscription"] for each in ordered) == {"s1": 50, "s2": 50}
    assert len({each["name"] for each in ordered}) == 100


def test_an_operator_decides_when_it_has_every_record_and_none_waits() -> None:
    assert is_deciding(_HOLDER, 200)
    assert not is_deciding(_HOLDER, 201)
    assert not is_deciding(_HOLDER.replace('queue="decide"} 0.0', 'queue="decide"} 1.0'), 200)
    assert not is_deciding("# no metrics: refused\n", 0)


def test_an_operator_is_informed_when_all_three_systems_were_read_since_its_start() -> None:
    read = _HOLDER + 'microseg_last_reading_timestamp_seconds{system="checkpoint"} 1.9e+09\n'
    assert is_informed(read, since=1.8e9)
    assert not is_informed(read, since=1.95e9)
    assert not is_informed(_HOLDER, since=1.8e9)


def test_the_effects_of_a_restart_are_the_requests_that_changed_something() -> None:
    ledger = Ledger()
    ledger.append("azure", "vms.list")
    ledger.append("azure", "commands.put", changed=("run-command microseg-1 of vm",))
    assert effects(ledger.entries()) == {"azure commands.put": 1}
