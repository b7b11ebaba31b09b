"""The operator's script for Linux when the PCE, the vendor's script or its own parameters are not as they should be."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.worlds.guest.orders import ordered
from tests.worlds.guest.script_runs import ORG, OTHER, run

from microseg.scripts import LINUX, Outcome, ScriptResult
from simulators.azure.guest import Guest
from simulators.certificates import make_authority

if TYPE_CHECKING:
    from tests.worlds.guest.conftest import Pce

MakeGuest = Callable[..., Guest]


async def test_a_refused_key_is_told_apart(make_guest: MakeGuest, pce: Pce) -> None:
    pce.valid.clear()
    assert await run(make_guest(), pce) == ScriptResult(Outcome.KEY_REFUSED, 4, None, None)


async def test_an_unknown_failure_of_the_vendor_s_script_keeps_its_code(make_guest: MakeGuest, pce: Pce) -> None:
    pce.script = "#!/bin/sh\necho disk full\nexit 42\n"
    assert await run(make_guest(), pce) == ScriptResult(Outcome.SCRIPT_FAILED, 42, None, None)


async def test_a_vendor_s_script_that_ends_well_without_pairing_is_no_success(make_guest: MakeGuest, pce: Pce) -> None:
    pce.script = "#!/bin/sh\necho VEN has been SUCCESSFULLY paired with Illumio\n"
    assert await run(make_guest(), pce) == ScriptResult(Outcome.SCRIPT_FAILED, 605, None, None)


async def test_the_files_decide_when_the_vendor_s_script_ends_badly_after_pairing(
    make_guest: MakeGuest, pce: Pce
) -> None:
    pce.script += "exit 3\n"
    assert await run(make_guest(), pce) == ScriptResult(Outcome.PAIRED, 3, pce.workloads[0], ORG)


async def test_a_vendor_s_script_that_pairs_with_another_pce_is_no_success(make_guest: MakeGuest, pce: Pce) -> None:
    pce.script = pce.script.replace("masterconfig_server: $server", "masterconfig_server: elsewhere:8443")
    assert await run(make_guest(), pce) == ScriptResult(Outcome.SCRIPT_FAILED, 607, None, None)


async def test_a_page_in_place_of_the_pairing_script_is_not_run(make_guest: MakeGuest, pce: Pce) -> None:
    pce.script = "<html>sign in to the network</html>"
    assert await run(make_guest(), pce) == ScriptResult(Outcome.SCRIPT_FAILED, 604, None, None)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(503, Outcome.PCE_UNREACHABLE), (404, Outcome.SCRIPT_FAILED), (302, Outcome.SCRIPT_FAILED)],
)
async def test_a_download_that_the_pce_answers_badly(
    make_guest: MakeGuest, pce: Pce, status: int, outcome: Outcome
) -> None:
    pce.status = status
    assert await run(make_guest(), pce) == ScriptResult(outcome, status, None, None)


async def test_a_pce_that_does_not_listen_is_unreachable(make_guest: MakeGuest, pce: Pce) -> None:
    assert await run(make_guest(), pce, PCE="127.0.0.1:1") == ScriptResult(Outcome.PCE_UNREACHABLE, 7, None, None)


async def test_a_pce_whose_name_is_unknown_is_unreachable(make_guest: MakeGuest, pce: Pce) -> None:
    result = await run(make_guest(), pce, PCE="no-such-host.invalid:8443")
    assert result == ScriptResult(Outcome.PCE_UNREACHABLE, 6, None, None)


@pytest.mark.parametrize("own_config", ["", "insecure\nlocation\n"], ids=["plain", "curlrc-says-insecure"])
async def test_a_pce_with_an_untrusted_certificate_is_never_asked(
    make_guest: MakeGuest, pce: Pce, tmp_path: Path, own_config: str
) -> None:
    guest = make_guest(ca_file=make_authority(tmp_path / "other-ca")[0])
    (guest.folder / "root" / "install.sh").write_text(LINUX)
    script = f"#!/bin/bash\nprintf '%s' '{own_config}' >>/root/.curlrc\nexec bash /root/install.sh\n"
    assert await run(guest, pce, script) == ScriptResult(Outcome.PCE_UNREACHABLE, 60, None, None)
    assert pce.scripts_sent == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODE", "uninstall"),
        ("MODE", "install\nprobe"),
        ("VM_ID", "host24"),
        ("PCE", "127.0.0.1"),
        ("PCE", "pce:443/../x?"),
        ("PCE", "-o/etc/passwd:443"),
        ("PCE", "pce:443\n"),
        ("PCE", "$(touch /opt/mark):443"),
        ("PCE_PATH_VERSION", "18/../../x"),
        ("PROFILE_ID", "3&x=1"),
        ("NOT_AFTER", "soon"),
        ("NOT_AFTER", "a[$(touch /opt/mark)]"),
        ("ACTIVATION_CODE", "--insecure"),
        ("ACTIVATION_CODE", "abc def ghi jkl"),
        ("ACTIVATION_CODE", "abcdefgh;touch /opt/mark"),
    ],
)
async def test_a_malformed_parameter_is_refused_before_anything_else(
    make_guest: MakeGuest, pce: Pce, name: str, value: str
) -> None:
    guest = make_guest()
    assert await run(guest, pce, **{name: value}) == ScriptResult(Outcome.SCRIPT_FAILED, 601, None, None)
    assert pce.scripts_sent == []
    assert list((guest.folder / "opt").iterdir()) == []


@pytest.mark.parametrize("nonce", ["", "00FF00FF", "00ff00ff outcome=paired", "00ff00ff\nx", "00ff"])
async def test_a_malformed_nonce_is_not_printed(make_guest: MakeGuest, pce: Pce, nonce: str) -> None:
    guest = make_guest()
    answer = await guest.run(ordered(LINUX, pce.parameters(guest, NONCE=nonce), 50))
    assert answer.stdout == "microseg-result v1 nonce=- outcome=script-failed code=601 workload=- org=-\n"


async def test_an_install_without_a_key_stops_before_the_pce(make_guest: MakeGuest, pce: Pce) -> None:
    result = await run(make_guest(), pce, ACTIVATION_CODE="")
    assert result == ScriptResult(Outcome.SCRIPT_FAILED, 602, None, None)
    assert pce.scripts_sent == []


async def test_files_of_a_ven_with_hostile_text_are_not_believed(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    guest.preload_paired(f"{OTHER}/../x", ORG, pce.address)
    assert (await run(guest, pce, MODE="probe")).outcome is Outcome.NOT_PAIRED


@pytest.mark.skipif(os.geteuid() != 0, reason="taking a program away from a VM needs root")
@pytest.mark.parametrize(("program", "code"), [("curl", 623), ("sed", 624), ("grep", 624), ("head", 624)])
async def test_a_missing_program_is_told_before_anything_is_done(
    make_guest: MakeGuest, pce: Pce, program: str, code: int
) -> None:
    guest = make_guest()
    guest.hide_program(program)
    assert await run(guest, pce) == ScriptResult(Outcome.UNSUPPORTED_OS, code, None, None)
    assert pce.scripts_sent == []
    guest.wipe()
    assert (await run(guest, pce)).outcome is Outcome.PAIRED


@pytest.mark.skipif(os.geteuid() != 0, reason="taking a program away from a VM needs root")
async def test_a_paired_vm_without_sed_is_not_taken_for_an_unpaired_one(make_guest: MakeGuest, pce: Pce) -> None:
    guest = make_guest()
    guest.preload_paired(str(uuid.uuid4()), ORG, "other-pce.example:8443")
    guest.hide_program("sed")
    assert (await run(guest, pce)).outcome is Outcome.UNSUPPORTED_OS
    assert pce.paired == []
