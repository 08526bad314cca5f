"""What falls is replayed more, and less again step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dreamloop.config import Config
from dreamloop.course.state import Course
from dreamloop.records import Change, Measure, PastNight

_ABLE = ("capability.", "perplexity.")  # what falls where something is forgotten


def replayed(course: Course, night: PastNight, config: Config) -> Course:
    """More general examples while something falls, and step by step back with every calm night."""
    knobs, usual = config.adapt, config.night.replay_share
    if now := _fell(night):
        fell = tuple(dict.fromkeys((*course.fell, *now)))
        why = " ".join(f"{' and '.join(names)} {said}." for said, names in _told(night, now).items() if names)
        return replace(course, replay=max(usual, knobs.replay_most), clean=0, fell=fell, why_replay=why)
    if night.outcome != "kept":
        return course
    course = replace(course, clean=course.clean + 1)
    if not course.fell or course.clean < knobs.calm:
        return course
    less = round(course.replay - knobs.replay_back, 4)
    calm = f"{course.clean} nights were kept without a fall."
    if less <= usual:
        return replace(course, replay=usual, fell=(), why_replay=f"As configured again: {calm}")
    return replace(course, replay=less, why_replay=f"Back towards {usual:g}: {calm}")


def _fell(night: PastNight) -> list[str]:
    """Abilities that are surely below yesterday's or the base by more than half of what they may lose to it.

    A step that does not serve says what such steps cost, and nothing of where what serves lies; one that began at the
    base again says not even that.
    """
    if night.outcome != "kept" and night.rebased:
        return []
    return [
        measure.name for measure in night.measures
        if measure.name.startswith(_ABLE) and not measure.informative
        and any(one.high < 0 and one.change < -one.margin / 2 for one in _of_what_counts(measure, night))
    ]  # fmt: skip


def _of_what_counts(measure: Measure, night: PastNight) -> tuple[Change, ...]:
    return (measure.tonight, measure.since_base) if night.outcome == "kept" else (measure.tonight,)


def _told(night: PastNight, fell: Sequence[str]) -> dict[str, list[str]]:
    tonight = [measure.name for measure in night.measures if measure.name in fell and measure.tonight.high < 0]
    return {
        f"fell in night {night.number}": tonight,
        f"lay below the base after night {night.number}": [name for name in fell if name not in tonight],
    }
