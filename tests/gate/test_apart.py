from __future__ import annotations

import math

import pytest

from dreamloop.gate.apart import accept_that_counts, apart, fully, push_back_that_counts


@pytest.mark.parametrize(
    ("wrong", "right", "distance"),
    [(0.3, 0.1, 0.2), (0.1, 0.3, -0.2), (1.4, -1.7, 1.0), (1.0, 0.0, 1.0), (-1.7, 1.4, -1.0), (0.9, -0.09, 0.99)],
)
def test_distances_count_up_to_one_nat_per_token(wrong: float, right: float, distance: float) -> None:
    assert apart(wrong, right) == pytest.approx(distance)
    assert fully(wrong, right) == (distance == 1.0)


@pytest.mark.parametrize("margins", [(math.nan, 0.0), (0.0, math.nan), (math.inf, math.inf)])
def test_what_is_no_number_is_no_distance(margins: tuple[float, float]) -> None:
    assert math.isnan(apart(*margins))
    assert not fully(*margins)


def test_margins_count_in_full_towards_what_is_wrong_and_up_to_half_a_nat_towards_what_is_right() -> None:
    assert [push_back_that_counts(margin) for margin in (-1.4, 0.3, 0.5, 1.9)] == [-1.4, 0.3, 0.5, 0.5]
    assert [accept_that_counts(margin) for margin in (1.4, -0.3, -0.5, -1.9)] == [1.4, -0.3, -0.5, -0.5]
    assert math.isnan(push_back_that_counts(math.nan))
    assert math.isnan(accept_that_counts(math.nan))
