"""What a guest is to the Azure world: it runs scripts for real, apart from the machine and from other guests."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulators.azure.guest import Guest

MakeGuest = Callable[..., Guest]
METADATA = "http://169.254.169.254/metadata/instance/compute/vmId?api-version=2021-02-01&format=text"
VM_ID = f"curl -s --noproxy '*' {{}} '{METADATA}'"


async def test_a_script_writes_to_the_vm_s_disk_and_not_to_the_machine_s(make_guest: MakeGuest) -> None:
    guest = make_guest()
    places = ["/opt", "/run", "/root", "/tmp", "/var/lock"]  # noqa: S108
    script = "#!/bin/bash\nfor place in " + " ".join(places) + "; do echo mine >$place/microseg-test-mark; done\n"
    result = await guest.run(script, {}, 20)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [place for place in places if (Path(place) / "microseg-test-mark").exists()] == []
    assert (guest.folder / "opt" / "microseg-test-mark").read_text() == "mine\n"
    again = await guest.run("#!/bin/bash\ncat /var/lock/microseg-test-mark", {}, 20)
    assert again.stdout == "mine\n"


async def test_etc_is_the_machine_s_and_cannot_be_written(make_guest: MakeGuest) -> None:
    result = await make_guest().run("#!/bin/bash\nhead -c 4 /etc/passwd; echo x >/etc/microseg-test-mark", {}, 20)
    assert result.exit_code != 0
    assert result.stdout == "root"
    assert not os.access("/etc/microseg-test-mark", os.F_OK)


async def test_a_guest_has_its_own_host_name_and_facts(make_guest: MakeGuest) -> None:
    machine = os.uname().nodename
    result = await make_guest("db-7").run("#!/bin/bash\nhostname; cat /etc/microseg-world/guest.json", {}, 20)
    name, facts = result.stdout.split("\n")
    assert name == "db-7"
    assert json.loads(facts) == {
        "hostname": "db-7",
        "os": "Linux",
        "interfaces": [
            {"name": "eth0", "address": "10.1.2.4", "cidr_block": 24},
            {"name": "eth1", "address": "fd00::4", "cidr_block": 72},
        ],
    }
    assert os.uname().nodename == machine


async def test_parameters_are_environment_variables_and_nothing_of_ours_leaks_in(
    make_guest: MakeGuest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_SECRET", "x")
    result = await make_guest().run("#!/bin/bash\nenv", {"A": "1 2;$(id)", "EMPTY": ""}, 20)
    names = {line.partition("=")[0] for line in result.stdout.splitlines()}
    assert "A=1 2;$(id)" in result.stdout.splitlines()
    assert names <= {"A", "PATH", "HOME", "LANG", "PWD", "SHLVL", "OLDPWD", "_"}


async def test_the_metadata_service_tells_each_vm_its_own_vm_id(make_guest: MakeGuest) -> None:
    guests = [make_guest(f"vm{number}") for number in range(40)]
    script = "#!/bin/bash\n" + VM_ID.format("-H Metadata:true")
    results = await asyncio.gather(*(guest.run(script, {}, 60) for guest in guests))
    assert [result.stdout for result in results] == [guest.vm_id for guest in guests]


async def test_the_metadata_service_refuses_without_its_header(make_guest: MakeGuest) -> None:
    guest = make_guest()
    result = await guest.run("#!/bin/bash\n" + VM_ID.format("-f"), {}, 20)
    assert (result.exit_code, result.stdout) == (22, "")


async def test_after_its_time_a_script_and_its_children_are_killed(make_guest: MakeGuest) -> None:
    script = "#!/bin/bash\nsleep 300 & echo $$ $! >/tmp/pids\necho begun\nwait\n"
    result = await make_guest("slow").run(script, {}, 0.6)
    assert (result.timed_out, result.stdout) == (True, "begun\n")
    assert result.exit_code < 0


async def test_cancelling_a_run_kills_its_processes(make_guest: MakeGuest) -> None:
    guest = make_guest("gone")
    pids = guest.folder / "tmp" / "pids"
    run = asyncio.create_task(guest.run("#!/bin/bash\nsleep 300 & echo $$ $! >/tmp/pids\nwait\n", {}, 300))
    deadline = time.monotonic() + 20
    while not (pids.exists() and pids.read_text().strip()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    numbers = [int(word) for word in pids.read_text().split()]
    while any(is_alive(number) for number in numbers):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether the process runs: neither gone nor waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_much_output_is_kept_at_its_end(make_guest: MakeGuest) -> None:
    result = await make_guest().run("#!/bin/bash\nseq 1 200000", {}, 30)
    assert len(result.stdout) == 64 * 1024
    assert result.stdout.endswith("\n199999\n200000\n")


async def test_a_wiped_vm_has_nothing_left_and_still_runs(make_guest: MakeGuest) -> None:
    guest = make_guest()
    guest.preload_paired("7f0c4e1a-53d1-4c1b-9f0e-0a1b2c3d4e5f", 7, "pce:8443")
    assert "agent_id.cfg" in (await guest.run("#!/bin/bash\nls /opt/illumio_ven_data/etc", {}, 20)).stdout
    guest.wipe()
    result = await guest.run("#!/bin/bash\nls /opt; hostname", {}, 20)
    assert (result.exit_code, result.stdout) == (0, "host24\n")


async def test_changed_facts_are_seen_by_the_next_run(make_guest: MakeGuest) -> None:
    guest = make_guest()
    await guest.run("#!/bin/bash\ntrue", {}, 20)
    guest.addresses = ("10.9.9.9/28",)
    result = await guest.run("#!/bin/bash\ncat /etc/microseg-world/guest.json", {}, 20)
    assert json.loads(result.stdout)["interfaces"] == [{"name": "eth0", "address": "10.9.9.9", "cidr_block": 28}]


async def test_an_odd_parameter_name_is_refused(make_guest: MakeGuest) -> None:
    with pytest.raises(ValueError, match="parameter's name"):
        await make_guest().run("#!/bin/bash\ntrue", {"A=B": "1"}, 20)


@pytest.mark.parametrize("name", ["", "a b", "-x", "a\nb", "$(id)"])
def test_an_odd_host_name_is_refused(make_guest: MakeGuest, name: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        make_guest(name)
