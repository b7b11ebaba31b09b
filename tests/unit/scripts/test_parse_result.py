"""Reading a script's output, most of which an attacker may have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microseg.scripts import Outcome, ScriptResult, parse_result

NONCE = "0123456789abcdef"
UUID = "7f0c4e1a-53d1-4c1b-9f0e-0a1b2c3d4e5f"
PAIRED = f"microseg-result v1 nonce={NONCE} outcome=paired code=0 workload={UUID} org=7"
RESULT = ScriptResult(Outcome.PAIRED, 0, UUID, 7)

nonces = st.text("0123456789abcdef", min_size=8, max_size=64)
uuids = st.uuids().map(str)


def line(outcome: Outcome, code: int, workload: str, org: int, nonce: str = NONCE) -> str:
    """A result line as the scripts print it."""
    who = (workload, org) if outcome in {Outcome.PAIRED, Outcome.ALREADY_PAIRED} else ("-", "-")
    return f"microseg-result v1 nonce={nonce} outcome={outcome} code={code} workload={who[0]} org={who[1]}"


lines = st.builds(line, st.sampled_from(Outcome), st.integers(0, 9999), uuids, st.integers(0, 10**9))
foreign = st.builds(line, st.sampled_from(Outcome), st.just(0), uuids, st.just(1), nonces.filter(lambda n: n != NONCE))


def test_the_line_of_a_paired_vm_is_read() -> None:
    assert parse_result(f"noise\n{PAIRED}\n", NONCE) == RESULT


def test_windows_line_ends_are_read() -> None:
    assert parse_result(f"noise\r\n{PAIRED}\r\n", NONCE) == RESULT


@given(st.sampled_from(Outcome), st.integers(0, 9999), uuids, st.integers(0, 2**31 - 1), st.text(max_size=200), nonces)
def test_whatever_a_script_says_is_read_back_after_any_text(
    outcome: Outcome, code: int, workload: str, org: int, before: str, nonce: str
) -> None:
    result = parse_result(f"{before}\n{line(outcome, code, workload, org, nonce)}\n", nonce)
    assert result is not None
    assert (result.outcome, result.code) == (outcome, code)
    known = outcome in {Outcome.PAIRED, Outcome.ALREADY_PAIRED}
    assert (result.workload, result.org) == ((workload, org) if known else (None, None))


@given(st.lists(st.one_of(lines, st.text(max_size=60)), max_size=5), st.lists(foreign, max_size=5))
def test_earlier_fakes_and_lines_of_other_runs_never_win(earlier: list[str], later: list[str]) -> None:
    assert parse_result("\n".join([*earlier, PAIRED, *later]), NONCE) == RESULT


@given(st.lists(foreign, max_size=8))
def test_lines_of_other_runs_alone_are_no_result(others: list[str]) -> None:
    assert parse_result("\n".join(others), NONCE) is None


@given(st.text(max_size=300))
def test_no_text_without_a_line_of_ours_is_a_result(text: str) -> None:
    assert parse_result(text, NONCE) is None


@given(st.text(min_size=1, max_size=3).filter(lambda text: not set(text) <= {"\n", "\r"}), st.integers(0, len(PAIRED)))
def test_a_line_with_anything_put_into_it_is_never_another_vm_s_result(extra: str, at: int) -> None:
    result = parse_result(PAIRED[:at] + extra + PAIRED[at:], NONCE)
    assert result is None or result.workload == UUID


@pytest.mark.parametrize(
    "wrong",
    [
        PAIRED.replace("v1", "v2"),
        PAIRED.replace("outcome=paired", "outcome=protected"),
        PAIRED.replace("outcome=paired", "outcome=PAIRED"),
        PAIRED.replace("code=0", "code=-1"),
        PAIRED.replace("code=0", "code="),
        PAIRED.replace("code=0", "code=\u0663"),
        PAIRED.replace(UUID, "-"),
        PAIRED.replace(UUID, UUID[:-1]),
        PAIRED.replace(UUID, UUID.replace("-", "0")),
        PAIRED.replace(UUID, "../../orgs/1/labels/1-aaaaaaaaaaaaaaaaa"),
        PAIRED.replace("org=7", "org=-"),
        PAIRED.replace("org=7", "org=7/../8"),
        PAIRED.replace("org=7", "org=99999999999"),
        PAIRED.replace("outcome=paired", "outcome=not-paired"),
        PAIRED + " ",
        PAIRED + " more=1",
        " " + PAIRED,
        "\x0b" + PAIRED,
        "\u2028" + PAIRED,
        PAIRED + "\x00",
        PAIRED.replace(" ", "\t"),
        PAIRED.replace(" ", "\u00a0"),
    ],
)
def test_a_malformed_line_is_no_result(wrong: str) -> None:
    assert parse_result(f"{wrong}\n", NONCE) is None


def test_a_malformed_last_line_does_not_hide_the_good_one_before_it() -> None:
    assert parse_result(f"{PAIRED}\n{PAIRED} more\n", NONCE) == RESULT


def test_a_nonce_that_is_a_prefix_does_not_match() -> None:
    assert parse_result(PAIRED, NONCE[:8]) is None
