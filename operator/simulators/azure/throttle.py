"""Azure's token buckets: Resource Manager's per subscription and caller, Compute's per policy and per VM.

Numbers: learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling and
learn.microsoft.com/azure/virtual-machines/compute-throttling-limits. The buckets fill in real time, not scaled: an
operator that they slow down takes as long here as in Azure.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Literal

from simulators.azure.errors import ArmError

Verb = Literal["reads", "writes", "deletes"]
Policy = Literal["LowCostGet", "HighCostGet", "UpdateVM", "GetOperation", "NetworkGet"]

_TOO_MANY = 429
_EMPTY_FOR = 10
"""Retry-After, in seconds, while somebody else keeps a subscription's buckets empty."""
FRONT_DOOR: dict[Verb, tuple[float, float]] = {"reads": (250, 25), "writes": (200, 10), "deletes": (200, 10)}
"""Resource Manager's burst per subscription and caller, and the refill per second."""
_BY_SUBSCRIPTION: dict[Policy, tuple[float, float]] = {
    "LowCostGet": (24_000, 8_000 / 60),
    "HighCostGet": (900, 300 / 60),
    "UpdateVM": (1_500, 500 / 60),
    "GetOperation": (15_000, 5_000 / 60),
    "NetworkGet": (10_000, 10_000 / 300),
}
_BY_VM: dict[Policy, tuple[float, float]] = {
    "LowCostGet": (36, 12 / 60),
    "UpdateVM": (12, 4 / 60),
    "GetOperation": (45, 15 / 60),
}


@dataclass(slots=True)
class _Bucket:
    most: float
    refill: float
    left: float
    at: float

    def take(self, now: float) -> float:
        """Take one token; return 0, or the seconds until there is one."""
        self.left = min(self.most, self.left + (now - self.at) * self.refill)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) / self.refill


class Throttle:
    """All buckets. With `enforced` False they only fill the headers and never refuse. `now`: their clock.

    `exhausted`: subscriptions (lower case) whose buckets at the resource provider somebody else keeps empty.
    """

    def __init__(
        self,
        *,
        enforced: Callable[[], bool],
        exhausted: Callable[[], Container[str]] = frozenset,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._enforced, self._exhausted = enforced, exhausted
        self.now = now
        self._buckets: dict[tuple[str, ...], _Bucket] = {}

    def admit(self, subscription: str, who: str, verb: Verb, policy: Policy | None, vm: str = "") -> dict[str, str]:
        """Count a request; return the rate limit headers, or raise ArmError 429 with Retry-After."""
        front = self._bucket(("arm", subscription, who, verb), *FRONT_DOOR[verb])
        self._take(front, f"{verb} of subscription {subscription}", "SubscriptionRequestsThrottled", verb)
        headers = {
            f"x-ms-ratelimit-remaining-subscription-{verb}": str(int(front.left)),
            f"x-ms-ratelimit-remaining-subscription-global-{verb}": str(int(front.most * 15)),
        }
        if policy is None:
            return headers
        bucket = self._bucket(("rp", subscription, policy), *_BY_SUBSCRIPTION[policy])
        if subscription in self._exhausted():
            raise _refusal(bucket, f"subscription {subscription}", "OperationNotAllowed", policy, _EMPTY_FOR)
        self._take(bucket, f"subscription {subscription}", "OperationNotAllowed", policy)
        remaining = [f"Microsoft.Compute/{policy}Subscription;{int(bucket.left)}"]
        if vm and policy in _BY_VM:
            own = self._bucket(("vm", vm, policy), *_BY_VM[policy])
            self._take(own, f"resource {vm}", "TooManyRequests", policy)
            remaining.append(f"Microsoft.Compute/{policy}Resource;{int(own.left)}")
        if policy != "NetworkGet":
            headers["x-ms-ratelimit-remaining-resource"] = ",".join(remaining)
        return headers

    def _bucket(self, key: tuple[str, ...], most: float, refill: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(most, refill, most, self.now())
        return bucket

    def _take(self, bucket: _Bucket, scope: str, code: str, policy: str) -> None:
        wait = bucket.take(self.now())
        if not wait or not self._enforced():
            return
        raise _refusal(bucket, scope, code, policy, max(1, math.ceil(wait)))


def _refusal(bucket: _Bucket, scope: str, code: str, policy: str, seconds: int) -> ArmError:
    detail = {"operationGroup": policy, "allowedRequestCount": bucket.most, "measuredRequestCount": bucket.most + 1}
    return ArmError(
        _TOO_MANY,
        code,
        f"The request limit for {scope} is reached. Please try again after {seconds} seconds.",
        details=[{"code": "TooManyRequests", "target": policy, "message": json.dumps(detail)}],
        headers={"Retry-After": str(seconds)},
    )
