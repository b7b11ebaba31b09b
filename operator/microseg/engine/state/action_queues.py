"""The actions that the decisions in force ask for, by type: lanes take from here and never search the table.

A decision replaces the actions of the one before; what is learnt about a host withdraws them until it is decided
again, so nothing stale is ever carried out (docs/decisions/0008).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from microseg.model.plan import Action

A = TypeVar("A", bound=Action)
B = TypeVar("B", bound=Action)
C = TypeVar("C", bound=Action)


class ActionQueues:
    """Actions by type and host. The host table delivers and withdraws; lanes subscribe and take."""

    def __init__(self) -> None:
        """Begin empty."""
        self._queues: defaultdict[type[object], dict[str, list[Action]]] = defaultdict(dict)
        self._queued: dict[str, set[type[Action]]] = {}
        self._delivered: dict[str, set[type[Action]]] = {}
        """Types of a host's latest decision, also while they are withdrawn."""
        self._wakes: defaultdict[type[Action], list[Callable[[], None]]] = defaultdict(list)
        self._changed: set[type[Action]] = set()
        """Types whose subscribers are woken at the end of the round."""
        self.in_round = False
        """Whether hosts are being decided: what is queued is then a part of what will be asked for."""

    def subscribe(self, types: Sequence[type[Action]], wake: Callable[[], None]) -> None:
        """`wake` is called when an action of these types comes, or one that was delivered is no longer asked for."""
        for kind in types:
            self._wakes[kind].append(wake)

    def deliver(self, vm_id: str, actions: Sequence[Action]) -> None:
        """Put the actions of a host's decision in the place of its earlier ones."""
        self.withdraw(vm_id)
        types = {type(action) for action in actions}
        before = self._delivered.pop(vm_id, set())
        if types:
            self._delivered[vm_id] = self._queued[vm_id] = types
        for action in actions:
            self._queues[type(action)].setdefault(vm_id, []).append(action)
        self._changed |= types | before
        if not self.in_round:
            self._wake()

    @contextmanager
    def round(self) -> Iterator[None]:
        """One round of decisions: lanes are woken at its end, because who judges all must not judge a part."""
        self.in_round = True
        try:
            yield
        finally:
            self.in_round = False
            self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, set()
        for kind in changed:
            for wake in self._wakes[kind]:
                wake()

    def withdraw(self, vm_id: str) -> None:
        """Take the host's actions out: something newer is known than was decided."""
        for kind in self._queued.pop(vm_id, ()):
            del self._queues[kind][vm_id]

    def forget(self, vm_id: str) -> None:
        """The host's record is gone."""
        self.deliver(vm_id, ())

    def length(self, kinds: Iterable[type[object]]) -> int:
        """Hosts that wait for an action of these types; one that waits for two counts twice."""
        return sum(len(self._queues[kind]) for kind in kinds if kind in self._queues)

    def of(
        self, kind: type[A], second: type[B] | None = None, third: type[C] | None = None
    ) -> Iterator[tuple[str, A | B | C]]:
        """(vmId, action) of these types, of hosts whose decision is in force. Take them before anything is awaited."""
        for each in (kind, second, third):
            if each is not None:
                for vm_id, actions in self._queues[each].items():
                    for action in actions:
                        yield vm_id, action  # type: ignore[misc]  # the queue of a type has actions of that type

    def of_host(self, kind: type[A], vm_id: str) -> A | None:
        """The host's first action of this type, if its decision is in force."""
        return next(iter(self._queues[kind].get(vm_id, ())), None)  # type: ignore[return-value]  # as above
