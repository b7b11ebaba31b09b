"""Runs the operator's script for Linux in a guest and checks what holds of every run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.worlds.guest.orders import ordered

from microseg.scripts import EXIT_CODES, LINUX, ScriptResult, parse_result
from simulators.azure.guest import Guest, GuestResult

if TYPE_CHECKING:
    from tests.worlds.guest.conftest import Pce

KEY = "deadbeefcafe0123456789"
ORG = 7
NONCE = "00ff00ff00ff00ff"
OTHER = "7f0c4e1a-53d1-4c1b-9f0e-0a1b2c3d4e5f"


async def run(guest: Guest, pce: Pce, script: str = LINUX, **changes: str) -> ScriptResult:
    """Run the script and check what holds of every run."""
    answer = await guest.run(ordered(script, pce.parameters(guest, **changes), 50))
    return checked(guest, answer)


def checked(guest: Guest, answer: GuestResult) -> ScriptResult:
    """The result: one line and nothing else on stdout, its exit code, the key nowhere."""
    result = parse_result(answer.stdout, NONCE)
    assert result is not None, answer
    assert answer.stdout.count("microseg-result") == 1
    assert answer.stdout.count("\n") == 1
    assert answer.exit_code == EXIT_CODES[result.outcome]
    assert KEY not in answer.stdout + answer.stderr
    assert [path for path in guest.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []
    assert not (guest.folder / "run" / "microseg" / "work").exists()
    return result
