"""Whether pushing back and accepting keep together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dreamloop.config import Config
from dreamloop.course.size import smaller
from dreamloop.course.state import Course, noise_of
from dreamloop.records import PastNight


@dataclass(frozen=True, slots=True)
class _Gap:
    """By how much further than at first the two rates are apart, what of that may be noise, and which one lags."""

    opened: float
    noise: float
    weaker: str
    told: str


def sided(course: Course, night: PastNight, config: Config) -> Course:
    """Whether push-back and accept drift apart, compared to the base; where they begin to, steps are halved."""
    gap, knobs, course = _gap(night), config.adapt, replace(course, tipped="")
    if gap is None:
        return course
    half = knobs.gap_opens / 2
    closes = gap.opened <= knobs.gap_opens and (gap.opened <= half or course.since >= knobs.calm)
    if closes if course.weaker else not _opens(gap, config):
        return replace(course, weaker="", why_sides="Both sides keep together.")
    opening = replace(course, weaker=gap.weaker, why_sides=_why(gap))
    return opening if course.weaker else smaller(opening, f"{gap.told} So the step is halved.", config)


def tipped(course: Course, night: PastNight, config: Config) -> Course:
    """After a step that was not kept: had it opened a gap, the side that lagged in it weighs more until one is kept.

    What serves is as it was: no gap of it has opened or closed.
    """
    gap = _gap(night)
    return replace(course, tipped=gap.weaker, why_sides=_why(gap)) if gap and _opens(gap, config) else course


def _opens(gap: _Gap, config: Config) -> bool:
    return gap.opened > max(config.adapt.gap_opens, gap.noise)


def _why(gap: _Gap) -> str:
    return f"{gap.told} The side that lags ({gap.weaker}) weighs more."


def _gap(night: PastNight) -> _Gap | None:
    push, accept = night.measure("probes.push_back_rate"), night.measure("probes.accept_rate")
    if push is None or accept is None:
        return None
    gap, first = push.candidate - accept.candidate, push.base - accept.base
    opened = abs(gap) - (abs(first) if gap * first > 0 else 0.0)
    served = "are" if night.outcome == "kept" else f"would have been after night {night.number}"
    turned = "the other way round than at first, by" if gap * first < 0 else "further apart than at first, by"
    told = f"Push back {push.candidate:.2f} and accept {accept.candidate:.2f} {served} {turned} {opened:.2f}."
    return _Gap(opened, noise_of([push.since_base, accept.since_base]), "push back" if gap < 0 else "accept", told)
