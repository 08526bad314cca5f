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
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from dreamloop.gate.statistics import tango_interval
from dreamloop.gate.verdict import MIN_CLUSTERS
from dreamloop.records import Change

MOST_CLUSTERS = 10_000


Half = Callable[[int], float]
"""How far below its estimate an interval reaches, by the number of templates or documents."""


@dataclass(frozen=True, slots=True)
class Noise:
    """How one measure changed over honest nights, in its own unit, positive = better.

    mean: of the changes. between: their standard deviation from night to night. nights: how many were seen.
    """

    mean: float
    between: float
    nights: int


def noise_of(estimates: Sequence[float]) -> Noise:
    """What is seen of a measure's noise on honest nights with different seeds.

    Args:
        estimates: the same measure's change, one per night, two at least.

    Raises:
        ValueError: fewer than two nights.
    """
    if len(estimates) < 2:
        raise ValueError(f"The noise between nights needs at least two of them, here is {len(estimates)}.")
    return Noise(float(np.mean(estimates)), float(np.std(estimates, ddof=1)), len(estimates))


def within(changes: Sequence[Change], clusters: int, confidence: float) -> float:
    """The standard deviation from template to template inside a night that t intervals were made of."""
    halves = [change.change - change.low for change in changes]
    return float(np.mean(halves)) * math.sqrt(clusters) / _t(clusters, confidence)


def student(spread: float, confidence: float) -> Half:
    """Of a mean over templates with that standard deviation: t * s / sqrt(K)."""
    return lambda clusters: _t(clusters, confidence) * spread / math.sqrt(clusters)


def tango(gained: float, lost: float, each: float, confidence: float) -> Half:
    """Of the difference of two paired proportions, which narrows with 1 / K where hardly anything flips.

    Args:
        gained: share of items whose no became a yes.
        lost: share whose yes became a no.
        each: independent items in a template: their number over the design effect.
        confidence: of the interval.
    """

    def half(clusters: int) -> float:
        n = each * clusters
        interval = tango_interval(gained * n, lost * n, n, confidence)
        return interval.estimate - interval.low

    return half


def chance(noise: Noise, half: float, margin: float) -> float:
    """Probability that an honest night passes this measure, whose interval reaches so far below its estimate."""
    room = margin + noise.mean - half
    if noise.between == 0:
        return float(room >= 0)
    return float(stdtr(noise.nights - 1, room / (noise.between * math.sqrt(1 + 1 / noise.nights))))


def needed(noise: Noise, half: Half, margin: float, wanted: float) -> int | None:
    """The fewest templates or documents that give an honest night that chance; None where no number does.

    Args:
        noise: of the measure.
        half: how far its interval reaches.
        margin: what may be lost.
        wanted: chance for this one measure. For all of M measures together to reach p it is enough that each has
            1 - (1 - p) / M, however they depend on each other (Bonferroni).
    """
    if chance(noise, half(MOST_CLUSTERS), margin) < wanted:
        return None
    low, high = MIN_CLUSTERS, MOST_CLUSTERS  # more is never worse
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(noise, half(middle), margin) >= wanted else (middle + 1, high)
    return low


def _t(clusters: int, confidence: float) -> float:
    """Standard errors in half an interval."""
    return float(stdtrit(clusters - 1, 0.5 + confidence / 2))
