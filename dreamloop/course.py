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
from typing import NamedTuple

from dreamloop.config import Adapt, Config
from dreamloop.records import Change, PastNight

_JUDGED = {"kept", "reverted", "inconclusive"}
_LEARNED = "lessons.discrimination"
_ABLE = ("capability.", "perplexity.")  # what falls where something is forgotten
_SLOWER = 5  # times as patient where a larger step was reverted before, and twice as often with every further time
_REFUSED = 2  # times that a rise is reverted before the kinds it was for are left as they are
_CAUTIONS = (1.0, 0.5, 0.25)  # factors on the learning rates
_LONGEST = 8  # times the nights that setbacks ask for at most: a gate is sometimes wrong, too
_DRIFT = ("perplexity.", "geometry.")  # what is spent on the way from the base


class Seen(NamedTuple):
    """What a night's whole step changed, and its optimizer steps."""

    learned: Change
    steps: int


@dataclass(frozen=True, slots=True)
class Course:
    """Where the nights so far have led.

    ``level`` counts the steps up; ``proven`` says that a night of the present level was kept. ``ceiling`` is a level
    that was reverted before any night of it was kept, ``refused`` how often it was.
    ``caution`` is the factor on the learning rates: a smaller step is a shorter one, because one of fewer pairs points
    anywhere (one of four moved the weights half as far as one of twenty, and tonight's own replies by 0.3 nats per
    token one way). ``since`` are the nights kept since the step's size changed, ``setbacks`` how often it had to be
    made smaller and that was not forgotten yet. ``window`` are the latest nights whose whole step was kept, all of the
    present size. ``reverted`` are the nights reverted in a row, ``clean`` the number kept in a row without a fall.
    ``fell`` are the measures that fell, for as long as that brings more replay. ``weaker`` is the side that lags
    behind, empty where they keep together. ``exhausted`` are the kinds of which no dose teaches any more.
    ``spent`` says which budget since the base is spent, ``useless`` counts the nights in a row that began at the base
    again and freed nothing of it, None before the first, and ``judged`` the nights judged since the latest.
    """

    level: int
    proven: bool
    ceiling: int | None
    refused: int
    caution: float
    since: int
    setbacks: int
    replay: float
    window: tuple[Seen, ...]
    reverted: tuple[int, ...]
    clean: int
    fell: tuple[str, ...]
    weaker: str
    exhausted: tuple[str, ...]
    why_dose: str
    why_caution: str
    why_replay: str
    why_sides: str
    spent: str
    useless: int | None
    judged: int


def after(course: Course, night: PastNight, config: Config) -> Course:
    """The course after one more night. One that came to no judgement changes nothing, but that it was no rebase."""
    if night.rebased:
        course = _rebased(course, night, config)
    elif night.outcome in _JUDGED:
        course = _judged(course, night, config)
    return replace(course, reverted=()) if night.looked_at else course


def _rebased(course: Course, night: PastNight, config: Config) -> Course:
    """It taught nothing new, so it says nothing of the dose; one that was ended from outside is tried again."""
    if night.outcome == "interrupted":
        return course
    course = replace(_replayed(course, night, config), spent="", judged=0)
    if night.outcome != "kept":
        return replace(course, useless=(course.useless or 0) + 1)
    freed = not _spent(night, config.adapt.drift_most)
    return replace(course, reverted=(), useless=0 if freed else (course.useless or 0) + 1)


def _judged(course: Course, night: PastNight, config: Config) -> Course:
    course = _drifted(_replayed(course, night, config), night, config.adapt)
    if night.outcome != "kept":
        return _reverted(course, night, config)
    course = replace(course, reverted=(), since=course.since + 1, proven=True)
    sided = _sided(course, night, config)
    if sided.setbacks > course.setbacks:
        return sided
    if night.scale < 1 and night.shown_worse:  # of what was only left open the gate has taken a part, and that is all
        why = f"Night {night.number}'s step was kept at {night.scale:g} of its size, so the next is half as large."
        return _smaller(sided, why, config)
    return _calm(sided, night, config)


def due(course: Course, knobs: Adapt) -> bool:
    """Whether the next night should begin at the base again.

    A night that began there is followed by others before the next does, and by twice as many each time that it freed
    nothing: what is spent by what was learned, and not by the way there, is spent again at once.
    """
    needed = 0 if course.useless is None else knobs.calm * min(2 ** max(0, course.useless - 1), _LONGEST)
    return bool(course.spent) and course.judged >= needed


def too_little(changes: Sequence[Change], least: float) -> bool:
    """Whether several nights' changes together cannot be told from nothing, or are less than ``least`` a night.

    Their sum S has the half-width √Σh², each night's own half-width being h; it is noise where S - √Σh² ≤ 0.
    """
    total = sum(change.change for change in changes)
    return not (total > _noise(changes) and total >= least * len(changes))


def _noise(changes: Sequence[Change]) -> float:
    return math.hypot(*((change.high - change.low) / 2 for change in changes))


