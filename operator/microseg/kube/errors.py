"""What the Kubernetes API can answer other than yes: a small closed family, so that callers `match` and never parse.

    KubeError ─┬─ Conflict ── AlreadyExists     somebody else was faster: read again, decide again
               ├─ NotFound                      it is not there (any more)
               ├─ Invalid                       the request itself is wrong; the message is the server's sentence
               ├─ Forbidden                     the identity or its rights
               └─ Unavailable ── Expired        not now; a write may or may not have happened

Raised by `kube.client`; everything above meets only these. Status reasons:
https://github.com/kubernetes/apimachinery, pkg/apis/meta/v1/types.go (StatusReason).
"""

from __future__ import annotations

import msgspec

_SENTENCE = 512


class KubeError(Exception):
    """Root of the family. `str()` is one sentence without secrets, fit for a log line or a condition."""


class Conflict(KubeError):
    """The object changed since it was read: decide again from fresh state."""


class AlreadyExists(Conflict):
    """An object of this name is there already."""


class NotFound(KubeError):
    """There is no such object (or no such kind of object)."""


class Invalid(KubeError):
    """The API server refuses the request for its content."""


class Forbidden(KubeError):
    """401 or 403: who we are, or what we may do."""


class Unavailable(KubeError):
    """No answer, or none that counts: network, time-out, 429, 5xx. A write may have happened.

    `retry_after`: seconds that the server asks to wait; 0 where it does not say.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        """Take the sentence and the pause."""
        super().__init__(message)
        self.retry_after = min(max(retry_after, 0.0), 300.0)


class Expired(Unavailable):
    """410: the past that was asked for is no longer kept; list again."""


class SpecInvalid(ValueError):
    """An Estate's spec that this operator cannot use. `str()` names the field and what is wrong with it."""


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: int = 0


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


def error_from(status: int, body: bytes, what: str) -> KubeError:
    """Turn an answer of 300 or more, or the Status object of a watch's ERROR line, into one of the family.

    `what` names the request ("PATCH /apis/...") where the body has no sentence of its own.
    """
    try:
        answer = msgspec.json.decode(body, type=_Status)
    except msgspec.DecodeError:
        answer = _Status()
    sentence = (answer.message or f"the API server answered {status} to {what}")[:_SENTENCE]
    match status or answer.code:
        case 401:
            return Forbidden("the API server does not accept this identity")
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
