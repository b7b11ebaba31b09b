"""What answers take in memory once they are decoded: one answer is bounded, and so are all the pages of one list.

JSON grows when it is decoded: a VM of Azure four to six times, `[{},{},…]` twenty-four times and `[[[]]]` forty times.
A limit of bytes alone let an answer of 64 MiB take 1.7 GiB. `tls` counts each answer before anybody decodes it, and
`gateways/readings.py` adds up the pages of a list.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(slots=True)
class Volume:
    """The pages of one list, or of several that are held together."""

    system: str
    """Name at the beginning of a sentence."""
    most: int
    """Bytes of memory."""
    taken: int = 0

    def add(self, size: int) -> None:
        """One more page. Raises Unreachable where all together are too large: the list is not read any further."""
        self.taken += size
        if self.taken > self.most:
            message = (
                f"{self.system} answered with a list that would take more than {self.most >> 20} MiB of memory, so it "
                "was not read to its end: divide the estate"
            )
            raise Unreachable(message)
