"""What answers take in memory: one answer is bounded, so are all the pages of one list, and all that a process holds.

JSON grows when it is decoded: a VM of Azure four to six times, `[{},{},…]` twenty-four times and `[[[]]]` forty times.
A limit of bytes alone let an answer of 64 MiB take 1.7 GiB. `tls` counts each answer before anybody decodes it, and
`gateways/readings.py` adds up the pages of a list. What is read at one time, whatever the system and the estate, shares
`Memory.of_process`: the Pod's limit is one.
"""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass, field
from pathlib import Path

from microseg.gateways.ports import Unreachable

_OBJECT, _ARRAY, _ITEM, _KEY = 200, 80, 80, 48
"""Bytes that CPython 3.11 takes at most for what begins with `{` and `[`, and follows `,` and `:` (measured with
msgspec; docs/scale.md). Such marks inside of texts count too, so it is rather too much than too little."""

_WIDEST = 4
"""Bytes per character of a text that has one character beyond ASCII."""


def decoded_size(content: bytes) -> int:
    """Bytes that the decoded JSON takes in memory, by its marks. It takes a tenth of the time of decoding."""
    count, texts = content.count, len(content) if content.isascii() else _WIDEST * len(content)
    return texts + _OBJECT * count(b"{") + _ARRAY * count(b"[") + _ITEM * count(b",") + _KEY * count(b":")


_LIMITS = "memory.max", "memory/memory.limit_in_bytes"
"""Where cgroups show a container its limit: v2, v1 (kernel.org, admin-guide/cgroup-v2 and cgroup-v1/memory)."""
_ORDINARY_LIMIT = 1 << 30
"""What the Deployment of the manifests allows. Where there is none, or none can be read, it is taken for this one."""


class Memory:
    """Bytes that may be held at one time by all that is being read. Safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0
        self._lock = threading.Lock()

    @classmethod
    @functools.cache
    def of_process(cls) -> Memory:
        """The one of this process."""
        return cls(share_of_the_limit())

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes, which are taken then."""
        with self._lock:
            if self.taken + size > self.most:
                return False
            self.taken += size
            return True

    def give_back(self, size: int) -> None:
        """They are not held any more."""
        with self._lock:
            self.taken -= size


def share_of_the_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Five eighths of what the container may take; the rest is for the hosts and for what answers are made into."""
    for name in _LIMITS:
        try:
            text = (cgroup / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < 1 << 50:  # "max", and a number near 2^63, are no limit
            return int(text) * 5 // 8
    return _ORDINARY_LIMIT * 5 // 8


class Held:
    """What one reader holds of it, until it lets go or is forgotten itself."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._size = memory, 0

    def take(self, size: int) -> bool:
        """Whether so many bytes more are held now."""
        taken = self._memory.take(size)
        self._size += size if taken else 0
        return taken

    def let_go(self) -> None:
        """Hold nothing any more."""
        size, self._size = self._size, 0
        self._memory.give_back(size)

    def __del__(self) -> None:
        """A reading ends in many ways: its pages go with it."""
        self.let_go()


@dataclass(slots=True)
class Volume:
    """The pages of one list, or of several that are held together."""

    system: str
    """Name at the beginning of a sentence."""
    most: int
    """Bytes of memory."""
    memory: Memory = field(default_factory=Memory.of_process)
    """Shared with all that is read at the same time."""
    taken: int = 0
    _held: Held = field(init=False)

    def __post_init__(self) -> None:
        """It holds nothing yet, and will never hold all: short lists go on beside a long one."""
        self.most = min(self.most, self.memory.most * 4 // 5)
        self._held = Held(self.memory)

    def add(self, size: int) -> None:
        """One more page. Raises Unreachable where all together are too large: the list is not read any further.

        So it is where other lists leave no room. It waits for none of them, for each may wait for another; it is read
        again by its schedule, and what it held is free for them.
        """
        self.taken += size
        if self.taken > self.most:
            message = (
                f"{self.system} answered with a list that would take more than {self.most >> 20} MiB of memory, so it "
                "was not read to its end: divide the estate"
            )
            raise Unreachable(message)
        if not self._held.take(size):
            message = (
                f"{self.system} answered with a list for which the lists that are being read at the same time leave no "
                f"room: all together may take {self.memory.most >> 20} MiB of memory. It is read again"
            )
            raise Unreachable(message)
