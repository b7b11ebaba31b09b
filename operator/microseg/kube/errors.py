"""The errors of the Kubernetes API: a small closed family, so callers `match` types and parse no texts.

    KubeError ─┬─ Conflict ── AlreadyExists     another writer was faster: read again, decide again
               ├─ NotFound                      there is no such object (any more)
               ├─ Invalid                       the request itself is wrong; the message is the server's sentence
               ├─ Forbidden                     the identity or its RBAC
               └─ Unavailable ── Expired        try again later; a write may or may not have happened

`kube.client` raises them; callers of `kube` meet no others. Status reasons:
https://github.com/kubernetes/apimachinery, pkg/apis/meta/v1/types.go (StatusReason).
"""

from __future__ import annotations

import msgspec

_LONGEST_MESSAGE = 512


class KubeError(Exception):
    """Root of the family. `str()` is one sentence without secrets, fit for a log line or a condition."""


class Conflict(KubeError):
    """The object has changed since it was read: decide again from its new state."""


class AlreadyExists(Conflict):
    """There is already an object of this name."""


class NotFound(KubeError):
    """There is no such object (or no such kind of object)."""


class Invalid(KubeError):
    """The API server refuses the request for its content; the message is its sentence."""


class Forbidden(KubeError):
    """401 or 403: the identity or its RBAC."""


class Unavailable(KubeError):
    """No usable answer: network, time-out, 429, 5xx. A write may have happened.

    `retry_after`: seconds that the server asks to wait, 0 to 300; 0 if it does not ask.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        """`message`: the sentence."""
        super().__init__(message)
        self.retry_after = min(max(retry_after, 0.0), 300.0)


class Expired(Unavailable):
    """410: the API server no longer has the resourceVersion to watch from; list again."""


class SpecInvalid(ValueError):
    """An Estate's spec that this operator cannot use. `str()` names the field and what is wrong with it."""


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: int = 0


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


def error_from(status: int, body: bytes, request: str) -> KubeError:
    """The error for an answer of 300 or more, or for the Status object of a watch's ERROR line (`status` 0).

    `request` names the request ("PATCH /apis/...") if the body has no message of its own.
    """
    try:
        answer = msgspec.json.decode(body, type=_Status)
    except msgspec.DecodeError:
        answer = _Status()
    sentence = (answer.message or f"The API server answered {status} to {request}")[:_LONGEST_MESSAGE]
    match status or answer.code:
        case 401:
            return Forbidden("The API server does not accept this identity")
        case 403:
            return Forbidden(sentence)
        case 404:
            return NotFound(sentence)
        case 409:
            return AlreadyExists(sentence) if answer.reason == "AlreadyExists" else Conflict(sentence)
        case 410:
            return Expired(sentence)
        case 400 | 405 | 406 | 413 | 415 | 422:
            return Invalid(sentence)
        case _:
            return Unavailable(sentence, float(answer.details.retry_after_seconds) if answer.details else 0.0)
