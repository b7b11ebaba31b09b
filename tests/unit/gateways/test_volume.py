"""What an answer takes in memory is known before it is decoded, of the shapes that grow most."""

from __future__ import annotations

import gc
import tracemalloc

import msgspec
import pytest

from microseg.gateways.http.volume import Volume, decoded_size
from microseg.gateways.ports import Unreachable

MANY = 20_000
SHAPES = {
    "empty objects": ["{}"] * MANY,
    "objects with one key": [f'{{"{number:x}":1}}' for number in range(MANY)],
    "empty arrays": ["[]"] * MANY,
    "nested arrays": ["[[[[[]]]]]"] * MANY,
    "numbers": ["1.5"] * MANY,
    "short texts": ['"\u00e9\u00e9"'] * MANY,
    "one long text": ['"' + "x" * 50 * MANY + '\U0001f600"'],
    "one large object": ["{" + ",".join(f'"{number:x}":1' for number in range(MANY)) + "}"],
}


@pytest.mark.parametrize("items", SHAPES.values(), ids=SHAPES)
def test_no_answer_takes_more_memory_than_was_counted(items: list[str]) -> None:
    content = f"[{','.join(items)}]".encode()
    gc.collect()
    tracemalloc.start()
    try:
        decoded = msgspec.json.decode(content)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decoded
    assert taken <= decoded_size(content) * 1.05


def test_pages_that_are_too_large_together_are_told_in_one_sentence() -> None:
    volume = Volume("Azure", 3 << 20)
    volume.add(2 << 20)
    with pytest.raises(
        Unreachable, match=r"^Azure answered with a list that would take more than 3 MiB .* divide the estate$"
    ):
        volume.add(2 << 20)