def beginning(config: Config) -> Course:
    """Before the first night: as configured."""
    return Course(
        level=0, proven=True, ceiling=None, refused=0, caution=1.0, since=0, setbacks=0,
        replay=config.night.replay_share, window=(), reverted=(), clean=0, fell=(), weaker="", exhausted=(), spent="",
        useless=None, judged=0,
        why_dose="Small doses first: ten examples can already break a disposition.",
        why_caution="No night was too much.", why_replay="As configured; nothing fell.",
        why_sides="Both sides keep together.",
    )  # fmt: skip


def rate_of(level: int, knobs: Adapt) -> float:
    """The factor on DPO's configured learning rate."""
    return float(min(knobs.rate_growth**level, knobs.rate_most))


def doses(config: Config) -> list[int]:
    """Pairs of a night by level, the configured ones first."""
    usual = config.night.behavioural
    return [usual, *(larger for larger in config.adapt.larger if larger > usual)]


def pairs_of_level(level: int, config: Config) -> int:
    """Pairs of a night; the largest dose on all levels above."""
    sizes = doses(config)
    return sizes[min(level, len(sizes) - 1)]


# --- what may be lost since the base ---------------------------------------------------------------


def _drifted(course: Course, night: PastNight, knobs: Adapt) -> Course:
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


# --- what is forgotten ------------------------------------------------------------------------------


def _replayed(course: Course, night: PastNight, config: Config) -> Course:
    """More general examples while something falls, and step by step back when all is calm."""
    knobs, usual = config.adapt, config.night.replay_share
    if now := _fell(night):
        fell = tuple(dict.fromkeys((*course.fell, *now)))
        why = " ".join(f"{' and '.join(names)} {said}." for said, names in _told(night, now).items() if names)
        return replace(course, replay=max(usual, knobs.replay_most), clean=0, fell=fell, why_replay=why)
    course = replace(course, clean=course.clean + (night.outcome == "kept"))
    if course.replay <= usual or course.clean < knobs.calm:
        return course
    why = f"Back towards {usual:g}: {course.clean} nights were kept without a fall."
    less = round(max(usual, course.replay - knobs.replay_back), 4)
    return replace(course, replay=less, fell=course.fell if less > usual else (), why_replay=why)


def _fell(night: PastNight) -> list[str]:
    """Abilities that are surely below yesterday's or the base by more than half of what they may lose to it."""
    return [
        measure.name for measure in night.measures
        if measure.name.startswith(_ABLE) and not measure.informative
        and any(one.high < 0 and one.change < -one.margin / 2 for one in (measure.tonight, measure.since_base))
    ]  # fmt: skip


def _told(night: PastNight, fell: Sequence[str]) -> dict[str, list[str]]:
    tonight = [measure.name for measure in night.measures if measure.name in fell and measure.tonight.high < 0]
    return {
        f"fell in night {night.number}": tonight,
        f"lay below the base after night {night.number}": [name for name in fell if name not in tonight],
    }


# --- how large a step -------------------------------------------------------------------------------


def _reverted(course: Course, night: PastNight, config: Config) -> Course:
    """Never again as it was: back to the level that was kept, or half as large where this one had been."""
    course = replace(course, reverted=(*course.reverted, night.number))
    why = f"Night {night.number} was not kept, so its pairs are set aside and the next step is smaller."
    if _spent(night, config.adapt.drift_most) and all(measure.tonight.holds for measure in night.measures):
        return course  # not too large: the way to here was
    if course.proven or not course.level:
        return _smaller(course, why, config)
    again = course.refused + 1 if course.ceiling == course.level else 1
    return replace(
        _turned(course), level=course.level - 1, proven=True, ceiling=course.level, refused=again, why_dose=why
    )


def _smaller(course: Course, why: str, config: Config) -> Course:
    """Half as large: by shorter steps, and where these are as short as may be by a lower level."""
    course = replace(_turned(course), setbacks=course.setbacks + 1, why_caution=why)
    shorter = [caution for caution in _CAUTIONS if caution < course.caution]
    if shorter:
        return replace(course, caution=shorter[0])
    if not course.level:
        return course
    half, below = _size(course.level, course.caution, config) / 2, course.level - 1
    fits = [caution for caution in _CAUTIONS if _size(below, caution, config) <= half]
    return replace(course, level=below, ceiling=course.level, refused=0, caution=(*fits, _CAUTIONS[-1])[0])


def _size(level: int, caution: float, config: Config) -> float:
    return pairs_of_level(level, config) * rate_of(level, config.adapt) * caution


def _turned(course: Course) -> Course:
    """The step's size changes; what was seen of the last one says nothing of the next."""
    return replace(course, window=(), since=0)


def _calm(course: Course, night: PastNight, config: Config) -> Course:
    """After calm nights a smaller step doubles again; each setback asks for twice as many, so that it settles.

    Many of them, and a setback is forgotten.
    """
    needed = config.adapt.calm * min(2 ** max(0, course.setbacks - 1), _LONGEST)
    if course.caution < 1 and course.since >= needed:
        why = f"{course.since} calm nights up to night {night.number}, so the step doubles again."
        return replace(_turned(course), caution=course.caution * 2, why_caution=why)
    if course.setbacks and course.since >= config.adapt.calm * _LONGEST:
        course = replace(course, setbacks=course.setbacks - 1, since=0)
    return _sized(course, night, config)


