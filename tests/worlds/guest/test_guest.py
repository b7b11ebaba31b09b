"""Guests really run scripts, isolated from the machine and from other guests."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.worlds.guest.orders import ordered

from simulators.azure.guest import Guest
from simulators.azure.handler import tail

MakeGuest = Callable[..., Guest]
METADATA = "http://169.254.169.254/metadata/instance/compute/vmId?api-version=2021-02-01&format=text"
VM_ID = f"curl -s --noproxy '*' {{}} '{METADATA}'"


async def test_a_script_writes_to_the_vm_s_disk_and_not_to_the_machine_s(make_guest: MakeGuest) -> None:
    guest = make_guest()
    places = ["/opt", "/run", "/root", "/tmp", "/var/lock"]  # noqa: S108
    script = "#!/bin/bash\nfor place in " + " ".join(places) + "; do echo mine >$place/microseg-test-mark; done\n"
    result = await guest.run(ordered(script, {}, 20))
    assert (result.exit_code, result.stderr) == (0, "")
    assert [place for place in places if (Path(place) / "microseg-test-mark").exists()] == []
    assert (guest.folder / "opt" / "microseg-test-mark").read_text() == "mine\n"
    again = await guest.run(ordered("#!/bin/bash\ncat /var/lock/microseg-test-mark", {}, 20))
    assert again.stdout == "mine\n"


async def test_etc_is_the_machine_s_and_cannot_be_written(make_guest: MakeGuest) -> None:
    result = await make_guest().run(
        ordered("#!/bin/bash\nhead -c 4 /etc/passwd; echo x >/etc/microseg-test-mark", {}, 20)
    )
    assert result.exit_code != 0
    assert result.stdout == "root"
    assert not os.access("/etc/microseg-test-mark", os.F_OK)


async def test_a_guest_has_its_own_host_name_and_facts(make_guest: MakeGuest) -> None:
    machine = os.uname().nodename
    result = await make_guest("db-7").run(ordered("#!/bin/bash\nhostname; cat /etc/microseg-world/guest.json", {}, 20))
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
    result = await make_guest().run(ordered("#!/bin/bash\nenv", {"A": "1 2;$(id)"}, 20))
    names = {line.partition("=")[0] for line in result.stdout.splitlines()}
    assert "A=1 2;$(id)" in result.stdout.splitlines()
    assert names <= {"A", "PATH", "LANG", "PWD", "SHLVL", "_", "ConfigExtensionName", "ConfigSequenceNumber"}


async def test_the_metadata_service_tells_each_vm_its_own_vm_id(make_guest: MakeGuest) -> None:
    guests = [make_guest(f"vm{number}") for number in range(40)]
    script = "#!/bin/bash\n" + VM_ID.format("-H Metadata:true")
    results = await asyncio.gather(*(guest.run(ordered(script, {}, 60)) for guest in guests))
    assert [result.stdout for result in results] == [guest.vm_id for guest in guests]


async def test_the_metadata_service_refuses_without_its_header(make_guest: MakeGuest) -> None:
    guest = make_guest()
    result = await guest.run(ordered("#!/bin/bash\n" + VM_ID.format("-f"), {}, 20))
    assert (result.exit_code, result.stdout) == (22, "")


async def test_after_its_time_only_the_script_s_own_process_is_killed(make_guest: MakeGuest) -> None:
    guest = make_guest("slow")
    script = "#!/bin/bash\nsleep 300 & echo $$ $! >/tmp/pids\necho begun\nwait\n"
    result = await guest.run(ordered(script, {}, 0.6))
    assert (result.timed_out, result.stdout, result.exit_code) == (True, "begun\n", -1)
    own, child = (int(word) for word in (guest.folder / "tmp" / "pids").read_text().split())
    assert (is_alive(own), is_alive(child)) == (False, True)
    guest.power_off()
    await until_dead(child)


async def test_what_a_script_left_in_a_group_of_its_own_dies_with_the_machine(make_guest: MakeGuest) -> None:
    guest = make_guest("daemons")
    script = "#!/bin/bash\nsetsid sleep 300 >/dev/null 2>&1 & timeout 300 sleep 300 & echo $! >/tmp/pids\nexit 3\n"
    assert (await guest.run(ordered(script, {}))).exit_code == 3
    left = int((guest.folder / "tmp" / "pids").read_text())
    assert is_alive(left)
    guest.power_off()
    await until_dead(left)


async def test_a_script_that_is_killed_ends_with_code_minus_one(make_guest: MakeGuest) -> None:
    result = await make_guest().run(ordered("#!/bin/bash\necho a; kill -9 $$", {}))
    assert (result.exit_code, result.stdout, result.timed_out) == (-1, "a\n", False)


async def test_a_script_starts_in_its_folder_without_input_and_deaf_to_two_signals(make_guest: MakeGuest) -> None:
    script = (
        "#!/bin/bash\npwd; umask; readlink /proc/self/fd/0; echo ${HOME-unset} ${USER-unset}\n"
        "sed -n 's/^SigIgn:.*\\(....\\)$/\\1/p' /proc/self/status; trap 'echo never' HUP INT\n"
        "kill -HUP $$; kill -INT $$; echo alive; curl --version >/dev/null; echo $0\n"
    )
    order = ordered(script, {})
    place = f"/var/lib/waagent/run-command-handler/download/{order.name}/0"
    lines = (await make_guest().run(order)).stdout.splitlines()
    assert lines == [place, "0022", "/dev/null", "unset unset", "0003", "alive", f"{place}/script.sh"]


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("#!/bin/bash\r\necho hi\r\n", 127, "script.sh"),
        ("\ufeff#!/bin/bash\nexit 4\n", 4, "line 1: \ufeff#!/bin/bash: "),
        ("#!/no/such/program\n", 127, "script.sh: "),
        ("#!/bin/sh\necho $0 $1 >&2; exit 5", 5, "script.sh a"),
    ],
)
async def test_a_script_is_run_as_it_is(make_guest: MakeGuest, script: str, code: int, words: str) -> None:
    result = await make_guest().run(replace(ordered(script, {}), arguments=("a", "$(id)")))
    assert (result.exit_code, result.failure) == (code, "")
    assert words in result.stderr


async def test_nameless_parameters_are_split_and_expanded_by_the_shell(make_guest: MakeGuest) -> None:
    order = replace(ordered("#!/bin/bash\nprintf '<%s>' \"$@\"", {}), arguments=("a b", "$((1+1))", "'c d'"))
    assert (await make_guest().run(order)).stdout == "<a><b><2><c d>"


async def test_arguments_that_are_too_long_are_a_failure_with_code_0(make_guest: MakeGuest) -> None:
    result = await make_guest().run(ordered("#!/bin/bash\ntrue", {"A": "x" * 200_000}))
    assert (result.exit_code, result.failure.rpartition(": ")[2]) == (0, "argument list too long")


async def test_output_so_far_is_shown_while_the_script_runs(make_guest: MakeGuest) -> None:
    shown: list[tuple[str, str]] = []
    order = ordered("#!/bin/bash\necho one; echo no >&2; until [ -e /tmp/go ]; do sleep 0.02; done; echo two", {})
    guest = make_guest()

    def show(stdout: str, stderr: str) -> None:
        shown.append((stdout, stderr))
        if stdout and stderr:
            (guest.folder / "tmp" / "go").touch()

    result = await guest.run(replace(order, partial=0.05, show=show))
    assert ("one\n", "no\n") in shown
    assert result.stdout == "one\ntwo\n"


async def test_cancelling_a_run_kills_its_processes(make_guest: MakeGuest) -> None:
    guest = make_guest("gone")
    pids = guest.folder / "tmp" / "pids"
    run = asyncio.create_task(guest.run(ordered("#!/bin/bash\nsleep 300 & echo $$ $! >/tmp/pids\nwait\n", {}, 300)))
    deadline = time.monotonic() + 20
    while not (pids.exists() and pids.read_text().strip()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    for word in pids.read_text().split():
        await until_dead(int(word))


def is_alive(pid: int) -> bool:
    """Whether the process runs: neither gone nor waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_dead(pid: int) -> None:
    """Wait until a process is dead."""
    deadline = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_output_is_its_last_4096_bytes_and_each_wrong_byte_a_replacement(make_guest: MakeGuest) -> None:
    script = "#!/bin/bash\nseq 1 200000; printf '\\xe2\\x82x\\xff' >&2; exit 3"
    result = await make_guest().run(ordered(script, {}, 30))
    assert len(result.stdout) == 4096
    assert result.stdout.endswith("\n199999\n200000\n")
    assert result.stderr == "\ufffd\ufffdx\ufffd"


