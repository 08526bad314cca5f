"""How many items does a measure need, so that an honest night passes?

Two kinds of noise stand against a night that did nothing wrong. Its change differs from template to template, which
more templates average out; and the same night with another seed is another night, which no number of items averages
out. A night passes a measure when estimate - t * SE stays within the margin, so its chance is

    P(estimate > t * s / sqrt(K) - margin)

where the estimate of a new night is predicted from n earlier ones by Student's t with n - 1 degrees of freedom.
Noise is measured on retrained nights, never on a model against itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from dreamloop.gate.verdict import MIN_CLUSTERS
from dreamloop.records import Change

MOST_CLUSTERS = 10_000


@dataclass(frozen=True, slots=True)
class Noise:
    """How one measure changed over honest nights, in its own unit, positive = better.

    mean: of the changes. between: their standard deviation from night to night. within: the standard deviation of the
    change from template to template inside a night. nights: how many were seen.
    """

    mean: float
    between: float
    within: float
    nights: int


def noise_of(changes: Sequence[Change], clusters: int, confidence: float) -> Noise:
    """What is seen of a measure's noise on honest nights with different seeds.

    Args:
        changes: the same measure's, one per night, two at least.
        clusters: templates or documents that it rests on.
        confidence: of the changes' intervals.

    Raises:
        ValueError: fewer than two nights.
    """
    if len(changes) < 2:
        raise ValueError(f"The noise between nights needs at least two of them, here is {len(changes)}.")
    estimates = np.array([change.change for change in changes])
    halves = [change.change - change.low for change in changes]
    within = float(np.mean(halves)) * math.sqrt(clusters) / _t(clusters, confidence)
    return Noise(float(estimates.mean()), float(estimates.std(ddof=1)), within, len(changes))


def chance(noise: Noise, clusters: int, margin: float, confidence: float) -> float:
    """Probability that an honest night passes this measure with so many templates or documents."""
    room = margin + noise.mean - _t(clusters, confidence) * noise.within / math.sqrt(clusters)
    if noise.between == 0:
        return float(room >= 0)
    return float(stdtr(noise.nights - 1, room / (noise.between * math.sqrt(1 + 1 / noise.nights))))


def needed(noise: Noise, margin: float, confidence: float, wanted: float) -> int | None:
    """The fewest templates or documents that give an honest night that chance; None where no number does.

    Args:
        noise: of the measure.
        margin: what may be lost.
        confidence: of the intervals.
        wanted: chance for this one measure. For all of M measures together to reach p it is enough that each has
            1 - (1 - p) / M, however they depend on each other (Bonferroni).
    """
    if chance(noise, MOST_CLUSTERS, margin, confidence) < wanted:
        return None
    low, high = MIN_CLUSTERS, MOST_CLUSTERS  # more is never worse
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(noise, middle, margin, confidence) >= wanted else (middle + 1, high)
    return low


def _t(clusters: int, confidence: float) -> float:
    """Standard errors in half an interval; what rests on a single cluster is known and has none."""
    return float(stdtrit(max(clusters - 1, 1), 0.5 + confidence / 2))
