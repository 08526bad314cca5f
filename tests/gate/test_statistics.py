"""Intervals worked by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from dreamloop.gate.statistics import (
    auc,
    cluster_means,
    design_effect,
    flips_interval,
    jackknife_interval,
    mean_interval,
    median_interval,
)

Z = 1.6448536269514722  # of 90 % two-sided confidence


def names(count: int) -> list[str]:
    return [str(k) for k in range(count)]


def test_a_t_interval_by_hand() -> None:
    # means 1, 2, 3: mean 2, s = 1, t(0.95, 2 df) = 2.919986, half width 2.919986 / √3 = 1.685854
    interval = mean_interval([1.0, 2.0, 3.0], ["a", "b", "c"])
    assert interval.estimate == pytest.approx(2.0)
    assert interval.low == pytest.approx(2 - 1.685854, abs=1e-5)
    assert interval.high == pytest.approx(2 + 1.685854, abs=1e-5)


def test_items_of_one_cluster_count_once() -> None:
    values, clusters = [0.0, 2.0, 5.0], ["a", "a", "b"]
    assert cluster_means(values, clusters).tolist() == [1.0, 5.0]
    many = mean_interval([0.0, 2.0] * 50 + [5.0], ["a"] * 100 + ["b"])
    assert many == mean_interval(values, clusters)


def test_one_cluster_alone_proves_nothing() -> None:
    interval = mean_interval([1.0, 1.1], ["a", "a"])
    assert (interval.low, interval.high) == (-math.inf, math.inf)


def test_a_medians_order_statistics_by_hand() -> None:
    # K = 8: P(Binomial(8, 1/2) < 2) = 9/256 = 0.035, < 3 would be 37/256 = 0.145: the second smallest and largest
    interval = median_interval([5.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0, 8.0], names(8))
    assert (interval.low, interval.estimate, interval.high) == (2.0, 4.5, 7.0)


def test_four_clusters_are_too_few_for_a_median_at_ninety_per_cent() -> None:
    # The outermost of four enclose the median with 1 - 2/16 = 0.875
    interval = median_interval([1.0, 2.0, 3.0, 4.0], names(4))
    assert (interval.low, interval.high) == (-math.inf, math.inf)


def test_without_a_flip_tangos_bounds_are_z2_over_n_plus_z2() -> None:
    # No discordant pair: the statistic's square is n·δ/(1 - δ), which equals z² at δ = z²/(n + z²)
    interval = flips_interval([0.0] * 40, names(40))
    assert interval.estimate == 0
    assert interval.high == pytest.approx(Z**2 / (40 + Z**2), abs=1e-9)
    assert interval.low == pytest.approx(-(Z**2) / (40 + Z**2), abs=1e-9)


def test_tangos_bounds_solve_the_score_equation() -> None:
    # 3 gained, 8 lost of 60. At a bound d the counts lie z standard errors off, the variance under d being
    # n·(2q + d(1 - d)) with q, the chance of a loss, maximising the likelihood b·log(q + d) + c·log(q).
    gained, lost, n = 3, 8, 60
    interval = flips_interval([1.0] * gained + [-1.0] * lost + [0.0] * (n - gained - lost), names(n))
    for bound, sign in ((interval.low, 1), (interval.high, -1)):
        grid = np.linspace(max(0.0, -bound) + 1e-6, min(1.0, (1 - bound) / 2) - 1e-6, 400_001)
        likelihood = (
            gained * np.log(grid + bound) + lost * np.log(grid) + (n - gained - lost) * np.log(1 - 2 * grid - bound)
        )
        q = grid[np.nanargmax(likelihood)]
        z = (gained - lost - n * bound) / math.sqrt(n * (2 * q + bound * (1 - bound)))
        assert z == pytest.approx(sign * Z, abs=2e-3)


def test_flips_that_come_by_whole_templates_count_as_templates() -> None:
    # Ten templates of four items; two templates flip as a whole. Independent flips would look four times as certain.
    changes = [-1.0] * 8 + [0.0] * 32
    together = flips_interval(changes, [str(k // 4) for k in range(40)])
    alone = flips_interval(changes, names(40))
    assert together.estimate == pytest.approx(alone.estimate)
    assert together.low < alone.low - 0.05


def test_a_design_effect_by_hand() -> None:
    # Values 1, 1, -1, -1 in two clusters: cluster sums 2 and -2, between them 8·2/1/4 = 4; within 4/3
    assert design_effect(np.array([1.0, 1.0, -1.0, -1.0]), ["a", "a", "b", "b"]) == pytest.approx(3.0)
    assert design_effect(np.array([1.0, -1.0, 1.0, -1.0]), ["a", "a", "b", "b"]) == 1.0


def test_auc_by_hand() -> None:
    # pairs: 3>1, 3>2, 2>1, 2=2 → (1 + 1 + 1 + 0.5) / 4
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx(0.875)


def test_a_model_that_likes_pushing_back_everywhere_has_no_judgment() -> None:
    margins = np.array([5.0, 6.0, 7.0])
    assert auc(margins, margins) == pytest.approx(0.5)


def test_the_jackknife_of_a_mean_is_students_t() -> None:
    values = [1.0, 2.0, 4.0, 9.0]
    found = jackknife_interval(lambda drawn: float(np.mean([values[i] for i in drawn[0]])), [4])
    expected = mean_interval(values, names(4))
    assert (found.estimate, found.low, found.high) == pytest.approx((expected.estimate, expected.low, expected.high))


def test_the_jackknifes_strata_add_up_by_hand() -> None:
    values = [[1.0, 3.0], [10.0, 14.0]]  # halves of the difference: 1 and 2, so the variance of each mean is 1 and 4

    def total(drawn: Sequence[Sequence[int]]) -> float:
        return float(sum(np.mean([own[i] for i in picked]) for own, picked in zip(values, drawn, strict=True)))

    found = jackknife_interval(total, [2, 2])
    assert found.estimate == 14
    assert found.high - 14 == pytest.approx(stdtrit(2, 0.95) * 5**0.5)  # four clusters in two strata


def test_a_stratum_of_one_cluster_says_nothing_of_its_noise() -> None:
    assert jackknife_interval(lambda drawn: 1.0, [5, 1]).low == -math.inf


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_the_estimate_always_lies_in_its_interval(values: list[float]) -> None:
    for interval in (mean_interval(values, names(len(values))), median_interval(values, names(len(values)))):
        assert interval.low <= interval.estimate <= interval.high


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=2, max_size=40), st.integers(1, 5))
def test_the_share_of_flips_always_lies_in_its_interval(changes: list[float], size: int) -> None:
    interval = flips_interval(changes, [str(k // size) for k in range(len(changes))])
    assert -1 <= interval.low <= interval.estimate + 1e-9
    assert interval.estimate - 1e-9 <= interval.high <= 1


def test_nine_in_ten_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(600):
        effects = rng.normal(0.5, 1.0, 12)
        items = [(effects[k] + rng.normal(0, 0.5), str(k)) for k in range(12) for _ in range(4)]
        interval = mean_interval([v for v, _ in items], [c for _, c in items])
        hits += interval.low <= 0.5 <= interval.high
    assert 0.86 <= hits / 600 <= 0.94


def test_nine_in_ten_intervals_of_flips_hold_the_truth() -> None:
    # Gains with chance 0.05 and losses with chance 0.1: the true difference is -0.05
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(600):
        changes = rng.choice([1.0, -1.0, 0.0], 60, p=[0.05, 0.1, 0.85]).tolist()
        interval = flips_interval(changes, names(60))
        hits += interval.low <= -0.05 <= interval.high
    assert 0.86 <= hits / 600 <= 0.96
