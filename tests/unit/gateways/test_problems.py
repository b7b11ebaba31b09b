"""The bound of what `problems()` returns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from microseg.gateways.ports import MOST_PROBLEMS
from microseg.gateways.problems import bounded_problems


@given(st.lists(st.text(), max_size=60))
def test_few_short_lines_stand_for_any_number_of_sentences(sentences: list[str]) -> None:
    bounded = bounded_problems(sentences)
    assert len(bounded) == min(len(sentences), MOST_PROBLEMS + 1)
    assert all("\n" not in sentence and len(sentence) <= 300 for sentence in bounded)


def test_a_long_sentence_is_clipped_and_a_short_one_is_unchanged() -> None:
    first, second = bounded_problems(["x" * 5000, "A listed VM has no usable vmId: web1"])
    assert len(first) == 300
    assert second == "A listed VM has no usable vmId: web1"
