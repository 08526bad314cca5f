"""How far a scenario is decided right and its two sides are apart, up to where further makes no difference.

A training loss asks for some distance and pulls back what went beyond it (IPO, arXiv 2310.12036): a twin that was 3.1
nats per token apart and is 1.7 tonight has lost nothing that anybody could tell. So distances count up to one nat per
token, by which the odds of two replies of twenty tokens differ e²⁰ times between the sides, and each side's margin
towards what is right there up to half of it; towards what is wrong a margin counts in full. What is not
finite stays so.
"""

from __future__ import annotations

import math

FULLY = 1.0  # nats per token
_DECIDED = FULLY / 2


def apart(wrong: float, right: float) -> float:
    """By how much more the wrong side draws push back than the right one: nats per token, -1 to 1, of two margins."""
    difference = wrong - right
    return max(-FULLY, min(FULLY, difference)) if math.isfinite(difference) else difference


def push_back_that_counts(wrong: float) -> float:
    """The margin of a wrong side as it counts: nats per token, up to half a nat of pushing back."""
    return min(wrong, _DECIDED) if math.isfinite(wrong) else wrong


def accept_that_counts(right: float) -> float:
    """The margin of a right side as it counts: nats per token of pushing back, down to half a nat of accepting."""
    return -push_back_that_counts(-right)


def sides_that_count(wrong: float, right: float) -> tuple[float, float]:
    """Both margins, moved as far towards each other as the distance between them does not count."""
    middle, half = (wrong + right) / 2, apart(wrong, right) / 2
    return middle + half, middle - half
