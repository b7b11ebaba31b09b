"""Objects at which a flush failed though Check Point did not refuse them: an answer 500, a time-out, a missing right.

`checkpoint_flush.py` asks. Such an error says nothing about whose fault it is, so the whole flush is tried again. Where
it fails at the same host twice in a row, that host is left out as a refused one is, and the others are published (L4).
What a validation complains of is another matter: `isolated` finds the hosts that it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from microseg.gateways.ports import GatewayError, Throttled
from microseg.model.plan import FirewallChange

_BATCH = ""
_TWICE = 2


class FailingObjects:
    """Counts failures in a row per host."""

    def __init__(self) -> None:
        """Begin with none."""
        self._failures: dict[str, tuple[int, str]] = {}

    def failed(self, vm_id: str, error: GatewayError) -> None:
        """A flush failed at this host's change; empty: at a batch of many hosts."""
        if not isinstance(error, Throttled):
            self._failures[vm_id] = (self._failures.get(vm_id, (0, ""))[0] + 1, str(error))

    def taken(self, vm_id: str) -> None:
        """Check Point took the host's change."""
        self._failures.pop(vm_id, None)

    @property
    def batch_failed(self) -> bool:
        """Whether objects are to be written one by one, to find the one that makes a batch fail."""
        return _BATCH in self._failures

    def take(self, changes: Iterable[FirewallChange]) -> dict[str, str]:
        """Hosts to leave out of this flush, and why. When one is tried again, one more failure leaves it out again."""
        left_out: dict[str, str] = {}
        for vm_id in {change.vm_id for change in changes}:
            count, error = self._failures.get(vm_id, (0, ""))
            if count >= _TWICE:
                self._failures[vm_id] = (_TWICE - 1, error)
                left_out[vm_id] = f"Check Point failed at this object twice in a row: {error}"
        if left_out:
            self.taken(_BATCH)
        return left_out


def isolated(
    part: list[FirewallChange], complaints: tuple[str, ...], rejected: dict[str, str]
) -> Iterator[list[FirewallChange]]:
    """The hosts that the complaints name are refused; where they name nobody, halves, down to one.

    `rejected`: vmId -> why; it gets who is refused.
    """
    told = [(change.vm_id, text) for text in complaints for change in part if _names(text, change.name)]
    own = {vm_id: dict.fromkeys(text for each, text in told if each == vm_id) for vm_id, _ in told}
    named = {vm_id: " ".join(texts) for vm_id, texts in own.items()}
    if not named and len({change.vm_id for change in part}) == 1:
        named = {part[0].vm_id: complaints[0]}
    rejected |= named
    left = [change for change in part if change.vm_id not in named]
    if named or len(left) < 2:
        yield left
        return
    hosts = sorted({change.vm_id for change in left})
    first = set(hosts[: len(hosts) // 2])
    yield [change for change in left if change.vm_id in first]
    yield [change for change in left if change.vm_id not in first]


def _names(text: str, name: str) -> bool:
    """Whether the sentence names this very object, and not one whose name begins with it."""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text, re.IGNORECASE) is not None
