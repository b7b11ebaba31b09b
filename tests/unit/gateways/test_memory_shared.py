"""All that a process reads at one time shares one bound of memory, below the Pod's limit (L4)."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
import urllib3

from microseg.gateways.http import tls
from microseg.gateways.http.client import System, decode_response
from microseg.gateways.http.volume import Memory, Volume, share_of_the_limit
from microseg.gateways.ports import Unreachable
from microseg.gateways.readings import in_turn

MIB = 1 << 20


def test_lists_that_are_read_at_the_same_time_share_one_bound_and_who_fails_makes_room() -> None:
    memory = Memory(10 * MIB)
    one, other = Volume("Azure", 8 * MIB, memory), Volume("The PCE", 8 * MIB, memory)
    one.add(6 * MIB)
    other.add(3 * MIB)
    with pytest.raises(Unreachable, match=r"^The PCE answered .* leave no room: all together may take 10 MiB"):
        other.add(3 * MIB)
    del other
    one.add(2 * MIB)
    del one
    assert memory.taken == 0


def test_one_list_leaves_room_for_short_ones_however_little_there_is() -> None:
    memory = Memory(10 * MIB)
    long, short = Volume("Azure", 512 * MIB, memory), Volume("The PCE", 512 * MIB, memory)
    long.add(8 * MIB)
    with pytest.raises(Unreachable, match="more than 8 MiB"):
        long.add(1)
    short.add(2 * MIB)


def test_a_reading_gives_its_memory_back_however_it_ends() -> None:
    memory = Memory(10 * MIB)

    def page(*, fails: bool) -> str:
        tls.forget_sent_request()
        if fails:
            raise Unreachable("away")
        tls._latest_request.decoded = MIB
        return "page"

    def reading(pages: int) -> str:
        volume = Volume("Azure", 8 * MIB, memory)
        for number in range(4):
            for _ in in_turn(lambda number=number: page(fails=number >= pages), volume):  # type: ignore[misc]
                pass
            assert memory.taken == (number + 1) * MIB
        return "whole"

    assert reading(4) == "whole"
    assert memory.taken == 0
    with pytest.raises(Unreachable, match="away"):
        reading(2)
    assert memory.taken == 0


def body(content: bytes) -> urllib3.HTTPResponse:
    return urllib3.HTTPResponse(io.BytesIO(content), preload_content=False)


def test_an_answer_is_counted_from_its_first_bytes_until_it_is_decoded() -> None:
    memory = Memory(100_000)
    limits = tls.Limits(shared=memory)
    content = tls._read_body(body(b"[" + b"{}," * 300 + b"{}]"), limits, time.monotonic() + 60)
    assert 80_000 < memory.taken <= memory.most
    assert decode_response(System.AZURE, 200, {}, content).is_json
    assert memory.taken == 0


@pytest.mark.parametrize("content", [b"x" * 70_000, b"[" + b"{}," * 300 + b"{}]"], ids=["its bytes", "decoded"])
def test_an_answer_for_which_others_leave_no_room_is_not_read_to_its_end(content: bytes) -> None:
    memory = Memory(100_000)
    others = Volume("Azure", 100_000, memory)
    others.add(50_000)
    with pytest.raises(tls.AnswerTooLarge):
        tls._read_body(body(content), tls.Limits(shared=memory), time.monotonic() + 60)
    assert memory.taken == 50_000


def test_no_more_is_ever_taken_by_many_threads_than_there_is() -> None:
    memory = Memory(1000)
    taken: list[int] = []

    def take() -> None:
        taken.append(sum(memory.take(7) for _ in range(100)))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(taken), memory.taken) == (142, 994)


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"memory.max": "536870912\n"}, 320 * MIB),
        ({"memory.max": "max\n"}, 640 * MIB),
        ({"memory/memory.limit_in_bytes": "2147483648\n"}, 1280 * MIB),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 640 * MIB),
        ({}, 640 * MIB),
    ],
    ids=["cgroups v2", "v2 without a limit", "v1", "v1 without a limit", "none"],
)
def test_the_bound_is_five_eighths_of_what_the_container_may_take(
    tmp_path: Path, files: dict[str, str], share: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")
    assert share_of_the_limit(tmp_path) == share
