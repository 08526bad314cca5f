"""What may be lost since the base: how much of it is spent, and when to begin there again."""

from __future__ import annotations

from dataclasses import replace

from dreamloop.config import Adapt
from dreamloop.course.state import Course, times_as_long
from dreamloop.records import Measure, PastNight

_DRIFT = ("perplexity.", "geometry.")  # what is spent on the way from the base


def rebased(course: Course, night: PastNight, knobs: Adapt) -> Course:
    """After a night that began at the base again. It taught nothing new, so it says nothing of the dose."""
    course = replace(course, spent="", judged=0)
    if night.outcome != "kept":
        return replace(course, useless=(course.useless or 0) + 1)
    freed = not _spent(night, knobs.drift_most)
    return replace(course, reverted=(), useless=0 if freed else (course.useless or 0) + 1)


def due(course: Course, knobs: Adapt) -> bool:
    """Whether the next night should begin at the base again.

    A night that began there is followed by others before the next does, and by twice as many each time that it freed
    nothing: what is spent by what was learned, and not by the way there, is spent again at once.
    """
    needed = 0 if course.useless is None else knobs.calm * times_as_long(course.useless)
    return bool(course.spent) and course.judged >= needed


def drifted(course: Course, night: PastNight, knobs: Adapt) -> Course:
    """What is spent by now; a night that was not kept leaves what was spent before it.

    What rates and abilities have lost since the base is no drift, and steps are halved for it. Where the last night of
    as many as may be lost in a row, with the smallest step by then, is lost to it all the same, only the base is left
    to begin at, before a person is asked.
    """
    if night.outcome == "kept":
        spent = _spent(night, knobs.drift_most)
    else:
        last = len(course.reverted) + 1 >= knobs.reverts_most
        spent = _refused(night, "" if last else _DRIFT) or course.spent
    return replace(course, judged=course.judged + 1, spent=spent)


def lost_to_budget(night: PastNight) -> bool:
    """Whether nothing but what was spent before stood in a night's way."""
    return bool(_refused(night, _DRIFT))


def _spent(night: PastNight, most: float) -> str:
    """A sentence about the budget since the base that is spent the furthest; empty where all have room left."""
    shares = _shares(night, _DRIFT)
    worst = max(shares, key=lambda measure: shares[measure], default=None)
    if worst is None or shares[worst] < most:
        return ""
    return f"By night {night.number} {worst.name} has used {shares[worst]:.0%} of what it may lose since the base."


def _refused(night: PastNight, of: str | tuple[str, ...]) -> str:
    """A sentence about the budget ``of`` measures called so that stopped a night which kept to all other bounds, at
    each size it was tried at.

    A step that at its whole size went beyond one of tonight's was too large itself, whatever stopped its parts.
    """
    beyond, shares = night.beyond(), _shares(night, of)
    if not beyond or night.too_large or not all(one in shares and one.tonight.holds for one in beyond):
        return ""
    worst = max(beyond, key=lambda measure: shares[measure])
    return (
        f"Night {night.number} was lost to what {worst.name} had used of what it may lose since the base: "
        f"{shares[worst]:.0%} by then, and up to {-worst.since_base.low / worst.since_base.margin:.0%} by its interval."
    )


def _shares(night: PastNight, of: str | tuple[str, ...]) -> dict[Measure, float]:
    """What each measure whose name begins so has lost since the base, as a share of what it may."""
    return {
        measure: -measure.since_base.change / measure.since_base.margin
        for measure in night.measures
        if measure.name.startswith(of) and not measure.informative and measure.since_base.margin > 0
    }
