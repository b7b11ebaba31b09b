"""What Azure's handler on a VM says of an execution that ended without our result line.

Its code says whether the script began; its words say why not. The words come out of a VM, so they are looked up in a
table and never repeated. `stages/attempt` and `stages/failure` use it.

Source: Azure/run-command-handler-linux, internal/constants/exitcodes.go (-100 to -299: the handler's own, before the
script begins; -100 is also a disk that cannot take its folder), internal/exec/exec.go (-1: ended by a signal),
pkg/errorutil; 126 and 127 are bash's own ("the command was found but cannot be invoked", "not found", bash(1)), because
the handler runs `bash -c PATH`. The handler for Windows is not public: no code of it proves anything here.
"""

from __future__ import annotations

from typing import Final

_KNOWN: Final = (
    "certificate",
    "no space left on device",
    "disk quota exceeded",
    "read-only file system",
    "permission denied",
    "operation not permitted",
    "input/output error",
    "structure needs cleaning",
    "too many open files",
    "cannot allocate memory",
    "resource temporarily unavailable",
    "text file busy",
    "exec format error",
    "argument list too long",
    "bad interpreter",
    "no such file or directory",
    "not a directory",
    "file name too long",
    "too many levels of symbolic links",
)
"""Texts of errno, in Go's and bash's spelling (Go: syscall/zerrors_linux_amd64.go), and what the handler says of the
certificate that protects the parameters, which stands beside "no such file". The first one found counts."""
_WORDS: Final = {"certificate": "the certificate that protects the parameters is missing"}
_HOPELESS: Final = "argument list too long"
"""The only failure to begin that has no code: `Failed` with 0."""
_BY_CODE: Final = {
    -1: "the script was killed: by its time limit, for lack of memory, or by a signal",
    126: "the VM does not allow to run a script in the folder of Azure's agent",
    127: "the VM lacks the script's interpreter, /bin/bash",
    -202: "the certificate that protects the parameters is missing",
    -203: "the script could not be written to the VM's disk",
}


def never_began(state: str, code: int | None, words: str, *, windows: bool) -> bool:
    """Whether an ended execution without our result line proves that the script did not begin.

    `state`: Azure's; `words`: from `known_words`.
    """
    if windows or state != "Failed" or code is None:
        return False
    return code in (126, 127) or _is_handlers_own(code) or (code == 0 and words == _HOPELESS)


def known_words(*texts: str) -> str:
    """The first known phrase in what the handler or the shell said; empty: none."""
    for text in texts:
        lower = text.lower()
        found = next((phrase for phrase in _KNOWN if phrase in lower), "")
        if found:
            return _WORDS.get(found, found)
    return ""


def explain_end(code: int | None, words: str) -> str:
    """Why an execution left no result line, as the rest of a sentence; empty: nothing is known."""
    meaning = _BY_CODE.get(code or 0, "")
    if code is not None and _is_handlers_own(code):
        meaning = f"{words} on the VM" if words else meaning or "Azure's handler on the VM could not begin it"
    elif words:
        meaning = f"{meaning}: {words}" if meaning else words
    if not code:
        return meaning
    kind = "handler code" if code < 0 else "exit code"
    return f"{meaning} ({kind} {code})" if meaning else f"{kind} {code}"


def _is_handlers_own(code: int) -> bool:
    """Whether the handler sets this code before the script begins."""
    return -299 <= code <= -100
