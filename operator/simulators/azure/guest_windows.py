r"""Emulates the operator's PowerShell script for Windows: does in Python, step by step, what the script says.

The PowerShell text is NOT executed: the simulators' machine has no PowerShell. `Guest` calls this for Windows VMs.
Real are: the binding of parameters by name to the script's own `param` block (an unknown one is an error, as in
PowerShell), the download of the PCE's pair.ps1 over verified HTTPS, and the agent's side of pairing, by the PCE
simulator's own pair.sh inside the VM's sandbox. The place of C:\ProgramData\Illumio\etc is taken by
opt/illumio_ven_data/etc in the VM's folder.
"""

from __future__ import annotations

import errno
import fcntl
import re
import shutil
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

_VEN = Path("opt/illumio_ven_data/etc")
_LARGEST_SCRIPT = 10 * 1024 * 1024
_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_FORMS = {
    "MICROSEG_NONCE": r"[0-9a-f]{8,64}",
    "MICROSEG_MODE": r"install|probe",
    "MICROSEG_VM_ID": _UUID,
    "MICROSEG_PCE": r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?:[0-9]{1,5}",
    "MICROSEG_PCE_PATH_VERSION": r"[0-9]{1,3}",
    "MICROSEG_PROFILE_ID": r"[0-9]{1,10}",
    "MICROSEG_NOT_AFTER": r"[1-9][0-9]{0,11}",
    "MICROSEG_DEADLINE": r"[1-9][0-9]{0,5}",
    "MICROSEG_ACTIVATION_CODE": r"([0-9A-Za-z][0-9A-Za-z._-]{7,255})?",
}
_DEFAULTS = {"MICROSEG_PCE_PATH_VERSION": "18", "MICROSEG_PROFILE_ID": "0"}
_KEY = r"(activation|pairing)[ _-]*(code|key)"
_REFUSAL = (
    r"(invalid|not valid|expired|refused|rejected|revoked|denied|exhausted|exceeded|already used|used up"
    r"|unauthori[sz]ed)"
)
_KEY_REFUSED = re.compile(f"{_KEY}.*{_REFUSAL}|{_REFUSAL}.*{_KEY}", re.IGNORECASE)
_NETWORK = re.compile(
    r"curl: \((5|6|7|28|35|52|56|60)\)|could not resolve host|connection (refused|timed out)"
    r"|HTTP(/[0-9.]+)? 5[0-9][0-9]|service unavailable|bad gateway|gateway time-?out",
    re.IGNORECASE,
)
_EXIT_CODES = {
    "paired": 0,
    "already-paired": 0,
    "not-paired": 0,
    "wrong-vm": 10,
    "too-late": 11,
    "busy": 12,
    "paired-elsewhere": 13,
    "key-refused": 14,
    "pce-unreachable": 15,
    "unsupported-os": 16,
}
_FAILED = 17


def exit_code(outcome: str) -> int:
    """With what the product's script ends, by the word of its result line."""
    return _EXIT_CODES.get(outcome, _FAILED)


@dataclass(frozen=True, slots=True)
class Paired:
    """How the pairing script ended, and everything that it printed."""

    exit_code: int
    output: str


Pair = Callable[[Sequence[str]], Awaitable[Paired]]
"""Runs bash with these arguments inside the VM's sandbox."""


@dataclass(frozen=True, slots=True)
class _Result:
    outcome: str
    code: int = 0
    workload: str = "-"
    org: str = "-"


class _EarlyExit(Exception):
    def __init__(self, outcome: str, code: int = 0) -> None:
        super().__init__(outcome)
        self.result = _Result(outcome, code)


