"""Comparing the ends of two lives, and what a report says of a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.sweep.end_states import differences
from lab.sweep.report import RESULTS, Report, passed_before
from lab.sweep.trial import Outcome

PASSED = Outcome("onboarding/azure/vms.list/1/503", met=True, wrong=())
MISSED = Outcome("onboarding/azure/vms.list/2/503", met=False, wrong=())
FAILED = Outcome(
    "onboarding/azure/vms.list/3/503", met=True, wrong=("2 installers began in web1",), detail="the ledger"
)


def test_equal_ends_do_not_differ() -> None:
    end = {"hosts": {"web1": {"stage": "Commissioned"}}, "workloads": [{"labels": {"app": "a"}}]}

    assert differences(end, json.loads(json.dumps(end))) == []


def test_a_difference_names_its_place_and_both_values() -> None:
    expected = {"hosts": {"web1": {"stage": "Commissioned"}}, "objects": {"az-web1": {"groups": ["SO"]}}}
    found = {"hosts": {"web1": {"stage": "Grouped"}}, "objects": {}}

    first, second = differences(expected, found)
    assert first == '/hosts/web1/stage: "Grouped" instead of "Commissioned"'
    assert second.startswith("/objects/az-web1: null instead of")


def test_what_is_there_and_should_not_be_differs_too() -> None:
    assert differences({"objects": {}}, {"objects": {"az-x": 1}}) == ["/objects/az-x: 1 instead of null"]
    assert len(differences([1], [1, 2])) == 1


def test_only_a_point_that_was_met_and_broke_nothing_has_passed() -> None:
    assert [outcome.passed for outcome in (PASSED, MISSED, FAILED)] == [True, False, False]


def test_a_failure_says_how_to_repeat_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(tmp_path, 3)
    for outcome in (PASSED, MISSED, FAILED):
        report.add(outcome)

    shown = capsys.readouterr().out
    assert "2 installers began in web1" in shown
    assert f"make sweep SWEEP='--point {FAILED.name}'" in shown
    assert "the ledger" in next((tmp_path / "failed").iterdir()).read_text(encoding="utf-8")
    assert "1 passed, 1 failed, 1 missed (message not sent)" in report.summary(messages=3, seconds=1)


def test_what_passed_is_known_to_the_next_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(tmp_path, 3)
    for outcome in (PASSED, MISSED, FAILED):
        report.add(outcome)

    assert capsys.readouterr().out
    assert passed_before(tmp_path) == {PASSED.name}
    assert len((tmp_path / RESULTS).read_text(encoding="utf-8").splitlines()) == 3
