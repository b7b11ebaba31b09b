"""Why a connection failed, in our own words: a library's text can hold URLs and secrets."""

from __future__ import annotations

import re

DISTRUST = ("the server's certificate is not the pinned one", "its certificate is not trusted")


def cause_of(error: BaseException) -> str:
    """The kind of failure, as the end of a sentence."""
    text = f"{type(error).__name__} {error}"
    if unresolved := re.search(r"resolve '([A-Za-z0-9._-]{1,253})'", text):
        return f"the name {unresolved[1]} does not resolve"
    for pattern, words in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return words
    return "the connection failed"


_CAUSES = (
    ("AnswerTooLarge", "the answer is larger than allowed, or than other answers leave room for"),
    ("AnswerTooLate", "the answer took too long"),
    ("fingerprint", DISTRUST[0]),
    ("CERTIFICATE_VERIFY_FAILED|certificate verify|doesn't match", DISTRUST[1]),
    ("NameResolution|getaddrinfo|Name or service", "its name does not resolve"),
    ("refused", "the connection was refused"),
    ("ConnectTimeout|connect timeout", "it did not accept the connection in time"),
    ("ReadTimeout|timed out", "it did not answer in time"),
    ("SSL", "TLS failed"),
    ("reset|aborted|disconnected|IncompleteRead|ProtocolError", "the connection broke"),
)
