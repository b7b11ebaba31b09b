"""What all parts of the custom resources are made of: the frozen base, limited text, durations, references.

Limits are what keep a status small; descriptions are what `kubectl explain` prints.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=256)]
LongText = Annotated[str, Meta(max_length=1024)]
_LIMIT = 256


class Frozen(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True, gc=False):
    """What every part of a custom resource is: immutable, camelCase outside, silent about what is not known.

    Nothing immutable leads back to itself, so the garbage collector need not follow some thirty of them per host.
    """


Duration = Annotated[str, Meta(max_length=16, pattern=r"^([0-9]{1,9}(ms|s)|[0-9]{1,7}m|[0-9]{1,5}h|[0-9]{1,4}d)$")]
"""At most some thirty years: a longer one is a slip, and no point in time lies so far away."""
Name = Annotated[str, Meta(min_length=1, max_length=63)]
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: str) -> float:
    """Seconds of a duration such as `90s`, `15m` or `250ms`.

    Raises ValueError naming the text where it is none, or longer than anybody means.
    """
    match = re.fullmatch(r"([0-9]{1,9})(ms|s)|([0-9]{1,7})(m)|([0-9]{1,5})(h)|([0-9]{1,4})(d)", duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration; write for example 60s, 15m, 2h or 90d")
    number, unit = (group for group in match.groups() if group is not None)
    return int(number) * _UNITS[unit]


class SecretRef(Frozen, frozen=True, kw_only=True):
    """A Secret in the estate's own namespace."""

    name: Annotated[str, Meta(min_length=1, max_length=253, description="Name of the Secret.")]


class CaBundleRef(Frozen, frozen=True, kw_only=True):
    """A CA bundle in PEM: key `ca.crt` of a ConfigMap or a Secret in the estate's namespace."""

    config_map: Annotated[str, Meta(max_length=253, description="Name of the ConfigMap.")] = ""
    secret: Annotated[str, Meta(max_length=253, description="Name of the Secret, instead of a ConfigMap.")] = ""


class EgressProxy(Frozen, frozen=True, kw_only=True):
    """The way to one system, where it leads through a proxy; never taken from the environment."""

    url: Annotated[
        str,
        Meta(
            max_length=512,
            pattern="^https?://",
            description="http or https URL with host and port, without a user, a path or a query.",
        ),
    ]
    secret_ref: Annotated[
        SecretRef | None, Meta(description="Secret with the keys `user` and `password`, where the proxy wants them.")
    ] = None


def clip(value: Any, limit: int = _LIMIT) -> str:
    """Text cut to a field's limit with `…`, so that no outside value can freeze a host with a 422."""
    text = "" if value is None else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
