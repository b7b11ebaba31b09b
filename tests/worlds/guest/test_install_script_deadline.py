"""The script's own deadline, and where the key may be seen while the vendor's script runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from tests.worlds.guest.script_runs import run

from microseg.scripts import LINUX, Outcome, ScriptResult
from simulators.azure.guest import Guest

if TYPE_CHECKING:
    from tests.worlds.guest.conftest import Pce

MakeGuest = Callable[..., Guest]

ENDLESS = "#!/bin/sh\ntrap '' HUP\nsleep 300 & echo $! >/tmp/child\nwait\n"
LOOKING = """#!/bin/bash
lines=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ')
[[ $lines == *pair.sh* ]] && echo looked >>/tmp/seen
[[ $lines == *$4* ]] && echo command-line >>/tmp/seen
[[ $(env) == *$4* ]] && echo environment >>/tmp/seen
echo "$0 $# $1 $2 $3" >>/tmp/seen
"""


@pytest.mark.parametrize("script", [LINUX, LINUX.replace("command -v timeout", "command -v no-such-program")])
async def test_a_pairing_that_does_not_end_is_ended_with_its_children_and_told(
    make_guest: MakeGuest, pce: Pce, script: str
) -> None:
    guest, pce.script = make_guest(), ENDLESS
    assert await run(guest, pce, script, DEADLINE="3") == ScriptResult(Outcome.TIMED_OUT, 608, None, None)
    child = (guest.folder / "tmp" / "child").read_text().strip()
    pce.script = f"#!/bin/sh\ngrep -q '^State:.[RSD]' /proc/{child}/status && exit 3\nexit 4\n"
    assert await run(guest, pce) == ScriptResult(Outcome.SCRIPT_FAILED, 4, None, None)


@pytest.mark.parametrize("script", [LINUX, LINUX.replace("command -v timeout", "command -v no-such-program")])
async def test_a_vm_that_paired_before_the_deadline_is_paired(make_guest: MakeGuest, pce: Pce, script: str) -> None:
    guest = make_guest()
    pce.script += "sleep 300\n"
    assert (await run(guest, pce, script, DEADLINE="4")).outcome is Outcome.PAIRED


async def test_the_key_is_on_no_command_line_and_in_no_environment_of_a_child(make_guest: MakeGuest, pce: Pce) -> None:
    guest, pce.script = make_guest(), LOOKING
    await run(guest, pce)
    seen = (guest.folder / "tmp" / "seen").read_text().splitlines()
    arguments = f"/run/microseg/work/pair.sh 4 --management-server {pce.address} --activation-code"
    assert seen == ["looked", arguments]


@pytest.mark.parametrize("deadline", ["", "0", "soon", "1234567"])
async def test_a_deadline_that_is_none_is_refused(make_guest: MakeGuest, pce: Pce, deadline: str) -> None:
    assert await run(make_guest(), pce, DEADLINE=deadline) == ScriptResult(Outcome.SCRIPT_FAILED, 601, None, None)