def test_a_character_that_the_cut_divides_is_lost() -> None:
    assert tail(("é" * 4000 + "x").encode()) == "\ufffd" + "é" * 2047 + "x"


async def test_a_wiped_vm_has_nothing_left_and_still_runs(make_guest: MakeGuest) -> None:
    guest = make_guest()
    guest.preload_paired("7f0c4e1a-53d1-4c1b-9f0e-0a1b2c3d4e5f", 7, "pce:8443")
    assert "agent_id.cfg" in (await guest.run(ordered("#!/bin/bash\nls /opt/illumio_ven_data/etc", {}, 20))).stdout
    guest.wipe()
    result = await guest.run(ordered("#!/bin/bash\nls /opt; hostname", {}, 20))
    assert (result.exit_code, result.stdout) == (0, "host24\n")


async def test_changed_facts_are_seen_by_the_next_run(make_guest: MakeGuest) -> None:
    guest = make_guest()
    await guest.run(ordered("#!/bin/bash\ntrue", {}, 20))
    guest.addresses = ("10.9.9.9/28",)
    result = await guest.run(ordered("#!/bin/bash\ncat /etc/microseg-world/guest.json", {}, 20))
    assert json.loads(result.stdout)["interfaces"] == [{"name": "eth0", "address": "10.9.9.9", "cidr_block": 28}]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b"])
async def test_an_odd_name_of_a_run_command_is_refused(make_guest: MakeGuest, name: str) -> None:
    with pytest.raises(ValueError, match="name of a run-command"):
        await make_guest().run(replace(ordered("#!/bin/bash\ntrue", {}), name=name))


@pytest.mark.parametrize("name", ["", "a b", "-x", "a\nb", "$(id)"])
def test_an_odd_host_name_is_refused(make_guest: MakeGuest, name: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        make_guest(name)
