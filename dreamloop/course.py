"""Where the nights so far have led: each night moves the course a little, from the first to the last.

A continuous measure is judged, because it moves before choices flip: how much better fresh scenarios are told apart,
with its interval. Larger doses only where several nights together changed too little; smaller ones where a step
was too large or the two sides drift apart; more replay while an ability falls; back to the base where what may be lost
on the way from it is spent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dreamloop.config import Adapt, Config
from dreamloop.records import Change, PastNight

_JUDGED = {"kept", "reverted", "inconclusive"}
_LEARNED = "lessons.discrimination"
_ABLE = ("capability.", "perplexity.")  # what falls where something is forgotten
_SLOWER = 5  # times as patient where a larger step was reverted before
_LEAST = 0.25  # of the learning rates
_LONGEST = 8  # times the calm nights that setbacks ask for at most: a gate is sometimes wrong, too
_DRIFT = ("perplexity.", "geometry.")  # what is spent on the way from the base


@dataclass(frozen=True, slots=True)
class Course:
    """Where the nights so far have led.

    ``level`` counts the steps up, ``ceiling`` is the level from which on nights were reverted, ``caution`` the factor
    on the learning rates: a smaller step is a shorter one, because one of fewer pairs points anywhere (one of four
    moved the weights half as far as one of twenty, and tonight's own replies by 0.3 nats per token one way).
    ``window`` are the changes by the latest kept nights' whole steps at this level and ``steps`` their optimizer steps.
    ``reverted`` are the nights reverted in a row, ``clean`` the number kept in a row without a fall, ``since`` the kept
    ones since the step's size changed, ``setbacks`` how often it had to be made smaller. ``fell`` are the measures that
    fell last, for as long as that brings more replay. ``weaker`` is the side that lags behind, empty where they keep
    together. ``spent`` says which budget since the base is spent, ``rebases`` counts the nights that began at the base
    again, and ``stacked`` the nights kept since the latest of them.
    """

    level: int
    ceiling: int | None
    caution: float
    replay: float
    window: tuple[Change, ...]
    steps: int
    reverted: tuple[int, ...]
    clean: int
    since: int
    setbacks: int
    fell: tuple[str, ...]
    weaker: str
    why_dose: str
    why_caution: str
    why_replay: str
    why_sides: str
    spent: str
    rebases: int
    stacked: int


def after(course: Course, night: PastNight, config: Config) -> Course:
    """The course after one more night. One that came to no judgement changes nothing."""
    if night.outcome in _JUDGED:
        course = _judged(course, night, config)
    return replace(course, reverted=()) if night.looked_at else course


def _judged(course: Course, night: PastNight, config: Config) -> Course:
    course = _drifted(_replayed(course, night, config), night, config.adapt)
    if night.outcome != "kept":
        return _reverted(course, night)
    if night.rebased:  # it taught nothing new, so it says nothing of the dose
        return replace(course, reverted=())
    course = _sided(replace(course, reverted=(), since=course.since + 1), night, config.adapt)
    # Of a step that was only left open the gate has taken a part, and that is all.
    if night.scale < 1 and night.shown_worse:
        why = f"Night {night.number}'s step was kept at {night.scale:g} of its size, so the next is half as large."
        return _smaller(course, why)
    return _larger(_recovered(course, night, config.adapt), night, config)


def too_little(changes: Sequence[Change], least: float) -> bool:
    """Whether several nights' changes together cannot be told from nothing, or are less than ``least`` a night.

    Their sum S has the half-width √Σh², each night's own half-width being h; it is noise where S - √Σh² ≤ 0.
    """
    total = sum(change.change for change in changes)
    noise = math.hypot(*((change.high - change.low) / 2 for change in changes))
    return not (total > noise and total >= least * len(changes))


def beginning(config: Config) -> Course:
    """Before the first night: as configured."""
    return Course(
        level=0, ceiling=None, caution=1.0, replay=config.night.replay_share, window=(), steps=0, reverted=(), clean=0,
        since=0, setbacks=0, fell=(), weaker="", spent="", rebases=0, stacked=0,
        why_dose="Small doses first: ten examples can already break a disposition.",
        why_caution="No night was too much.", why_replay="As configured; nothing fell.",
        why_sides="Both sides keep together.",
    )  # fmt: skip


def _drifted(course: Course, night: PastNight, knobs: Adapt) -> Course:
    """Whether the next night should begin at the base again, because what may be lost since then is nearly spent.

    A night that began there is followed by calm ones before another does, twice as many each time: what is spent by
    what was learned, and not by the way there, is spent again at once.
    """
    if night.rebased:
        return replace(course, spent="", rebases=course.rebases + 1, stacked=0)
    course = replace(course, stacked=course.stacked + (night.outcome == "kept"))
    needed = knobs.calm * min(2 ** (course.rebases - 1), _LONGEST) if course.rebases else 0
    spent = "" if course.stacked < needed else course.spent or _spent(night, knobs.drift_most)
    return replace(course, spent=spent)


def _spent(night: PastNight, most: float) -> str:
    """A sentence about the budget since the base that is spent the furthest; empty where all have room left.

    A kept night has spent the share of the margin that its estimate says; where the whole step was lost to a bound
    since the base that it kept to tonight, all of it is.
    """
    shares = {
        measure.name: -measure.since_base.change / measure.since_base.margin
        if night.outcome == "kept" else float(measure.tonight.holds and not measure.since_base.holds)
        for measure in night.measures
        if measure.name.startswith(_DRIFT) and not measure.informative and measure.since_base.margin > 0
    }  # fmt: skip
    worst = max(shares, key=lambda name: shares[name], default="")
    if not worst or shares[worst] < most:
        return ""
    return f"By night {night.number} {worst} has used {shares[worst]:.0%} of what it may lose since the base."


def _replayed(course: Course, night: PastNight, config: Config) -> Course:
    """More general examples while something falls, and step by step back when all is calm."""
    knobs, usual = config.adapt, config.night.replay_share
    if fell := _fell(night):
        why = f"{' and '.join(fell)} fell in night {night.number}."
        return replace(course, replay=max(usual, knobs.replay_most), clean=0, fell=tuple(fell), why_replay=why)
    course = replace(course, clean=course.clean + 1 if night.outcome == "kept" else 0)
    if course.replay <= usual or course.clean < knobs.calm:
        return course
    why = f"Back towards {usual:g}: {course.clean} nights were kept without a fall."
    less = round(max(usual, course.replay - knobs.replay_back), 4)
    return replace(course, replay=less, fell=course.fell if less > usual else (), why_replay=why)


def _fell(night: PastNight) -> list[str]:
    """Abilities whose interval lies wholly below zero, tonight's or that since the base, beyond half of its margin."""
    return [
        measure.name for measure in night.measures
        if measure.name.startswith(_ABLE) and not measure.informative
        and any(one.high < 0 and one.change < -one.margin / 2 for one in (measure.tonight, measure.since_base))
    ]  # fmt: skip


def _reverted(course: Course, night: PastNight) -> Course:
    """Never again as it was: a level down and half as large."""
    why = f"Night {night.number} was not kept, so its pairs are set aside and the next step is smaller."
    lower = replace(
        course, level=max(0, course.level - 1), ceiling=course.level or course.ceiling,
        why_dose=why if course.level else course.why_dose,
    )  # fmt: skip
    return replace(_smaller(lower, why), reverted=(*course.reverted, night.number))


def _smaller(course: Course, why: str) -> Course:
    setbacks = course.setbacks + 1
    slower = max(_LEAST, course.caution / 2)
    return replace(_turned(course), caution=slower, clean=0, setbacks=setbacks, why_caution=why)


def _turned(course: Course) -> Course:
    """The step's size changes; what was seen of the last one says nothing of the next."""
    return replace(course, window=(), steps=0, since=0)


def _sided(course: Course, night: PastNight, knobs: Adapt) -> Course:
    """Whether push-back and accept drift apart, compared to the base; where they begin to, steps are halved."""
    push, accept = night.measure("probes.push_back_rate"), night.measure("probes.accept_rate")
    if push is None or accept is None:
        return course
    opened = abs(push.candidate - accept.candidate) - abs(push.base - accept.base)
    if opened <= (knobs.gap_opens / 2 if course.weaker else knobs.gap_opens):
        return replace(course, weaker="", why_sides="Both sides keep together.")
    weaker = "push back" if push.candidate < accept.candidate else "accept"
    rates = f"Push back {push.candidate:.2f} and accept {accept.candidate:.2f}"
    why = f"{rates} are {opened:.2f} further apart than at first."
    opening = replace(course, weaker=weaker, why_sides=f"{why} The side that lags ({weaker}) weighs more.")
    return opening if course.weaker else _smaller(opening, f"{why} So the step is halved.")


def _recovered(course: Course, night: PastNight, knobs: Adapt) -> Course:
    """After calm nights a smaller step may be larger again; each setback asks for twice as many, so that it settles."""
    needed = knobs.calm * min(2 ** (course.setbacks - 1), _LONGEST)
    if course.caution >= 1 or course.weaker or course.since < needed:
        return course
    why = f"{course.since} calm nights up to night {night.number}, so the step doubles again."
    return replace(_turned(course), caution=min(1.0, course.caution * 2), why_caution=why)


def _larger(course: Course, night: PastNight, config: Config) -> Course:
    """A level up where enough nights and steps together changed too little.

    A step of which the gate has taken a part is counted whole: it is the dose that may be too small, not the part.
    """
    learned, knobs = night.measure(_LEARNED), config.adapt
    if learned is None:
        return course
    slow = course.ceiling is not None and course.level + 1 >= course.ceiling
    needed = knobs.patience * (_SLOWER if slow else 1)
    window = (*course.window, _whole(learned.tonight, night.scale))[-needed:]
    course = replace(course, window=window, steps=course.steps + night.steps)
    calm = course.caution >= 1 and not course.weaker
    if not calm or len(window) < needed or course.steps < knobs.steps or not too_little(window, knobs.least):
        return course
    if course.level >= _highest(config):
        return replace(course, why_dose="The largest dose there is; it changes too little.")
    total = sum(change.change for change in window)
    why = f"{needed} nights up to night {night.number} changed {_LEARNED} by {total:+.4f} together, too little."
    return replace(_turned(course), level=course.level + 1, why_dose=why)


def _whole(change: Change, scale: float) -> Change:
    """About what the whole step would have changed."""
    return replace(change, change=change.change / scale, low=change.low / scale, high=change.high / scale)


def _highest(config: Config) -> int:
    """The level at which neither the dose nor the rate would rise any more."""
    knobs = config.adapt
    return max(len(doses(config)) - 1, math.ceil(math.log(knobs.rate_most) / math.log(knobs.rate_growth)))


def doses(config: Config) -> list[int]:
    """Pairs of a night by level, the configured ones first."""
    usual = config.night.behavioural
    return [usual, *(larger for larger in config.adapt.larger if larger > usual)]
