"""The operator's script for Linux, executed by bash inside guests, against a stub PCE over HTTPS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.worlds.guest.orders import ordered
from tests.worlds.guest.script_runs import NONCE, ORG, OTHER, checked, run

from microseg.scripts import LINUX, Outcome, ScriptResult, parse_result
from simulators.azure.guest import Guest

if TYPE_CHECKING:
    from tests.worlds.guest.conftest import Pce

MakeGuest = Callable[..., Guest]


async def test_a_new_vm_is_paired_and_says_with_which_workload(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    result = await run(guest, pce)
    assert result == ScriptResult(Outcome.PAIRED, 0, pce.workloads[0], ORG)
    assert pce.scripts_sent == ["/api/v18/software/ven/image?pair_script=pair.sh&profile_id=3"]
    assert [facts["hostname"] for facts in pce.paired] == ["host24"]


async def test_a_paired_vm_needs_no_key_and_asks_the_pce_nothing(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    await run(guest, pce)
    again = await run(guest, pce, ACTIVATION_CODE="")
    assert again == ScriptResult(Outcome.ALREADY_PAIRED, 0, pce.workloads[0], ORG)
    assert (len(pce.scripts_sent), len(pce.paired)) == (1, 1)


@pytest.mark.parametrize("mode", ["install", "probe"])
async def test_a_ven_that_was_there_before_is_told(make_guest: MakeGuest, pce: Pce, mode: str) -> None:
    guest = make_guest()
    guest.preload_paired(OTHER.upper(), ORG, pce.address)
    assert await run(guest, pce, MODE=mode) == ScriptResult(Outcome.ALREADY_PAIRED, 0, OTHER, ORG)
    assert pce.scripts_sent == []


@pytest.mark.parametrize("mode", ["install", "probe"])
async def test_a_ven_of_another_pce_is_left_alone(make_guest: MakeGuest, pce: Pce, mode: str) -> None:
    guest = make_guest()
    guest.preload_paired(OTHER, ORG, "other-pce.example:8443")
    assert await run(guest, pce, MODE=mode) == ScriptResult(Outcome.PAIRED_ELSEWHERE, 0, None, None)
    assert pce.scripts_sent == []


async def test_a_probe_of_a_bare_vm_changes_nothing(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    assert await run(guest, pce, MODE="probe", ACTIVATION_CODE="", PROFILE_ID="") == ScriptResult(
        Outcome.NOT_PAIRED, 0, None, None
    )
    assert pce.scripts_sent == []
    assert list((guest.folder / "opt").iterdir()) == []


async def test_another_vm_s_parameters_are_refused(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    guest.preload_paired(OTHER, ORG, pce.address)
    assert await run(guest, pce, VM_ID=OTHER) == ScriptResult(Outcome.WRONG_VM, 611, None, None)


async def test_upper_case_of_the_vm_id_does_not_matter(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    assert (await run(guest, pce, VM_ID=guest.vm_id.upper(), MODE="probe")).outcome is Outcome.NOT_PAIRED


def firmware_order(vm_id: str) -> str:
    """Return the id with swapped bytes in its first three groups."""
    first, second, third, *rest = vm_id.split("-")
    turned = ["".join(reversed([g[i : i + 2] for i in range(0, len(g), 2)])) for g in (first, second, third)]
    return "-".join([*turned, *rest])


@pytest.mark.parametrize("turn", [str, firmware_order, str.upper])
async def test_without_the_metadata_service_the_firmware_s_uuid_counts(
    make_guest: MakeGuest, pce: Pce, turn: Callable[[str], str]
) -> None:
    guest = make_guest()
    guest.metadata_answers = False
    write_firmware(guest, turn(guest.vm_id))
    assert (await run(guest, pce, MODE="probe")).outcome is Outcome.NOT_PAIRED
    assert (await run(guest, pce, MODE="probe", VM_ID=OTHER)).code == 611


async def test_the_metadata_service_is_believed_before_the_firmware(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    write_firmware(guest, OTHER)
    assert (await run(guest, pce, MODE="probe", VM_ID=OTHER)).code == 611
    assert (await run(guest, pce, MODE="probe")).outcome is Outcome.NOT_PAIRED


async def test_a_vm_that_cannot_tell_who_it_is_is_refused(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    guest.metadata_answers = False
    write_firmware(guest, "Not Settable")
    assert await run(guest, pce) == ScriptResult(Outcome.WRONG_VM, 612, None, None)


def write_firmware(guest: Guest, text: str) -> None:
    """Write the UUID of the VM's firmware."""
    path = guest.folder / "sys" / "dmi" / "id" / "product_uuid"
    path.unlink()
    path.write_text(f"{text}\n")


