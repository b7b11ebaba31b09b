"""The reflector against a scripted API: every way in which a watch can begin, break and continue."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import pytest

from microseg.kube import reflector
from microseg.kube.client import Api
from microseg.kube.errors import Expired, Forbidden, Invalid, KubeError, Unavailable
from microseg.kube.reflector import Deleted, Event, HostReflector, Synced, Upserted

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
"""What the reads of one watch return, and how it may break."""


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
    """Plays one script per watch, records the queries, and stops the reflector after the last script."""

    def __init__(self, *scripts: Script | KubeError, pages: Sequence[Any] = ()) -> None:
        self.queries: list[dict[str, str]] = []
        self.stop = threading.Event()
        self._scripts = list(scripts)
        self._pages = list(pages)

    @contextmanager
    def watch(self, path: str, query: Mapping[str, str], *, silence: float) -> Iterator[ScriptedWatch]:
        assert path.endswith("/namespaces/n/managedhosts")
        assert silence == 70.0
        self.queries.append(dict(query))
        script = self._scripts.pop(0)
        if isinstance(script, KubeError):
            raise script
        yield ScriptedWatch(script, None if self._scripts else self.stop)

    def get(self, path: str, into: type[Any], *, query: Mapping[str, str], timeout: float) -> Any:
        assert path.endswith("/managedhosts")
        assert timeout
        self.queries.append(dict(query))
        return msgspec.json.decode(msgspec.json.encode(self._pages.pop(0)), type=into)


def run(api: ScriptedApi) -> list[Event]:
    events: list[Event] = []
    HostReflector(cast("Api", api), "n", "e").run(events.extend, api.stop)
    return events


def delivered(events: list[Event]) -> list[tuple[str, Any]]:
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
    monkeypatch.setattr(reflector, "_PAUSES", (0.0,))


FULL = [[line("ADDED", host("a", 1)), line("ADDED", host("b", 2))], [mark(5)]]


def test_a_streamed_list_ends_with_all_its_names_and_then_changes_come() -> None:
    changes = [line("MODIFIED", host("a", 6)), line("DELETED", host("b", 7))]
    api = ScriptedApi([*FULL, changes])

    assert delivered(run(api)) == [("+", "a"), ("+", "b"), ("=", ["a", "b"]), ("+", "a"), ("-", "b")]
    assert api.queries[0] == {
        "labelSelector": "microseg.dev/estate=e",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }


def test_a_broken_watch_continues_from_the_last_bookmark() -> None:
    api = ScriptedApi([*FULL, [mark(9, end=False)], Unavailable("cut")], [[line("ADDED", host("c", 10))]])

    assert delivered(run(api))[-1] == ("+", "c")
    assert api.queries[1]["resourceVersion"] == "9"
    assert "sendInitialEvents" not in api.queries[1]


@pytest.mark.parametrize("expired", [Expired("old"), [[line("ERROR", {"code": 410, "message": "too old"})]]])
def test_a_resource_version_that_is_too_old_lists_again_and_names_all_hosts(expired: Any) -> None:
    api = ScriptedApi(FULL, expired, [[line("ADDED", host("b", 8)), mark(9)]])

    assert delivered(run(api))[-2:] == [("+", "b"), ("=", ["b"])]
    assert "sendInitialEvents" in api.queries[2]


def test_a_list_that_breaks_off_starts_again_and_never_counts_as_complete() -> None:
    api = ScriptedApi([[line("ADDED", host("a", 1))], Unavailable("cut")], FULL)

    assert [event for event in delivered(run(api)) if event[0] == "="] == [("=", ["a", "b"])]


def test_a_host_that_is_deleted_during_the_list_is_not_among_its_names() -> None:
    api = ScriptedApi([[line("ADDED", host("a", 1)), line("DELETED", host("a", 2)), mark(3)]])

    assert delivered(run(api))[-1] == ("=", [])


def test_an_api_server_that_streams_no_lists_is_listed_in_pages() -> None:
    pages = [
        {"metadata": {"resourceVersion": "4", "continue": "next"}, "items": [host("a", 1)]},
        {"metadata": {"resourceVersion": "4"}, "items": [host("b", 2)]},
    ]
    refusal = Invalid("sendInitialEvents is forbidden")
    api = ScriptedApi(refusal, [[line("ADDED", host("c", 5))]], pages=pages)

    assert delivered(run(api)) == [("+", "a"), ("+", "b"), ("=", ["a", "b"]), ("+", "c")]
    assert api.queries[2]["continue"] == "next"
    assert api.queries[3]["resourceVersion"] == "4"


def test_a_record_that_cannot_be_decoded_is_left_alone_and_counts_as_existing() -> None:
    broken = host("a", 1, agent={"attempt": "many"})
    api = ScriptedApi([[line("ADDED", broken), line("ADDED", host("b", 2)), mark(3)]])

    assert delivered(run(api)) == [("+", "b"), ("=", ["a", "b"])]


def test_a_long_list_is_delivered_in_batches_and_a_change_at_once() -> None:
    sizes: list[int] = []
    hosts = [[line("ADDED", host(f"h{number}", number + 1))] for number in range(300)]
    api = ScriptedApi([*hosts, [mark(900)], [line("MODIFIED", host("h1", 901))]])
    HostReflector(cast("Api", api), "n", "e").run(lambda events: sizes.append(len(events)), api.stop)

    assert sizes == [256, 45, 1]


def test_refusals_and_invalid_events_do_not_end_it() -> None:
    api = ScriptedApi(Forbidden("no"), [[b"not json"]], FULL)

    assert delivered(run(api))[-1] == ("=", ["a", "b"])


def test_a_resource_version_that_never_works_again_is_given_up() -> None:
    gone = Unavailable("too large resource version")
    api = ScriptedApi(FULL, gone, gone, gone, FULL)

    run(api)

    assert "sendInitialEvents" in api.queries[-1]


class MuteWatch(ScriptedWatch):
    """Sends its script and then nothing more until it is broken off, or until it was silent for too long."""

    def __init__(self, batches: Script, silence: float) -> None:
        super().__init__(batches, None)
        self._broken, self._silence = threading.Event(), silence

    def batches(self) -> Iterator[list[bytes]]:
        yield from super().batches()
        self._broken.wait(self._silence)
        raise Unavailable("The watch broke off")

    def break_off(self) -> None:
        self._broken.set()


class MuteApi(ScriptedApi):
    """The first watch falls mute."""

    @contextmanager
    def watch(self, path: str, query: Mapping[str, str], *, silence: float) -> Iterator[ScriptedWatch]:
        if len(self.queries):
            with super().watch(path, query, silence=70.0) as opened:
                yield opened
        else:
            self.queries.append(dict(query))
            yield MuteWatch(cast("Script", self._scripts.pop(0)), silence)


def test_a_streamed_list_whose_end_mark_is_lost_is_read_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflector, "_PAUSES", (0.0,))
    page = {"metadata": {"resourceVersion": "9"}, "items": [host("a", 3)]}
    api = MuteApi([[line("ADDED", host("a", 3))]], [], pages=[page])
    events: list[Event] = []
    HostReflector(cast("Api", api), "n", "e", listed=0.0).run(events.extend, api.stop)
    assert [event.names for event in events if isinstance(event, Synced)] == [frozenset({"a"})]
    assert api.queries[1].get("limit")


def test_a_watch_that_sends_not_even_a_bookmark_lists_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does the API server for a resourceVersion that the restore of a backup made future."""
    monkeypatch.setattr(reflector, "_PAUSES", (0.0, 0.0, 0.0))
    api = MuteApi([[mark(100)]], [[mark(7)]])
    HostReflector(cast("Api", api), "n", "e", silence=0.05).run(lambda _: None, api.stop)
    assert "sendInitialEvents" in api.queries[1], "and does not go on from 100"
