"""What may be lost since the base: how much of it is spent, and when to begin there again."""

from __future__ import annotations

from dataclasses import replace

from dreamloop.config import Adapt
from dreamloop.course.state import LONGEST, Course
from dreamloop.records import PastNight

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
    needed = 0 if course.useless is None else knobs.calm * min(2 ** max(0, course.useless - 1), LONGEST)
    return bool(course.spent) and course.judged >= needed


def drifted(course: Course, night: PastNight, knobs: Adapt) -> Course:
    """What is spent by now; a night that was not kept leaves what was spent before it."""
    spent = _spent(night, knobs.drift_most)
    kept = night.outcome == "kept"
    return replace(course, judged=course.judged + 1, spent=spent if kept else spent or course.spent)


def _spent(night: PastNight, most: float) -> str:
    """A sentence about the budget since the base that is spent the furthest; empty where all have room left.

    A night has spent the share of the margin that its estimate says; one that was not kept only where it was lost to
    that bound and had kept to tonight's.
    """
    shares = {
        measure.name: -measure.since_base.change / measure.since_base.margin for measure in night.measures
        if measure.name.startswith(_DRIFT) and not measure.informative and measure.since_base.margin > 0
        and (night.outcome == "kept" or (measure.tonight.holds and not measure.since_base.holds))
    }  # fmt: skip
    worst = max(shares, key=lambda name: shares[name], default="")
    if not worst or shares[worst] < most:
        return ""
    return f"By night {night.number} {worst} has used {shares[worst]:.0%} of what it may lose since the base."


def lost_to_budget(night: PastNight, knobs: Adapt) -> bool:
    """Whether nothing but what was spent before stood in a night's way."""
    return bool(_spent(night, knobs.drift_most)) and all(measure.tonight.holds for measure in night.measures)