def _sized(course: Course, night: PastNight, config: Config) -> Course:
    """What the nights of the present size have changed together: enough, too little, nothing, or the wrong way."""
    learned, knobs = night.measure(_LEARNED), config.adapt
    if learned is None or night.scale < 1 or not _of_this_size(course, night, config):
        return course  # the gate took only a part: of a larger step it would take no more
    times = _patience(course)
    window = (*course.window, Seen(learned.tonight, night.steps))[-knobs.patience * times :]
    course = replace(course, window=window)
    steps, fewest = sum(seen.steps for seen in window), min(2, knobs.patience)
    if len(window) < knobs.patience * times and (len(window) < fewest * times or steps < knobs.steps * times):
        return course
    changes = [seen.learned for seen in window]
    total, noise = sum(change.change for change in changes), _noise(changes)
    nights = f"{len(window)} nights up to night {night.number} changed {_LEARNED} by {total:+.4f} together"
    if total < -noise:
        return _smaller(course, f"{nights}, the wrong way, so the next step is half as large.", config)
    taught = [shown.kind for shown in night.shown if shown.taught]
    if _may_rise(course, bool(taught), config):
        little = too_little(changes, knobs.least)
        return replace(_risen(course), why_dose=f"{nights}, too little.") if little else course
    if taught and total <= noise:
        return _exhausted(course, taught, nights)
    largest = course.level >= _highest(config) and too_little(changes, knobs.least)
    return replace(course, why_dose=f"The largest dose there is; {nights}.") if largest else course


def _patience(course: Course) -> int:
    """How many times as many nights are asked, where a rise was reverted before, or must wait for calm nights."""
    if course.ceiling is not None and course.level + 1 >= course.ceiling:
        return _SLOWER * min(1 << max(0, course.refused - 1), _LONGEST)
    return 1 if course.caution >= 1 and not course.weaker else _SLOWER


def _may_rise(course: Course, known: bool, config: Config) -> bool:
    """Whether there is a larger dose that may be kept. One that was refused again and again is only tried once more
    where it is not ``known`` what was taught, so that nothing else could be taught instead."""
    refused = course.level + 1 == course.ceiling and course.refused >= _REFUSED and known
    return course.level < _highest(config) and course.caution >= 1 and not course.weaker and not refused


def _risen(course: Course) -> Course:
    return replace(_turned(course), level=course.level + 1, proven=False)


def _exhausted(course: Course, taught: Sequence[str], nights: str) -> Course:
    """Tonight's kinds have come as far as they can, and the next ones begin as all do."""
    why = f"{nights}, nothing, and no larger dose is left for {', '.join(taught)}; what comes next begins small."
    exhausted = tuple(dict.fromkeys((*course.exhausted, *taught)))
    return replace(_turned(course), level=0, proven=True, ceiling=None, refused=0, exhausted=exhausted, why_dose=why)


def _of_this_size(course: Course, night: PastNight, config: Config) -> bool:
    """Whether the night trained what the course asks for now: its plan may have been another, its logs poor."""
    dose = night.dose
    if dose is None:  # a ledger from before there were plans
        return True
    planned = (pairs_of_level(course.level, config), rate_of(course.level, config.adapt), course.caution)
    return (dose.planned, dose.rate, dose.caution) == planned and 2 * dose.pairs >= dose.planned


def _highest(config: Config) -> int:
    """The level at which neither the dose nor the rate would rise any more."""
    knobs = config.adapt
    return max(len(doses(config)) - 1, math.ceil(math.log(knobs.rate_most) / math.log(knobs.rate_growth)))


# --- both sides -------------------------------------------------------------------------------------


def _sided(course: Course, night: PastNight, config: Config) -> Course:
    """Whether push-back and accept drift apart, compared to the base; where they begin to, steps are halved."""
    push, accept, knobs = night.measure("probes.push_back_rate"), night.measure("probes.accept_rate"), config.adapt
    if push is None or accept is None:
        return course
    gap, first = push.candidate - accept.candidate, push.base - accept.base
    opened = abs(gap) - (abs(first) if gap * first > 0 else 0.0)
    closes = opened <= knobs.gap_opens and (opened <= knobs.gap_opens / 2 or course.since >= knobs.calm)
    if closes if course.weaker else opened <= max(knobs.gap_opens, _noise([push.since_base, accept.since_base])):
        return replace(course, weaker="", why_sides="Both sides keep together.")
    weaker = "push back" if gap < 0 else "accept"
    rates = f"Push back {push.candidate:.2f} and accept {accept.candidate:.2f}"
    why = f"{rates} are {opened:.2f} further apart than at first."
    opening = replace(course, weaker=weaker, why_sides=f"{why} The side that lags ({weaker}) weighs more.")
    return opening if course.weaker else _smaller(opening, f"{why} So the step is halved.", config)
