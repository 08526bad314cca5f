"""Intervals worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.gate.statistics import auc, bootstrap_interval, cluster_means, mean_interval


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


def test_auc_by_hand() -> None:
    # pairs: 3>1, 3>2, 2>1, 2=2 → (1 + 1 + 1 + 0.5) / 4
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == pytest.approx(0.875)


def test_a_model_that_likes_pushing_back_everywhere_has_no_judgment() -> None:
    margins = np.array([5.0, 6.0, 7.0])
    assert auc(margins, margins) == pytest.approx(0.5)


def test_the_bootstrap_is_reproducible_and_covers_the_estimate() -> None:
    values = np.arange(10.0)
    first = bootstrap_interval(lambda drawn: float(values[drawn].mean()), 10, seed=3)
    assert first == bootstrap_interval(lambda drawn: float(values[drawn].mean()), 10, seed=3)
    assert first.low < first.estimate == 4.5 < first.high


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30))
def test_the_estimate_always_lies_in_its_interval(values: list[float]) -> None:
    interval = mean_interval(values, [str(k) for k in range(len(values))])
    assert interval.low <= interval.estimate <= interval.high


def test_nine_in_ten_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(600):
        effects = rng.normal(0.5, 1.0, 12)
        items = [(effects[k] + rng.normal(0, 0.5), str(k)) for k in range(12) for _ in range(4)]
        interval = mean_interval([v for v, _ in items], [c for _, c in items])
        hits += interval.low <= 0.5 <= interval.high
    assert 0.86 <= hits / 600 <= 0.94
