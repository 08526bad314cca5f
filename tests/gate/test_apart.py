from __future__ import annotations

import math

import pytest

from dreamloop.gate.apart import accept_that_counts, apart, push_back_that_counts, sides_that_count


@pytest.mark.parametrize(
    ("wrong", "right", "distance"),
    [(0.3, 0.1, 0.2), (0.1, 0.3, -0.2), (1.4, -1.7, 1.0), (1.0, 0.0, 1.0), (-1.7, 1.4, -1.0), (0.9, -0.09, 0.99)],
)
def test_distances_count_up_to_one_nat_per_token(wrong: float, right: float, distance: float) -> None:
    assert apart(wrong, right) == pytest.approx(distance)


@pytest.mark.parametrize("margins", [(math.nan, 0.0), (0.0, math.nan), (math.inf, math.inf)])
def test_what_is_no_number_is_no_distance(margins: tuple[float, float]) -> None:
    assert math.isnan(apart(*margins))
    assert all(map(math.isnan, sides_that_count(*margins)))


def test_margins_count_in_full_towards_what_is_wrong_and_up_to_half_a_nat_towards_what_is_right() -> None:
    assert [push_back_that_counts(margin) for margin in (-1.4, 0.3, 0.5, 1.9)] == [-1.4, 0.3, 0.5, 0.5]
    assert [accept_that_counts(margin) for margin in (1.4, -0.3, -0.5, -1.9)] == [1.4, -0.3, -0.5, -0.5]
    assert (apart(math.inf, 0.0), push_back_that_counts(math.inf), accept_that_counts(-math.inf)) == (
        math.inf, math.inf, -math.inf,
    )  # fmt: skip
    assert math.isnan(push_back_that_counts(math.nan))
    assert math.isnan(accept_that_counts(math.nan))


@pytest.mark.parametrize(
    ("margins", "counted"),
    [
        ((0.3, -0.1), (0.3, -0.1)),
        ((1.5, -1.5), (0.5, -0.5)),
        ((1.7, -0.7), (1.0, 0.0)),  # 0.5 in the middle
        ((-1.5, 1.5), (-0.5, 0.5)),
    ],
)
def test_sides_that_are_further_apart_than_counts_come_nearer_evenly(
    margins: tuple[float, float], counted: tuple[float, float]
) -> None:
    assert sides_that_count(*margins) == pytest.approx(counted)
