"""The simulators' common core, with `requests`: operation names, ledger, faults, control port, TLS."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
import requests

from simulators import certificates
from simulators.clock import Clock
from simulators.faults import Fault, FaultPlan, fault_from_json
from simulators.ledger import Ledger

from .conftest import Tiny


def test_a_request_is_recorded_with_what_it_changed(tiny: Tiny) -> None:
    assert tiny.session.put(f"{tiny.url}/things/x", timeout=5).status_code == 201
    (entry,) = tiny.environment.ledger.entries("tiny")
    assert (entry.operation, entry.who, entry.status, entry.changed) == ("thing.put", "tester", 201, ("x",))
    assert entry.size == len(b'{"done": true}')
    assert entry.seconds > 0


def test_an_operation_is_named_by_its_route_and_an_unknown_path_is_recorded_too(tiny: Tiny) -> None:
    tiny.session.get(f"{tiny.url}/things", timeout=5)
    assert tiny.session.get(f"{tiny.url}/nowhere", timeout=5).status_code == 404
    named, unknown = tiny.environment.ledger.entries()
    assert (named.operation, named.status) == ("things.list", 200)
    assert unknown.status == 404


def test_a_mistake_in_a_world_is_a_500_and_says_so_in_the_ledger(tiny: Tiny) -> None:
    assert tiny.session.get(f"{tiny.url}/broken", timeout=5).status_code == 500
    (entry,) = tiny.environment.ledger.entries()
    assert (entry.status, entry.note) == (500, "error: RuntimeError")


def test_a_status_before_the_effect_prevents_it(tiny: Tiny) -> None:
    headers = {"Retry-After": "7"}
    tiny.environment.faults.add(Fault("tiny", action="status", status=429, body={"error": "busy"}, headers=headers))
    answer = tiny.session.put(f"{tiny.url}/things/x", timeout=5)
    assert (answer.status_code, answer.json(), answer.headers["Retry-After"]) == (429, {"error": "busy"}, "7")
    assert tiny.effects == []
    assert tiny.session.put(f"{tiny.url}/things/x", timeout=5).status_code == 201


def test_a_cut_after_the_effect_loses_only_the_answer(tiny: Tiny) -> None:
    tiny.environment.faults.add(Fault("tiny", "thing.put", phase="after", action="cut"))
    with pytest.raises(requests.ConnectionError):
        tiny.session.put(f"{tiny.url}/things/x", timeout=5)
    assert tiny.effects == ["x"]
    (entry,) = tiny.environment.ledger.entries()
    assert (entry.status, entry.changed, entry.note) == (0, ("x",), "fault after: cut")


def test_a_hang_lasts_until_the_caller_gives_up(tiny: Tiny) -> None:
    tiny.environment.faults.add(Fault("tiny", "things.list", action="hang"))
    with pytest.raises(requests.ReadTimeout):
        tiny.session.get(f"{tiny.url}/things", timeout=0.3)
    assert tiny.session.get(f"{tiny.url}/things", timeout=5).status_code == 200


def test_a_hang_of_some_seconds_ends_in_a_reset(tiny: Tiny) -> None:
    tiny.environment.faults.add(Fault("tiny", "things.list", action="hang", seconds=0.2))
    with pytest.raises(requests.ConnectionError):
        tiny.session.get(f"{tiny.url}/things", timeout=5)


def test_a_delay_changes_only_the_time(tiny: Tiny) -> None:
    tiny.environment.faults.add(Fault("tiny", "things.list", action="delay", seconds=0.3))
    started = time.monotonic()
    assert tiny.session.get(f"{tiny.url}/things", timeout=5).json()["value"] == ["a", "b", "c"]
    assert time.monotonic() - started >= 0.3


def test_html_comes_with_its_status_and_type(tiny: Tiny) -> None:
    tiny.environment.faults.add(Fault("tiny", "things.list", action="html", status=502))
    answer = tiny.session.get(f"{tiny.url}/things", timeout=5)
    assert answer.status_code == 502
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<html>" in answer.text


def test_truncated_json_is_half_of_the_answer_with_status_200(tiny: Tiny) -> None:
    tiny.environment.faults.add(Fault("tiny", "things.list", phase="after", action="truncate"))
    answer = tiny.session.get(f"{tiny.url}/things", timeout=5)
    assert answer.status_code == 200
    assert answer.text
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


def test_a_fault_counts_hits_from_its_nth_on() -> None:
    plan = FaultPlan()
    plan.add(Fault("tiny", "login", nth=2, count=2))
    met = [plan.take("tiny", "login", "before") is not None for _ in range(5)]
    assert met == [False, True, True, False, False]


def test_a_fault_meets_only_its_system_operation_and_phase() -> None:
    plan = FaultPlan()
    plan.add(Fault("tiny", "login", phase="after"))
    assert plan.take("other", "login", "after") is None
    assert plan.take("tiny", "logout", "after") is None
    assert plan.take("tiny", "login", "before") is None
    assert plan.take("tiny", "login", "after") is not None


def test_cleared_faults_are_met_no_more() -> None:
    plan = FaultPlan()
    plan.add(Fault("tiny", count=5))
    plan.clear()
    assert plan.take("tiny", "login", "before") is None


@pytest.mark.parametrize(
    ("order", "complaint"),
    [
        ({"system": "azure", "action": "explode"}, "action"),
        ({"system": "azure", "phase": "during"}, "phase"),
        ({"system": "azure", "nth": 0}, "nth"),
        ({"system": "azure", "wen": 1}, "wen"),
        ({"action": "cut"}, "system"),
        (["azure"], "object"),
    ],
)
def test_a_wrong_order_of_a_fault_is_refused_with_its_reason(order: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        fault_from_json(order)


def test_the_ledger_answers_by_system_operation_and_sequence() -> None:
    ledger = Ledger()
    ledger.append("azure", "vms.list")
    second = ledger.append("azure", "world.vm-created", changed=["id"])
    ledger.append("illumio", "labels.list")
    assert [entry.seq for entry in ledger.entries()] == [1, 2, 3]
    assert ledger.entries("azure", "world.vm-created") == [second]
    assert [entry.system for entry in ledger.entries(since=2)] == ["illumio"]
    assert ledger.counts() == {"azure": {"vms.list": 1, "world.vm-created": 1}, "illumio": {"labels.list": 1}}


def test_latencies_shrink_with_the_scale_and_a_scale_of_nothing_is_refused() -> None:
    assert Clock(60).latency(90) == 1.5
    with pytest.raises(ValueError, match="above 0"):
        Clock(0)


def test_the_control_port_orders_faults_and_shows_the_ledger(tiny: Tiny) -> None:
    order = {"system": "tiny", "operation": "things.list", "status": 500}
    assert requests.post(f"{tiny.control}/faults", json=order, timeout=5).status_code == 201
    assert tiny.session.get(f"{tiny.url}/things", timeout=5).status_code == 500
    query = {"system": "tiny", "operation": "things.list"}
    (entry,) = requests.get(f"{tiny.control}/ledger", params=query, timeout=5).json()["entries"]
    assert (entry["status"], entry["note"]) == (500, "fault before: status")
    lines = requests.get(f"{tiny.control}/ledger.jsonl", params=query, timeout=5).text.splitlines()
    assert len(lines) == 1
    assert requests.get(f"{tiny.control}/ledger/counts", timeout=5).json() == {
        "tiny": {"world.fault-ordered": 1, "things.list": 1}
    }


def test_the_control_port_clears_faults_sets_the_clock_and_tells_secrets(tiny: Tiny) -> None:
    requests.post(f"{tiny.control}/faults", json=[{"system": "tiny", "count": 9}], timeout=5)
    assert requests.delete(f"{tiny.control}/faults", timeout=5).status_code == 200
    assert tiny.session.get(f"{tiny.url}/things", timeout=5).status_code == 200
    assert requests.post(f"{tiny.control}/clock", json={"scale": 30}, timeout=5).json()["scale"] == 30
    assert tiny.environment.clock.scale == 30
    tiny.environment.ledger.add_secret("s3cret")
    assert requests.get(f"{tiny.control}/secrets", timeout=5).json() == {"secrets": ["s3cret"]}


def test_the_control_port_explains_a_bad_order(tiny: Tiny) -> None:
    answer = requests.post(f"{tiny.control}/clock", json={"scale": -1}, timeout=5)
    assert answer.status_code == 400
    assert "above 0" in answer.json()["error"]
    assert requests.post(f"{tiny.control}/faults", data="{", timeout=5).status_code == 400


def test_only_clients_that_trust_the_private_authority_get_through(tiny: Tiny) -> None:
    session = requests.Session()
    session.trust_env = False
    with pytest.raises(requests.exceptions.SSLError):
        session.get(f"{tiny.url}/things", timeout=5)


def test_an_authority_is_made_once_and_keys_are_private(tmp_path: Path) -> None:
    first, key = certificates.make_authority(tmp_path)
    content = first.read_bytes()
    certificates.make_authority(tmp_path)
    _, server_key = certificates.issue(tmp_path, "server")
    assert first.read_bytes() == content
    assert [stat.S_IMODE(path.stat().st_mode) for path in (key, server_key)] == [0o600, 0o600]


def test_the_control_port_tells_changes_apart_and_switches_limits(tiny: Tiny) -> None:
    tiny.session.put(f"{tiny.url}/things/x", timeout=5)
    tiny.session.get(f"{tiny.url}/things", timeout=5)
    tiny.environment.ledger.append("tiny", "world.moved", changed=["y"])
    query = {"changes": "true"}
    found = requests.get(f"{tiny.control}/ledger", params=query, timeout=5).json()["entries"]
    assert [entry["operation"] for entry in found] == ["thing.put", "world.moved"]
    of_the_world = requests.get(f"{tiny.control}/ledger", params={"operation": "world.*"}, timeout=5).json()["entries"]
    assert [entry["operation"] for entry in of_the_world] == ["world.moved"]
    assert requests.get(f"{tiny.control}/limits", timeout=5).json() == {"enforced": False}
    assert requests.post(f"{tiny.control}/limits", json={"enforced": True}, timeout=5).json() == {"enforced": True}
    assert tiny.environment.limits is True
    assert requests.post(f"{tiny.control}/limits", json={"enforced": "yes"}, timeout=5).status_code == 400


def test_a_long_answer_goes_out_whole_and_is_measured(tiny: Tiny) -> None:
    answer = tiny.session.get(f"{tiny.url}/long", timeout=20)
    assert len(answer.json()) == 3_000_000
    assert answer.headers["Content-Length"] == "3000002"
    assert answer.headers["Content-Type"].startswith("application/json")
    (entry,) = tiny.environment.ledger.entries("tiny", "long")
    assert entry.size == 3_000_002
