"""Intervals for paired differences. Items of one cluster are not independent, so clusters are the units.

Pure functions of numbers; hand-worked tests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit
from scipy.stats import binom

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


def median_interval(values: Sequence[float], clusters: Sequence[str], confidence: float = 0.90) -> Interval:
    """The median over cluster means between two order statistics: exact for any continuous distribution.

    The k-th smallest and largest of K independent values enclose the median with probability
    1 - 2 P(Binomial(K, 1/2) < k) (Conover, Practical Nonparametric Statistics, 1999, section 3.2); k is the largest
    that keeps the confidence. Too few clusters for it give an unbounded interval.
    """
    means = np.sort(cluster_means(values, clusters))
    count = len(means)
    centre = float(np.median(means)) if count else np.nan
    inside = int(binom.ppf((1 - confidence) / 2, count, 0.5)) if count else 0
    if not inside:
        return Interval(centre, -np.inf, np.inf)
    return Interval(centre, float(means[inside - 1]), float(means[count - inside]))


def flips_interval(changes: Sequence[float], clusters: Sequence[str], confidence: float = 0.90) -> Interval:
    """Tango's score interval for the difference of two paired proportions, for items in clusters.

    Tango, Statistics in Medicine 17 (1998) 891-908; its counts are divided by the design effect (Rao and Scott,
    Biometrics 48 (1992) 577-585). Where nothing flipped no design effect can be seen and the counts stay.

    Args:
        changes: +1 where an item's no became a yes, -1 where its yes became a no, 0 where it stayed.
        clusters: what each item belongs to.
        confidence: as in `mean_interval`.
    """
    x = np.asarray(changes, dtype=float)
    if not len(x) or not np.isfinite(x).all():
        return Interval(np.nan, -np.inf, np.inf)
    shrink = design_effect(x, clusters)
    return tango_interval(float((x > 0).sum()) / shrink, float((x < 0).sum()) / shrink, len(x) / shrink, confidence)


def tango_interval(gained: float, lost: float, n: float, confidence: float = 0.90) -> Interval:
    """The same from counts: of n paired items, how many no became a yes, and how many yes a no."""
    z = float(ndtri(0.5 + confidence / 2))
    centre = (gained - lost) / n

    def excess(delta: float) -> float:
        return _tango(gained, lost, n, delta) - z

    def shortfall(delta: float) -> float:
        return _tango(gained, lost, n, delta) + z

    edge = 1 - 1e-12
    low = float(brentq(excess, -edge, centre)) if centre > -1 else -1.0
    high = float(brentq(shortfall, centre, edge)) if centre < 1 else 1.0
    return Interval(centre, low, high)


def _tango(gained: float, lost: float, n: float, delta: float) -> float:
    """The score statistic: how many standard errors the counts lie above a true difference of delta."""
    b = -gained - lost + (2 * n - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    q = (np.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
    variance = max(n * (2 * q + delta * (1 - delta)), 1e-12)
    return float((gained - lost - n * delta) / np.sqrt(variance))


def design_effect(values: Floats, clusters: Sequence[str]) -> float:
    """By how much clusters of alike items inflate the variance of a mean; 1 at least."""
    off = values - values.mean()
    alone = float((off**2).sum()) / max(len(values) - 1, 1)
    if alone == 0:
        return 1.0
    sums: dict[str, float] = defaultdict(float)
    for value, cluster in zip(off, clusters, strict=True):
        sums[cluster] += float(value)
    count = len(sums)
    if count < 2:
        return float(len(values))
    together = sum(total**2 for total in sums.values()) * count / (count - 1) / len(values)
    return max(1.0, together / alone)


def auc(positive: Floats, negative: Floats) -> float:
    """Probability that a random positive exceeds a random negative; ties count half.

    Equals the area under the ROC curve (Mann and Whitney's U over the product of counts).
    """
    difference = positive[:, None] - negative[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def jackknife_interval(
    statistic: Callable[[Sequence[Sequence[int]]], float], clusters: Sequence[int], confidence: float = 0.90
) -> Interval:
    """Student's t over clusters left out one by one within strata, for statistics that are no mean.

    With K clusters in a stratum and θ(i) the statistic without its i-th, the variance is the strata's sum of
    (K - 1) / K · Σ (θ(i) - mean θ(i))² (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11;
    strata as in Wolter, Introduction to Variance Estimation, 2007, chapter 4). A percentile bootstrap over a handful
    of clusters is too narrow. Degrees of freedom are clusters minus strata; a stratum of one cluster says nothing of
    its noise, so the interval is unbounded.

    Args:
        statistic: from each stratum's cluster indices to a number.
        clusters: how many there are in each stratum.
        confidence: as in `mean_interval`.
    """
    everyone = [range(count) for count in clusters]
    centre = statistic(everyone)
    if not clusters or min(clusters) < 2:
        return Interval(centre, -np.inf, np.inf)
    variance = 0.0
    for k, count in enumerate(clusters):
        without = [[i for i in range(count) if i != left] for left in range(count)]
        found = np.array([statistic([*everyone[:k], rest, *everyone[k + 1 :]]) for rest in without])
        variance += (count - 1) / count * float(((found - found.mean()) ** 2).sum())
    half = float(stdtrit(sum(clusters) - len(clusters), 0.5 + confidence / 2)) * variance**0.5
    return Interval(centre, centre - half, centre + half)
