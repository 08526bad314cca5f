"""The verdict: one pure function of measures. No evidence means revert."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from dreamloop.records import Change, Measure, Verdict

MIN_CLUSTERS = 5

_LEARNED = ("taught.discrimination", "lessons.discrimination")
_BY_SIZE = (
    *(f"perplexity.{domain}{of}" for domain in ("prose", "code", "chat", "technical") for of in ("", ".median")),
    *(f"capability.{ability}" for ability in ("arithmetic", "code", "coherence", "instructions")),
    "geometry.collapse",
)


def decide(measures: Sequence[Measure], expected: Sequence[str], faults: Iterable[str] = ()) -> Verdict:
    """Keep only if every expected measure is there and both its intervals stay within their margins.

    Non-inferiority for every measure at once, tonight and since the base: all must pass, so no correction for their
    number is due. A measure whose whole interval lies beyond its margin is shown to be worse and reverts the night;
    one whose interval only reaches beyond leaves the question open: inconclusive, which also reverts.

    Args:
        measures: with intervals of the changes, positive = better.
        expected: the names that must be present.
        faults: sentences about what could not be measured.
    """
    measures = [measure for measure in measures if not measure.informative]
    broken = [*faults, *_broken(measures, expected)]
    if broken:
        return Verdict("revert", tuple(broken))
    worse = [_say(m, change, since) for m, change, since in _both(measures) if change.worse]
    if worse:
        return Verdict("revert", tuple(f"{said}: shown to be worse." for said in worse))
    open_ = [
        f"{_say(m, change, since)}: may be worse; {_settle(m, change)}."
        for m, change, since in _both(measures)
        if not change.holds
    ]
    if open_:
        return Verdict("inconclusive", tuple(open_))
    closest = max(
        (entry for entry in _both(measures) if entry[1].margin > 0),
        key=lambda entry: -entry[1].low / entry[1].margin,
        default=(measures[0], measures[0].tonight, ""),
    )
    return Verdict("keep", (f"All {len(measures)} measures stay within their margins; closest: {_say(*closest)}.",))


def too_large(measures: Sequence[Measure], verdict: Verdict, expected: Sequence[str]) -> bool:
    """Whether only the size of the step is to blame, so that a smaller one is worth a trial.

    Everything was measured; the step taught what it should, on tonight's scenarios and on fresh ones; something fails
    tonight, and would hold if tonight's changes were a quarter; and all that is shown to be worse is reading, ability
    or the personas' geometry, which every step costs a little. A bias, a spill, odd answers or a leap of the weights
    are wrong in kind where they are shown: less of them is not better training. What is only left open may be any
    measure: the interval of a smaller step is about as much narrower, and it has to lie within the same margin.
    """
    measures = [measure for measure in measures if not measure.informative]
    if verdict.outcome == "keep" or _broken(measures, expected):
        return False
    learned = [measure.tonight.change for measure in measures if measure.name in _LEARNED]
    failed = [measure for measure in measures if not measure.holds]
    worse = [measure for measure in failed if measure.tonight.worse or measure.since_base.worse]
    by_size = all(measure.name in _BY_SIZE for measure in worse)
    scaled = all(measure.tonight.low / 4 >= -measure.tonight.margin for measure in failed)
    tonight = any(not measure.tonight.holds for measure in failed)
    return bool(learned) and min(learned) > 0 and by_size and scaled and tonight


def more_clusters(change: Change, clusters: int) -> int | None:
    """How many more templates or documents would settle an open question; None where no number would.

    An interval narrows with the square root of their number, so it ends within the margin when it is as narrow as
    the distance from the estimate to the margin.
    """
    room = change.change + change.margin
    half = change.change - change.low
    if not room > 0 or not math.isfinite(half):
        return None
    return max(1, math.ceil(clusters * (half / room) ** 2 - 1e-9) - clusters)


def _both(measures: Sequence[Measure]) -> list[tuple[Measure, Change, str]]:
    since = [(measure, measure.since_base, "since the base, ") for measure in measures]
    return [*((measure, measure.tonight, "") for measure in measures), *since]


def _broken(measures: Sequence[Measure], expected: Sequence[str]) -> list[str]:
    """Sentences about what is missing or not finite."""
    if not measures:
        return ["Nothing was measured, so there is no evidence."]
    found = {measure.name for measure in measures}
    missing = [name for name in expected if name not in found]
    told = [fault for measure in measures if (fault := _fault(measure))]
    return [*told, f"Not measured, so there is no evidence: {', '.join(missing)}."] if missing else told


def _fault(measure: Measure) -> str:
    for who, number in (("base", measure.base), ("incumbent", measure.incumbent)):
        if not math.isfinite(number):
            return f"{measure.name}: a score of the {who} is not finite, so there is nothing to compare to."
    if not all(math.isfinite(n) for n in (measure.candidate, measure.tonight.change, measure.since_base.change)):
        return f"{measure.name}: a score is not finite; the candidate is broken."
    if not measure.census and measure.clusters < MIN_CLUSTERS:
        return f"{measure.name}: only {measure.clusters} independent items, at least {MIN_CLUSTERS} are needed."
    if any(math.isnan(change.low) or math.isnan(change.high) for change in (measure.tonight, measure.since_base)):
        return f"{measure.name}: its interval is not finite; the candidate is broken."
    return ""


def _say(measure: Measure, change: Change, since: str) -> str:
    before = measure.base if since else measure.incumbent
    return (
        f"{measure.name} {since}{before:.3f} → {measure.candidate:.3f}{' ' if measure.unit else ''}{measure.unit} "
        f"(change {change.change:+.4f}, interval {change.low:+.4f} to {change.high:+.4f}, may lose {change.margin:g})"
    )


def _settle(measure: Measure, change: Change) -> str:
    more = more_clusters(change, measure.clusters)
    if math.isinf(change.low):
        return "nothing can be said from so few independent items"
    if more is None:
        return "more items would not settle it, because the estimate itself lies beyond"
    return f"about {more} more templates or documents beside its {measure.clusters} would settle it"
