"""The constant scripts that run on VMs, and the only reader of what they say.

The Azure gateway sends `LINUX` or `WINDOWS` unchanged as the source of a managed run-command; the agent stage reads
their result with `parse_result`. What differs from VM to VM goes in as the run-command's parameters (`Parameter`). On
Linux they are environment variables (Azure/run-command-handler-linux, internal/exec/exec.go), on Windows PowerShell
parameters.

The output of a script is the word of whoever has root on the VM: a result here is a hint until the PCE confirms it.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from types import MappingProxyType
from typing import Final


def _text(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="ascii")


LINUX: Final = _text("install.sh")
"""The script for bash on Linux."""

WINDOWS: Final = _text("install.ps1")
"""The script for Windows PowerShell 5.1 and later."""

SCRIPT_VERSION: Final = hashlib.sha256(f"{LINUX}\0{WINDOWS}".encode()).hexdigest()[:12]
"""Changes when either script does: 12 hex digits."""


class Parameter(StrEnum):
    """What a script is given. As they are environment variables on Linux, the Azure Policy lets no other name pass."""

    MODE = "MICROSEG_MODE"
    """`install` or `probe`."""
    VM_ID = "MICROSEG_VM_ID"
    PCE = "MICROSEG_PCE"
    """host:port."""
    PCE_PATH_VERSION = "MICROSEG_PCE_PATH_VERSION"
    PROFILE_ID = "MICROSEG_PROFILE_ID"
    NOT_AFTER = "MICROSEG_NOT_AFTER"
    """Epoch seconds: it must have begun before."""
    DEADLINE = "MICROSEG_DEADLINE"
    """Seconds from its start until it ends the pairing script."""
    NONCE = "MICROSEG_NONCE"
    """8 to 64 hex digits."""
    ACTIVATION_CODE = "MICROSEG_ACTIVATION_CODE"
    """For `install` only, and protected: Azure never shows it."""


PROTECTED: Final = frozenset({Parameter.ACTIVATION_CODE})
"""The protected parameters; the others are plain."""


class Outcome(StrEnum):
    """How a run of a script ended: the word in its result line."""

    PAIRED = "paired"
    """The VEN was installed and is paired with our PCE."""
    ALREADY_PAIRED = "already-paired"
    """A VEN paired with our PCE was there before; nothing was done, no key was used."""
    NOT_PAIRED = "not-paired"
    """A probe found no VEN of any PCE."""
    WRONG_VM = "wrong-vm"
    """The VM is not the one meant, or could not tell which it is; nothing was done."""
    TOO_LATE = "too-late"
    """The run began after its time; nothing was done."""
    BUSY = "busy"
    """Another run holds the VM's lock; nothing was done."""
    PAIRED_ELSEWHERE = "paired-elsewhere"
    """A VEN paired with another PCE is there; nothing was done."""
    KEY_REFUSED = "key-refused"
    """The PCE did not accept the activation code."""
    PCE_UNREACHABLE = "pce-unreachable"
    """The VM could not reach the PCE, or does not trust its certificate."""
    UNSUPPORTED_OS = "unsupported-os"
    """The operating system, the processor or a missing program rules the VEN out."""
    SCRIPT_FAILED = "script-failed"
    """Anything else; the code tells what."""
    TIMED_OUT = "timed-out"
    """The pairing script did not end before the script's deadline, and was ended by it."""


EXIT_CODES: Final[Mapping[Outcome, int]] = MappingProxyType(
    {
        Outcome.PAIRED: 0,
        Outcome.ALREADY_PAIRED: 0,
        Outcome.NOT_PAIRED: 0,
        Outcome.WRONG_VM: 10,
        Outcome.TOO_LATE: 11,
        Outcome.BUSY: 12,
        Outcome.PAIRED_ELSEWHERE: 13,
        Outcome.KEY_REFUSED: 14,
        Outcome.PCE_UNREACHABLE: 15,
        Outcome.UNSUPPORTED_OS: 16,
        Outcome.SCRIPT_FAILED: 17,
        Outcome.TIMED_OUT: 18,
    }
)
"""The exit code that goes with each outcome, on both systems. Azure may lose it: the result line counts."""

CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        600: "the script itself ended unexpectedly",
        601: "a parameter is missing or malformed",
        602: "there is no activation code and the VM is not paired",
        603: "the script could not make its lock or its working folder",
        604: "what the PCE sent as its pairing script is not a script",
        605: "the pairing script ended well, but the VM is not paired",
        606: "the script received a signal to stop",
        607: "the pairing script paired the VM with another PCE",
        608: "the pairing script did not end in its time, and was ended",
        611: "the VM's own vmId is another one",
        612: "the VM's own vmId could not be read",
        621: "the operating system is not supported",
        622: "the processor is not supported",
        623: "curl is missing on the VM",
        624: "a basic program (of coreutils, sed or grep) is missing on the VM",
    }
)
"""The scripts' own values of `ScriptResult.code`. Lower ones are of the tool that failed: the pairing script's exit
code; when downloading, an HTTP status (400 and up) or curl's exit code (Windows: the WebExceptionStatus)."""


PROGRAM_CODES: Final = frozenset({623, 624})
"""Codes of a missing program: the operating system itself is supported."""

_CURL: Final[Mapping[int, str]] = MappingProxyType(
    {
        5: "the name of its proxy does not resolve",
        6: "the PCE's name does not resolve on the VM",
        7: "the connection to the PCE failed",
        28: "the PCE did not answer in time",
        35: "TLS with the PCE failed",
        51: "the PCE's certificate is for another name",
        52: "the PCE answered nothing",
        56: "the connection to the PCE broke",
        60: "the VM does not trust the PCE's certificate",
        77: "the VM's own CA bundle cannot be read",
    }
)
"""Exit codes of curl (curl.se/libcurl/c/libcurl-errors.html)."""
_WEB_EXCEPTION: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "the PCE's name does not resolve on the VM",
        2: "the connection to the PCE failed",
        9: "the VM does not trust the PCE's certificate",
        10: "TLS with the PCE failed",
        14: "the PCE did not answer in time",
        15: "the name of its proxy does not resolve",
    }
)
"""Values of .NET's System.Net.WebExceptionStatus."""


def explain_code(outcome: str, code: int, *, windows: bool) -> str:
    """What a code means, in words for a condition. The code came out of a VM: only its number is used."""
    if (words := CODES.get(code)) is not None:
        return words
    if 400 <= code < 600:
        return f"the PCE answered HTTP {code} when its pairing script was fetched"
    if outcome == Outcome.PCE_UNREACHABLE:
        network = _WEB_EXCEPTION if windows else _CURL
        return network.get(code, "the network failed in a way that has no name here")
    return "the exit code of the PCE's pairing script or of its download"


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """What a script printed. `workload` (lower-case uuid) and `org` are set exactly for paired and already-paired."""

    outcome: Outcome
    code: int
    workload: str | None
    org: int | None


_RESULT = re.compile(
    r"microseg-result v1"
    r" nonce=(?P<nonce>[0-9a-f]{8,64})"
    r" outcome=(?P<outcome>" + "|".join(Outcome) + r")"
    r" code=(?P<code>[0-9]{1,10})"
    r" workload=(?P<workload>-|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r" org=(?P<org>-|[0-9]{1,10})"
)

_WITH_IDENTITY = frozenset({Outcome.PAIRED, Outcome.ALREADY_PAIRED})


def parse_result(output: str, nonce: str) -> ScriptResult | None:
    """The result in the last line of `output` that is one with this nonce; None where there is none.

    Every other text is ignored and never returned: it is an attacker's to choose.
    """
    for line in reversed(output.split("\n")):
        match = _RESULT.fullmatch(line.removesuffix("\r"))
        if match is None or match["nonce"] != nonce:
            continue
        result = _result(match)
        if result is not None:
            return result
    return None


def _result(match: re.Match[str]) -> ScriptResult | None:
    outcome = Outcome(match["outcome"])
    workload = None if match["workload"] == "-" else str(uuid.UUID(match["workload"]))
    org = None if match["org"] == "-" else int(match["org"])
    expected = outcome in _WITH_IDENTITY
    if (workload is not None) is not expected or (org is not None) is not expected:
        return None
    return ScriptResult(outcome=outcome, code=int(match["code"]), workload=workload, org=org)
