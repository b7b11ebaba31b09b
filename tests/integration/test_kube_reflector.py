"""The reflector against a real API server, through changes, outages and gaps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.namespaces import new_namespace

from lab.cluster import await_definitions
from lab.controlplane import ControlPlane
from lab.processes import wait_until
from microseg.kube.client import Api, connect
from microseg.kube.hosts import Hosts
from microseg.kube.reflector import Deleted, Event, HostReflector, Synced, Upserted
from microseg.model.host import HostStatus, ManagedHost

ROOT = Path(__file__).parents[2]


def vm(number: int) -> str:
    return f"5b8b1c1e-0f6d-4d5e-9a3b-{number:012x}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One of its own: it is restarted here, while other tests use the shared one."""
    with ControlPlane.start(tmp_path_factory.mktemp("restarted")) as plane:
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "crds"))
        await_definitions(plane)
        yield plane


@pytest.fixture
def namespace(cluster: ControlPlane) -> str:
    return new_namespace(cluster)


@pytest.fixture
def api(cluster: ControlPlane) -> Iterator[Api]:
    found = connect(str(cluster.admin_kubeconfig))
    yield found
    found.close()


@pytest.fixture
def hosts(api: Api, namespace: str) -> Hosts:
    return Hosts(api, namespace)


@pytest.fixture
def reflector(api: Api, namespace: str) -> HostReflector:
    return HostReflector(api, namespace, "respiro")


class Records:
    """The hosts as they follow from the reflector's events alone."""

    def __init__(self) -> None:
        self.hosts: dict[str, ManagedHost] = {}
        self.syncs = 0

    def take(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Upserted(host):
                    self.hosts[host.name] = host
                case Deleted(name, vm_id):
                    assert self.hosts.pop(name).spec.vm_id == vm_id
                case Synced(names, _):
                    self.hosts = {name: host for name, host in self.hosts.items() if name in names}
                    self.syncs += 1


@contextmanager
def running(reflector: HostReflector, records: Records) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=reflector.run, args=(records.take, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)
    assert not thread.is_alive()


def see(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, seconds=20, what=what)


def test_it_delivers_all_hosts_and_every_change_of_its_own_estate(hosts: Hosts, reflector: HostReflector) -> None:
    first = hosts.create("first", vm(1), "respiro")
    hosts.create("foreign", vm(2), "other")
    records = Records()
    with running(reflector, records):
        see(lambda: records.syncs, "a complete list")
        assert records.hosts == {first.name: first}

        second = hosts.create("second", vm(3), "respiro")
        see(lambda: second.name in records.hosts, "the new host")
        written = hosts.patch_status(first, HostStatus(observed_generation=1, stage="Pairing"))
        see(lambda: records.hosts[first.name] == written, "the new status")
        hosts.delete(second.name, second.uid)
        see(lambda: second.name not in records.hosts, "the deletion")
        assert records.syncs == 1


def test_stopping_it_does_not_wait_for_the_next_byte(reflector: HostReflector) -> None:
    records = Records()
    with running(reflector, records):
        see(lambda: records.syncs, "a complete list")
        began = time.monotonic()
    assert time.monotonic() - began < 3


def test_it_reports_when_the_server_last_sent_something(hosts: Hosts, reflector: HostReflector) -> None:
    records = Records()
    with running(reflector, records):
        see(lambda: records.syncs, "a complete list")
        heard = reflector.beat
        hosts.create("first", vm(1), "respiro")
        see(lambda: reflector.beat > heard, "a later time")


def test_a_host_that_was_deleted_in_a_gap_is_gone_afterwards(
    cluster: ControlPlane, hosts: Hosts, reflector: HostReflector
) -> None:
    gone, stays = hosts.create("gone", vm(1), "respiro"), hosts.create("stays", vm(2), "respiro")
    records = Records()
    with running(reflector, records):
        see(lambda: records.syncs, "a complete list")
    hosts.delete(gone.name, gone.uid)
    cluster.restart_apiserver()  # its memory of the past goes with it
    with running(reflector, records):
        late = hosts.create("late", vm(3), "respiro")
        see(lambda: set(records.hosts) == {stays.name, late.name}, "only what is there")


def test_a_resource_version_from_long_ago_lists_again(hosts: Hosts, reflector: HostReflector) -> None:
    gone, stays = hosts.create("gone", vm(1), "respiro"), hosts.create("stays", vm(2), "respiro")
    records = Records()
    with running(reflector, records):
        see(lambda: records.syncs, "a complete list")
    hosts.delete(gone.name, gone.uid)
    reflector._resource_version = "1"
    with running(reflector, records):
        see(lambda: set(records.hosts) == {stays.name}, "only what is there")


def test_it_survives_a_restart_of_the_api_server(cluster: ControlPlane, hosts: Hosts, reflector: HostReflector) -> None:
    first = hosts.create("first", vm(1), "respiro")
    records = Records()
    with running(reflector, records):
        see(lambda: records.syncs, "a complete list")
        cluster.restart_apiserver()
        hosts.delete(first.name, first.uid)
        second = hosts.create("second", vm(2), "respiro")
        see(lambda: set(records.hosts) == {second.name}, "the world after the outage")


def test_a_server_that_is_listed_in_pages_gives_the_same_hosts(hosts: Hosts, reflector: HostReflector) -> None:
    first = hosts.create("first", vm(1), "respiro")
    records = Records()
    reflector._streams_lists = False
    with running(reflector, records):
        see(lambda: set(records.hosts) == {first.name} and records.syncs, "the list")
        second = hosts.create("second", vm(2), "respiro")
        see(lambda: second.name in records.hosts, "the new host")
