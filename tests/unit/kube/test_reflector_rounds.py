"""The mirror against a scripted API: every way a watch can begin, break and go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import pytest

from microseg.kube import mirror as under_test
from microseg.kube.client import Api
from microseg.kube.errors import Expired, Forbidden, Invalid, KubeError, Unavailable
from microseg.kube.mirror import Deleted, Event, Mirror, Synced, Upserted

VM = "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"


def host(name: str, version: int, **status: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "n", "resourceVersion": str(version), "managedFields": [{}]}
    return {"metadata": metadata, "spec": {"estate": "e", "vmId": VM}, "status": status}


def line(kind: str, thing: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"type": kind, "object": thing})


def mark(version: int, *, end: bool = True) -> bytes:
    annotations = {"k8s.io/initial-events-end": "true"} if end else {}
    return line("BOOKMARK", {"metadata": {"resourceVersion": str(version), "annotations": annotations}})


Script = Sequence[list[bytes] | KubeError]
"""What reads of one watch bring, and how it may break."""


class ScriptedWatch:
    def __init__(self, batches: Script, stop: threading.Event | None) -> None:
        self._batches = batches
        self._stop = stop

    def batches(self) -> Iterator[list[bytes]]:
        for batch in self._batches:
            if isinstance(batch, KubeError):
                raise batch
            yield batch
        if self._stop is not None:
            self._stop.set()

    def break_off(self) -> None:
        """Nothing waits here."""


class ScriptedApi:
    """Plays one script a watch, notes what was asked, and stops the mirror when it has no more."""

    def __init__(self, *scripts: Script | KubeError, pages: Sequence[Any] = ()) -> None:
        self.asked: list[dict[str, str]] = []
        self.stop = threading.Event()
        self._scripts = list(scripts)
        self._pages = list(pages)

    @contextmanager
    def watch(self, path: str, query: Mapping[str, str], *, silence: float) -> Iterator[ScriptedWatch]:
        assert path.endswith("/namespaces/n/managedhosts")
        assert silence == 70.0
        self.asked.append(dict(query))
        script = self._scripts.pop(0)
        if isinstance(script, KubeError):
            raise script
        yield ScriptedWatch(script, None if self._scripts else self.stop)

    def get(self, path: str, into: type[Any], *, query: Mapping[str, str], timeout: float) -> Any:
        assert path.endswith("/managedhosts")
        assert timeout
        self.asked.append(dict(query))
        return msgspec.json.decode(msgspec.json.encode(self._pages.pop(0)), type=into)


def run(api: ScriptedApi) -> list[Event]:
    events: list[Event] = []
    Mirror(cast("Api", api), "n", "e").run(events.extend, api.stop)
    return events


def told(events: list[Event]) -> list[tuple[str, Any]]:
    result: list[tuple[str, Any]] = []
    for event in events:
        match event:
            case Upserted(found):
                result.append(("+", found.name))
            case Deleted(name, _):
                result.append(("-", name))
            case Synced(names, _):
                result.append(("=", sorted(names)))
    return result


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "_PAUSES", (0.0,))


FULL = [[line("ADDED", host("a", 1)), line("ADDED", host("b", 2))], [mark(5)]]


def test_a_streamed_list_ends_with_all_its_names_and_then_changes_come() -> None:
    changes = [line("MODIFIED", host("a", 6)), line("DELETED", host("b", 7))]
    api = ScriptedApi([*FULL, changes])

    assert told(run(api)) == [("+", "a"), ("+", "b"), ("=", ["a", "b"]), ("+", "a"), ("-", "b")]
    assert api.asked[0] == {
        "labelSelector": "microseg.dev/estate=e",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }


def test_a_broken_watch_goes_on_from_the_last_bookmark() -> None:
    api = ScriptedApi([*FULL, [mark(9, end=False)], Unavailable("cut")], [[line("ADDED", host("c", 10))]])

    assert told(run(api))[-1] == ("+", "c")
    assert api.asked[1]["resourceVersion"] == "9"
    assert "sendInitialEvents" not in api.asked[1]


@pytest.mark.parametrize("expired", [Expired("old"), [[line("ERROR", {"code": 410, "message": "too old"})]]])
def test_a_position_that_is_too_old_lists_again_and_says_who_is_left(expired: Any) -> None:
    api = ScriptedApi(FULL, expired, [[line("ADDED", host("b", 8)), mark(9)]])

    assert told(run(api))[-2:] == [("+", "b"), ("=", ["b"])]
    assert "sendInitialEvents" in api.asked[2]


def test_a_list_that_breaks_off_is_begun_again_and_never_counts_as_complete() -> None:
    api = ScriptedApi([[line("ADDED", host("a", 1))], Unavailable("cut")], FULL)

    assert [event for event in told(run(api)) if event[0] == "="] == [("=", ["a", "b"])]


def test_what_is_deleted_while_the_list_comes_is_not_among_its_names() -> None:
    api = ScriptedApi([[line("ADDED", host("a", 1)), line("DELETED", host("a", 2)), mark(3)]])

    assert told(run(api))[-1] == ("=", [])


def test_an_api_server_that_streams_no_lists_is_listed_in_pages() -> None:
    pages = [
        {"metadata": {"resourceVersion": "4", "continue": "next"}, "items": [host("a", 1)]},
        {"metadata": {"resourceVersion": "4"}, "items": [host("b", 2)]},
    ]
    refusal = Invalid("sendInitialEvents is forbidden")
    api = ScriptedApi(refusal, [[line("ADDED", host("c", 5))]], pages=pages)

    assert told(run(api)) == [("+", "a"), ("+", "b"), ("=", ["a", "b"]), ("+", "c")]
    assert api.asked[2]["continue"] == "next"
    assert api.asked[3]["resourceVersion"] == "4"


def test_a_record_that_cannot_be_read_is_left_alone_but_counts_as_there() -> None:
    broken = host("a", 1, agent={"attempt": "many"})
    api = ScriptedApi([[line("ADDED", broken), line("ADDED", host("b", 2)), mark(3)]])

    assert told(run(api)) == [("+", "b"), ("=", ["a", "b"])]


def test_a_long_list_is_delivered_in_batches_and_a_change_at_once() -> None:
    sizes: list[int] = []
    hosts = [[line("ADDED", host(f"h{number}", number + 1))] for number in range(300)]
    api = ScriptedApi([*hosts, [mark(900)], [line("MODIFIED", host("h1", 901))]])
    Mirror(cast("Api", api), "n", "e").run(lambda events: sizes.append(len(events)), api.stop)

    assert sizes == [256, 45, 1]


def test_refusals_and_nonsense_are_survived() -> None:
    api = ScriptedApi(Forbidden("no"), [[b"not json"]], FULL)

    assert told(run(api))[-1] == ("=", ["a", "b"])


def test_a_position_that_never_works_again_is_given_up() -> None:
    gone = Unavailable("too large resource version")
    api = ScriptedApi(FULL, gone, gone, gone, FULL)

    run(api)

    assert "sendInitialEvents" in api.asked[-1]
