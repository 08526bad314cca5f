from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dreamloop.dream.axes import Coverage, Draw
from dreamloop.records import Axis, Tally


def test_the_value_that_was_used_least_comes_next() -> None:
    coverage = Coverage([Tally("tone", "polite", 3), Tally("tone", "certain", 1), Tally("tone", "plain", 2)])
    assert Draw(random.Random(0), coverage).even("tone", ["polite", "certain", "plain"]) == "certain"


@given(st.integers(0, 2**32), st.lists(st.integers(0, 5), min_size=2, max_size=9))
def test_whatever_the_past_enough_draws_even_an_axis_out(seed: int, past: list[int]) -> None:
    values = [str(k) for k in range(len(past))]
    coverage, rng = Coverage(Tally("axis", str(k), n) for k, n in enumerate(past)), random.Random(seed)
    for _ in range(sum(max(past) - n for n in past) + len(past)):
        draw = Draw(rng, coverage)
        draw.even("axis", values)
        coverage.add(draw.axes())
    counts = [coverage.count("axis", value) for value in values]
    assert max(counts) - min(counts) <= 1


def test_weights_are_shares_in_the_long_run_and_no_weight_means_never() -> None:
    coverage, rng, seen = Coverage(), random.Random(1), Counter[str]()
    for _ in range(100):
        draw = Draw(rng, coverage)
        seen[draw.even("manner", ["a", "b", "c", "d"], {"a": 0.5, "b": 0.3, "c": 0.2})] += 1
        coverage.add(draw.axes())
    assert seen == {"a": 50, "b": 30, "c": 20}


def test_lines_are_evened_out_under_a_name_of_their_kind() -> None:
    coverage, rng, seen = Coverage(), random.Random(1), Counter[str]()
    for _ in range(40):
        draw = Draw(rng, coverage, {"kind": "facts"})
        seen[draw.line("case", ["one | 1", "two | 2", "three | 3", "four | 4"])] += 1
        coverage.add(draw.axes())
    assert set(seen.values()) == {10}


def test_the_seed_decides_among_equals() -> None:
    def first(seed: int) -> str:
        return Draw(random.Random(seed), Coverage()).even("axis", list("abcdefgh"))

    assert first(3) == first(3)
    assert len({first(seed) for seed in range(40)}) == 8


def test_what_was_drawn_is_told_by_axis() -> None:
    draw = Draw(random.Random(0), Coverage())
    draw.take("kind", "sums")
    assert draw.axes() == (Axis("kind", "sums"),)
