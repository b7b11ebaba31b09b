"""The emulator of the Windows script: the same outcomes by the same steps, without PowerShell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.worlds.guest.orders import ordered

from microseg.scripts import EXIT_CODES, WINDOWS, Outcome, ScriptResult, parse_result
from simulators.azure.guest import Guest
from simulators.certificates import make_authority

if TYPE_CHECKING:
    from tests.worlds.guest.conftest import Pce

KEY = "deadbeefcafe0123456789"
ORG = 7
NONCE = "00ff00ff00ff00ff"
OTHER = "7f0c4e1a-53d1-4c1b-9f0e-0a1b2c3d4e5f"


@pytest.fixture
def guest(make_guest: Callable[..., Guest]) -> Guest:
    """A Windows VM."""
    return make_guest("Host24", os="Windows")


async def run(guest: Guest, pce: Pce, **changes: str) -> ScriptResult:
    """Run it and check what holds of every run."""
    answer = await guest.run(ordered(WINDOWS, pce.parameters(guest, **changes), 50))
    result = parse_result(answer.stdout, NONCE)
    assert result is not None, answer
    assert answer.exit_code == EXIT_CODES[result.outcome]
    assert KEY not in answer.stdout + answer.stderr
    assert [path for path in guest.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []
    return result


async def test_a_new_vm_is_paired_as_a_windows_machine_and_the_second_run_needs_no_key(guest: Guest, pce: Pce) -> None:
    assert await run(guest, pce) == ScriptResult(Outcome.PAIRED, 0, pce.workloads[0], ORG)
    assert pce.paired[0]["os"] == "Windows"
    assert pce.scripts_sent[0] == "/api/v18/software/ven/image?pair_script=pair.ps1&profile_id=3"
    assert (await run(guest, pce, ACTIVATION_CODE="")).outcome is Outcome.ALREADY_PAIRED
    assert len(pce.paired) == 1


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"MODE": "probe"}, Outcome.NOT_PAIRED),
        ({"VM_ID": OTHER}, Outcome.WRONG_VM),
        ({"NOT_AFTER": "1"}, Outcome.TOO_LATE),
        ({"PCE": "127.0.0.1:1"}, Outcome.PCE_UNREACHABLE),
        ({"PCE": "nonsense"}, Outcome.SCRIPT_FAILED),
        ({"ACTIVATION_CODE": ""}, Outcome.SCRIPT_FAILED),
        ({"ACTIVATION_CODE": "0123456789"}, Outcome.KEY_REFUSED),
    ],
)
async def test_the_other_outcomes(guest: Guest, pce: Pce, changes: dict[str, str], outcome: Outcome) -> None:
    assert (await run(guest, pce, **changes)).outcome is outcome
    assert pce.paired == []


async def test_a_ven_of_another_pce_is_left_alone(guest: Guest, pce: Pce) -> None:
    guest.preload_paired(OTHER, ORG, "other-pce.example:8443")
    assert (await run(guest, pce)).outcome is Outcome.PAIRED_ELSEWHERE


async def test_of_two_runs_at_once_one_is_busy(guest: Guest, pce: Pce) -> None:
    pce.hold = asyncio.Event()
    first = asyncio.create_task(guest.run(ordered(WINDOWS, pce.parameters(guest), 50)))
    await asyncio.wait_for(pce.began.wait(), 30)
    second = await guest.run(ordered(WINDOWS, pce.parameters(guest), 50))
    assert parse_result(second.stdout, NONCE) == ScriptResult(Outcome.BUSY, 0, None, None)
    pce.hold.set()
    assert parse_result((await first).stdout, NONCE) == ScriptResult(Outcome.PAIRED, 0, pce.workloads[0], ORG)


async def test_an_untrusted_pce_is_never_asked(make_guest: Callable[..., Guest], pce: Pce, tmp_path: Path) -> None:
    guest = make_guest("w", os="Windows", ca_file=make_authority(tmp_path / "other-ca")[0])
    assert (await run(guest, pce)).outcome is Outcome.PCE_UNREACHABLE
    assert pce.scripts_sent == []


async def test_a_parameter_that_the_script_does_not_declare_is_an_error(guest: Guest, pce: Pce) -> None:
    answer = await guest.run(ordered(WINDOWS, pce.parameters(guest, SURPRISE="1"), 50))
    assert (answer.exit_code, answer.stdout) == (1, "")


async def test_a_run_is_ended_after_its_time(guest: Guest, pce: Pce) -> None:
    pce.hold = asyncio.Event()
    began = time.monotonic()
    answer = await guest.run(ordered(WINDOWS, pce.parameters(guest), 0.7))
    assert answer.timed_out
    assert time.monotonic() - began < 20
