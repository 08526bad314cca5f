"""Intervals for paired differences. Items of one cluster are not independent, so clusters are the units.

Pure functions of numbers; hand-worked tests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided confidence bounds."""

    estimate: float
    low: float
    high: float


def cluster_means(values: Sequence[float], clusters: Sequence[str]) -> Floats:
    """The mean of each cluster, in order of first appearance: (K,)."""
    groups: dict[str, list[float]] = defaultdict(list)
    for value, cluster in zip(values, clusters, strict=True):
        groups[cluster].append(value)
    return np.array([np.mean(group) for group in groups.values()])


def mean_interval(values: Sequence[float], clusters: Sequence[str], confidence: float = 0.90) -> Interval:
    """Student's t interval of the mean over cluster means.

    With a handful of clusters a percentile bootstrap is too narrow; t is exact for normal means.

    Args:
        values: one paired difference per item.
        clusters: what each item belongs to; at least two different ones.
        confidence: 0.90 puts 5 % outside on each side.
    """
    means = cluster_means(values, clusters)
    k = len(means)
    if k < 2:
        return Interval(float(means.mean()) if k else np.nan, -np.inf, np.inf)
    half = float(stdtrit(k - 1, 0.5 + confidence / 2)) * float(means.std(ddof=1)) / k**0.5
    centre = float(means.mean())
    return Interval(centre, centre - half, centre + half)


def auc(positive: Floats, negative: Floats) -> float:
    """Probability that a random positive exceeds a random negative; ties count half.

    Equals the area under the ROC curve (Mann and Whitney's U over the product of counts).
    """
    difference = positive[:, None] - negative[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def bootstrap_interval(
    statistic: Callable[[NDArray[np.int64]], float], clusters: int, seed: int,
    confidence: float = 0.90, resamples: int = 1000,
) -> Interval:  # fmt: skip
    """Percentile bootstrap over clusters, for statistics that are no mean.

    Args:
        statistic: from (K,) cluster indices, drawn with replacement, to a number.
        clusters: how many there are.
        seed: decides the draws, so that a verdict can be recomputed.
        confidence: as in `mean_interval`.
        resamples: how many draws.
    """
    rng = np.random.default_rng(seed)
    draws = [statistic(rng.integers(0, clusters, clusters)) for _ in range(resamples)]
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(statistic(np.arange(clusters)), float(low), float(high))