async def test_a_run_that_begins_after_its_time_does_nothing(make_guest: MakeGuest, pce: Pce) -> None:
    result = await run(make_guest(), pce, NOT_AFTER=str(int(time.time()) - 1))
    assert result == ScriptResult(Outcome.TOO_LATE, 0, None, None)
    assert pce.scripts_sent == []


async def test_of_two_runs_at_once_one_pairs_and_the_other_is_busy(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    pce.hold = asyncio.Event()
    first = asyncio.create_task(guest.run(ordered(LINUX, pce.parameters(guest), 50)))
    await asyncio.wait_for(pce.began.wait(), 30)
    second = await guest.run(ordered(LINUX, pce.parameters(guest), 50))
    assert parse_result(second.stdout, NONCE) == ScriptResult(Outcome.BUSY, 0, None, None)
    pce.hold.set()
    assert checked(guest, await first).outcome is Outcome.PAIRED
    assert len(pce.paired) == 1
    assert (await run(guest, pce)).outcome is Outcome.ALREADY_PAIRED


async def test_the_lock_outlives_a_killed_script_while_the_vendor_s_script_goes_on(
    make_guest: MakeGuest, pce: Pce
) -> None:
    guest = make_guest()
    pce.hold = asyncio.Event()
    (guest.folder / "root" / "install.sh").write_text(LINUX)
    killing = (
        "#!/bin/bash\nbash /root/install.sh & first=$!\n"
        "until [ -e /tmp/began ]; do sleep 0.05; done\n"
        "kill -9 $first; wait $first 2>/dev/null\nbash /root/install.sh\n"
        "touch /tmp/second-is-over; until [ -e /opt/illumio_ven_data/etc/agent_id.cfg ]; do sleep 0.05; done\n"
    )
    task = asyncio.create_task(guest.run(ordered(killing, pce.parameters(guest), 50)))
    await asyncio.wait_for(pce.began.wait(), 30)
    (guest.folder / "tmp" / "began").touch()
    deadline = time.monotonic() + 20
    while not (guest.folder / "tmp" / "second-is-over").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    pce.hold.set()
    answer = await task
    assert parse_result(answer.stdout, NONCE) == ScriptResult(Outcome.BUSY, 0, None, None)
    assert answer.stdout.count("microseg-result") == 1
    assert (await run(guest, pce)).outcome is Outcome.ALREADY_PAIRED


async def test_what_the_vendor_s_script_leaves_running_does_not_hold_the_lock(make_guest: MakeGuest, pce: Pce) -> None:
    pce.script = pce.script.replace("#!/bin/sh\n", "#!/bin/sh\nsleep 40 >/dev/null 2>&1 &\n")
    guest = make_guest()
    (guest.folder / "root" / "install.sh").write_text(LINUX)
    twice = "#!/bin/bash\nbash /root/install.sh\nbash /root/install.sh\n"
    answer = await guest.run(ordered(twice, pce.parameters(guest), 30))
    words = [line.split(" ")[3] for line in answer.stdout.splitlines()]
    assert words == ["outcome=paired", "outcome=already-paired"]


async def test_without_flock_a_folder_is_the_lock_and_one_left_over_is_taken(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    script = LINUX.replace("command -v flock", "command -v no-such-program")
    lock = guest.folder / "run" / "microseg" / "lock.d"
    lock.mkdir(parents=True)
    (lock / "pid").write_text("1\n")
    assert (await run(guest, pce, script)).outcome is Outcome.BUSY
    (lock / "pid").write_text("999999999\n")
    assert (await run(guest, pce, script)).outcome is Outcome.PAIRED
    assert not lock.exists()


async def test_a_script_that_is_told_to_stop_still_says_how_it_ended(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    pce.script = "#!/bin/sh\nkill -TERM $(cat /tmp/pid)\n"
    (guest.folder / "root" / "install.sh").write_text(LINUX)
    script = "#!/bin/bash\necho $$ >/tmp/pid\nexec bash /root/install.sh\n"
    assert await run(guest, pce, script) == ScriptResult(Outcome.SCRIPT_FAILED, 606, None, None)