@dataclass(frozen=True, slots=True)
class WindowsScriptEmulator:
    """The script in one Windows VM."""

    vm_id: str
    folder: Path
    ca_file: Path
    pair: Pair

    async def run(self, script: str, parameters: Mapping[str, str]) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr of the script with these parameters."""
        declared = set(re.findall(r"\[string\]\$(MICROSEG_[A-Z_]+)", script.partition("\n)")[0]))
        unknown = sorted(set(parameters) - declared)
        if unknown:
            return 1, "", f"A parameter cannot be found that matches parameter name '{unknown[0]}'.\n"
        given = _DEFAULTS | {name: value for name, value in parameters.items() if value}
        try:
            result = await self._run(given)
        except _EarlyExit as ended:
            result = ended.result
        nonce = given.get("MICROSEG_NONCE", "")
        line = (
            f"microseg-result v1 nonce={nonce if re.fullmatch(_FORMS['MICROSEG_NONCE'], nonce) else '-'}"
            f" outcome={result.outcome} code={result.code} workload={result.workload} org={result.org}\r\n"
        )
        return exit_code(result.outcome), line, ""

    async def _run(self, given: Mapping[str, str]) -> _Result:
        for name, form in _FORMS.items():
            if not re.fullmatch(form, given.get(name, "")):
                raise _EarlyExit("script-failed", 601)
        if given["MICROSEG_VM_ID"].lower() != self.vm_id:
            raise _EarlyExit("wrong-vm", 611)
        _check_time(given)
        with self._lock():
            pce = given["MICROSEG_PCE"]
            found = self._look_for_ven(pce)
            if found is not None:
                return _Result("already-paired", 0, *found)
            if given["MICROSEG_MODE"] == "probe":
                return _Result("not-paired")
            if not given.get("MICROSEG_ACTIVATION_CODE"):
                raise _EarlyExit("script-failed", 602)
            return await self._install(given)

    async def _install(self, given: Mapping[str, str]) -> _Result:
        pce = given["MICROSEG_PCE"]
        await self._download(given, "pair.ps1")
        script = await self._download(given, "pair.sh")
        _check_time(given)
        work = self.folder / "run" / "microseg" / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        try:
            (work / "pair.sh").write_bytes(script)
            arguments = ("--management-server", pce, "--activation-code", given["MICROSEG_ACTIVATION_CODE"])
            ended = await self.pair(("/run/microseg/work/pair.sh", *arguments))
        finally:
            shutil.rmtree(work)
        try:
            found = self._look_for_ven(pce)
        except _EarlyExit:
            raise _EarlyExit("script-failed", 607) from None
        if found is not None:
            return _Result("paired", ended.exit_code, *found)
        output = ended.output
        if any(_KEY_REFUSED.search(line) for line in output.splitlines()):
            raise _EarlyExit("key-refused", ended.exit_code)
        if _NETWORK.search(output):
            raise _EarlyExit("pce-unreachable", ended.exit_code)
        raise _EarlyExit("script-failed", ended.exit_code or 605)

    async def _download(self, given: Mapping[str, str], name: str) -> bytes:
        url = f"https://{given['MICROSEG_PCE']}/api/v{given['MICROSEG_PCE_PATH_VERSION']}/software/ven/image"
        query = {"pair_script": name, "profile_id": given["MICROSEG_PROFILE_ID"]}
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=300)) as session,
                session.get(url, params=query, ssl=trust, allow_redirects=False) as answer,
            ):
                status, body = answer.status, await answer.content.read(_LARGEST_SCRIPT)
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise _EarlyExit("pce-unreachable", 2) from None
        if status >= 500:
            raise _EarlyExit("pce-unreachable", status)
        if status != 200:
            raise _EarlyExit("script-failed", status)
        if not body.strip() or body.lstrip().startswith((b"<!", b"<html")):
            raise _EarlyExit("script-failed", 604)
        return body

    def _look_for_ven(self, pce: str) -> tuple[str, str] | None:
        """Return workload and org of the VEN that is paired with `pce`, or None."""
        server = _value_of(self.folder / _VEN / "agent_activation.cfg", "masterconfig_server")
        if not server:
            return None
        if server.lower() != pce.lower():
            raise _EarlyExit("paired-elsewhere")
        workload = _value_of(self.folder / _VEN / "agent_id.cfg", "workload_uuid")
        org = _value_of(self.folder / _VEN / "agent_id.cfg", "org_id")
        if re.fullmatch(_UUID, workload) and re.fullmatch(r"[0-9]{1,10}", org):
            return workload.lower(), org
        return None

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the VM's lock (a named mutex in the script); never waits."""
        path = self.folder / "run" / "microseg"
        path.mkdir(mode=0o700, exist_ok=True)
        with (path / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                    raise
                raise _EarlyExit("busy") from None
            yield


def write_ven(folder: Path, workload_uuid: str, org_id: int, pce: str) -> None:
    """Write the files of a paired VEN into a VM's folder, Linux or Windows."""
    place = folder / _VEN
    place.mkdir(parents=True, exist_ok=True)
    (place / "agent_activation.cfg").write_text(f"masterconfig_server: {pce}\n")
    (place / "agent_id.cfg").write_text(f"agent_id: 1\norg_id: {org_id}\nworkload_uuid: {workload_uuid}\n")


def workload_of(folder: Path) -> str:
    """Return the uuid of the workload whose VEN is in a VM's folder; empty: none."""
    return _value_of(folder / _VEN / "agent_id.cfg", "workload_uuid")


def remove_ven(folder: Path, workload_uuid: str) -> bool:
    """Remove the VEN of that workload from a VM's folder; return whether there was one."""
    place = folder / _VEN
    if _value_of(place / "agent_id.cfg", "workload_uuid").lower() != workload_uuid.lower():
        return False
    shutil.rmtree(place.parent, ignore_errors=True)
    return True


def _check_time(given: Mapping[str, str]) -> None:
    if time.time() >= int(given["MICROSEG_NOT_AFTER"]):
        raise _EarlyExit("too-late")


def _value_of(path: Path, key: str) -> str:
    if not path.is_file():
        return ""
    for line in path.read_text(errors="replace").splitlines():
        match = re.match(rf"\s*{key}\s*[:=]\s*[\"']?([^\"'\s]*)", line)
        if match:
            return match[1]
    return ""
