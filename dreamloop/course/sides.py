"""Whether pushing back and accepting keep together."""

from __future__ import annotations

from dataclasses import replace

from dreamloop.config import Config
from dreamloop.course.size import smaller
from dreamloop.course.state import Course, noise_of
from dreamloop.records import PastNight


def sided(course: Course, night: PastNight, config: Config) -> Course:
    """Whether push-back and accept drift apart, compared to the base; where they begin to, steps are halved."""
    push, accept, knobs = night.measure("probes.push_back_rate"), night.measure("probes.accept_rate"), config.adapt
    if push is None or accept is None:
        return course
    gap, first = push.candidate - accept.candidate, push.base - accept.base
    opened = abs(gap) - (abs(first) if gap * first > 0 else 0.0)
    closes = opened <= knobs.gap_opens and (opened <= knobs.gap_opens / 2 or course.since >= knobs.calm)
    if closes if course.weaker else opened <= max(knobs.gap_opens, noise_of([push.since_base, accept.since_base])):
        return replace(course, weaker="", why_sides="Both sides keep together.")
    weaker = "push back" if gap < 0 else "accept"
    rates = f"Push back {push.candidate:.2f} and accept {accept.candidate:.2f}"
    turned = "the other way round than at first, by" if gap * first < 0 else "further apart than at first, by"
    why = f"{rates} are {turned} {opened:.2f}."
    opening = replace(course, weaker=weaker, why_sides=f"{why} The side that lags ({weaker}) weighs more.")
    return opening if course.weaker else smaller(opening, f"{why} So the step is halved.", config)
