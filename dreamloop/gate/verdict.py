"""The verdict: one pure function of measures. No evidence means revert."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dreamloop.records import Measure, Outcome, Verdict

MIN_CLUSTERS = 5


def decide(measures: Sequence[Measure], expected: Sequence[str]) -> Verdict:
    """Keep only if every expected measure is there and its interval stays within its margin.

    Non-inferiority for every measure at once: all must pass, so no correction for their number is due.
    A measure whose whole interval lies beyond its margin is shown to be worse and reverts the night; one
    whose interval only reaches beyond leaves the question open: inconclusive, which also reverts.

    Args:
        measures: with intervals of the change, positive = better.
        expected: the names that must be present.
    """
    found = {measure.name: measure for measure in measures}
    missing = [name for name in expected if name not in found]
    faults = [f"{name}: not measured, so there is no evidence." for name in missing]
    faults += [fault for measure in measures if (fault := _fault(measure))]
    if faults or not measures:
        return Verdict("revert", tuple(faults) or ("Nothing was measured, so there is no evidence.",))
    worse = [measure for measure in measures if measure.high < -measure.margin]
    if worse:
        return Verdict("revert", tuple(f"{_say(m)}: shown to be worse." for m in worse))
    open_ = [measure for measure in measures if not measure.low >= -measure.margin]
    outcome: Outcome = "inconclusive"
    if open_:
        return Verdict(outcome, tuple(f"{_say(m)}: may be worse, so yesterday's model stays." for m in open_))
    tightest = max((m for m in measures if m.margin > 0), key=lambda m: -m.low / m.margin, default=measures[0])
    return Verdict("keep", (f"All {len(measures)} measures stay within their margins; closest: {_say(tightest)}.",))


def _fault(measure: Measure) -> str:
    numbers = (measure.incumbent, measure.candidate, measure.change)
    if not all(math.isfinite(number) for number in numbers) or math.isnan(measure.low + measure.high):
        return f"{measure.name}: a score is not finite; the candidate is broken."
    if not measure.census and measure.clusters < MIN_CLUSTERS:
        return f"{measure.name}: only {measure.clusters} independent items, at least {MIN_CLUSTERS} are needed."
    return ""


def _say(measure: Measure) -> str:
    return (
        f"{measure.name} {measure.incumbent:.3f} → {measure.candidate:.3f} {measure.unit} "
        f"(change {measure.change:+.4f}, interval {measure.low:+.4f} to {measure.high:+.4f}, "
        f"may lose {measure.margin:g})"
    )
