"""How large a step: more where nights changed too little, half where one was too much."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from dreamloop.config import Config
from dreamloop.course.budget import lost_to_budget
from dreamloop.course.state import (
    LONGEST,
    Course,
    Seen,
    doses,
    noise_of,
    pairs_of_level,
    provable,
    rate_of,
    times_as_long,
)
from dreamloop.records import Change, PastNight

_LEARNED = "lessons.discrimination"
_SLOWER = 5  # times as patient where a larger step was reverted before, and twice as often with every further time
_REFUSED = 2  # times that a rise is reverted before the kinds it was for are left as they are
_MOSTLY = 0.5  # of their steps, on average, that nights must have been kept of for the next to be larger
_CAUTIONS = (1.0, 0.5, 0.25)  # factors on the learning rates


def too_little(changes: Sequence[Change], least: float) -> bool:
    """Whether several nights' changes together cannot be told from nothing, or are less than ``least`` a night.

    Their sum is noise where its interval reaches down to zero.
    """
    total = sum(change.change for change in changes)
    return not (total > noise_of(changes) and total >= least * len(changes))


def turned_to(course: Course, kinds: Sequence[str], config: Config) -> Course:
    """Other kinds than before, and none of those: what was seen says nothing of them.

    A dose that taught stays; after one that had risen in vain the next kinds begin small.
    """
    kinds = provable(kinds)
    if not kinds:
        return course
    if course.kinds and not {*kinds} & {*course.kinds}:
        vain = not course.proven or (bool(course.window) and too_little([seen.learned for seen in course.window], 0.0))
        why = f"Small doses first: other kinds than {', '.join(kinds)} were trained last."
        course = replace(_begun(course, config), why_dose=why) if vain and course.level else _unseen(course)
    return replace(course, kinds=tuple(kinds))


def proven(course: Course, night: PastNight, config: Config) -> Course:
    """A night of this size was kept; the level that was refused once is no ceiling any more."""
    if not _of_this_size(course, night, config):
        return course
    reached = course.ceiling is not None and course.level >= course.ceiling and night.scale >= 1
    return replace(
        course, proven=True, ceiling=None if reached else course.ceiling, refused=0 if reached else course.refused
    )


def reverted(course: Course, night: PastNight, config: Config) -> Course:
    """Never again as it was: half as large, or back to the level that was kept where a rise fails once more.

    Half of a rise is tried where it is more than what was kept before it.
    """
    course = replace(course, reverted=(*course.reverted, night.number))
    if lost_to_budget(night) or not _as_planned(course, night, config):
        return course  # not too large: the way to here was, or it is another's size
    why = f"Night {night.number} was not kept, so its pairs are set aside and the next step is smaller."
    if course.proven or _half_is_a_rise(course, config):
        return smaller(course, why, config)
    again = course.refused + 1 if course.ceiling == course.level else 1
    return replace(
        _turned(course),
        level=course.level - 1,
        proven=True,
        ceiling=course.level,
        refused=again,
        caution=1.0,
        why_dose=why,
        why_caution="As at the level before.",
    )


def smaller(course: Course, why: str, config: Config) -> Course:
    """Half as large: by shorter steps, and where these are as short as may be by a lower level."""
    course = replace(_turned(course), setbacks=course.setbacks + 1, why_caution=why)
    shorter = [caution for caution in _CAUTIONS if caution < course.caution]
    if shorter:
        return replace(course, caution=shorter[0])
    if not course.level:
        return replace(course, why_caution=f"{why} It is the smallest already.")
    half, below = _size(course.level, course.caution, config) / 2, course.level - 1
    fits = [caution for caution in _CAUTIONS if _size(below, caution, config) <= half]
    return replace(
        course, level=below, proven=True, ceiling=course.level, refused=0, caution=(*fits, _CAUTIONS[-1])[0],
        why_dose=why,
    )  # fmt: skip


def _half_is_a_rise(course: Course, config: Config) -> bool:
    """Whether half of a rise that was not tried smaller yet is still more than what was kept before it."""
    return course.caution == 1 and _size(course.level, 0.5, config) > _size(course.level - 1, 1.0, config)


def _size(level: int, caution: float, config: Config) -> float:
    return pairs_of_level(level, config) * rate_of(level, config.adapt) * caution


def _turned(course: Course) -> Course:
    """The step's size changes; what was seen of the last one says nothing of the next."""
    return replace(_unseen(course), since=0)


def _unseen(course: Course) -> Course:
    """Other kinds come; what was seen of the last ones says nothing of them. Nights that were calm were so."""
    return replace(course, window=())


def _begun(course: Course, config: Config) -> Course:
    """At the first level again, by the longest steps that make it no larger than what was."""
    most = _size(course.level, course.caution, config)
    caution = next((one for one in _CAUTIONS if _size(0, one, config) <= most), course.caution)
    why = course.why_caution if caution == course.caution else "What begins is no larger a step than what was."
    begun = _unseen(course) if caution == course.caution else _turned(course)
    return replace(begun, level=0, proven=True, ceiling=None, refused=0, caution=caution, why_caution=why)


def calm(course: Course, night: PastNight, config: Config) -> Course:
    """After calm nights a smaller step doubles again; each setback asks for twice as many, so that it settles.

    Many of them, and a setback is forgotten.
    """
    needed = config.adapt.calm * times_as_long(course.setbacks)
    if course.caution < 1 and course.since >= needed:
        why = f"{course.since} calm nights up to night {night.number}, so the step doubles again."
        return replace(_turned(course), caution=course.caution * 2, why_caution=why)
    if course.setbacks and course.since >= config.adapt.calm * LONGEST:
        course = replace(course, setbacks=course.setbacks - 1, since=0)
    return _sized(course, night, config)


def _sized(course: Course, night: PastNight, config: Config) -> Course:
    """What the nights of the present size have changed together: enough, too little, nothing, or the wrong way.

    Of a step that was kept in part, what the whole would have changed by the part.
    """
    learned, knobs = night.measure(_LEARNED), config.adapt
    if learned is None or not _of_this_size(course, night, config):
        return course
    taught = provable(night.taught())
    if night.shown and not taught:
        return course  # what people said is not what fresh scenarios ask
    times = _patience(course)
    seen = Seen(_whole(learned.tonight, night.scale), night.steps, taught, night.scale)
    course = replace(course, window=(*course.window, seen)[-knobs.patience * times :])
    steps, fewest = sum(seen.steps for seen in course.window), min(2, knobs.patience)
    full = len(course.window) >= knobs.patience * times
    if not full and (len(course.window) < fewest * times or steps < knobs.steps * times):
        return course
    return _weighed(course, night.number, config)


def _whole(part: Change, scale: float) -> Change:
    return replace(part, change=part.change / scale, low=part.low / scale, high=part.high / scale)


def _weighed(course: Course, number: int, config: Config) -> Course:
    changes, knobs = [seen.learned for seen in course.window], config.adapt
    total, noise = sum(change.change for change in changes), noise_of(changes)
    nights = f"{len(changes)} nights up to night {number} changed {_LEARNED} by {total:+.4f} together"
    if total < -noise:
        return smaller(course, f"{nights}, the wrong way, so the next step should be half as large.", config)
    if _may_rise(course, config):
        little = too_little(changes, knobs.least)
        return replace(_risen(course), why_dose=f"{nights}, too little.") if little else course
    if total <= noise and all(seen.kinds for seen in course.window):
        return _set_aside(course, nights, config)
    largest = course.level >= _highest(config) and too_little(changes, knobs.least)
    return replace(course, why_dose=f"The largest dose there is; {nights}.") if largest else course


def _patience(course: Course) -> int:
    """How many times as many nights are asked, where a rise was reverted before, must wait for calm nights, or might
    widen a gap between the sides that is open."""
    if course.level + 1 == course.ceiling:
        return _SLOWER * times_as_long(course.refused)
    return 1 if course.caution >= 1 and not course.weaker else _SLOWER


def _may_rise(course: Course, config: Config) -> bool:
    """Whether there is a larger dose that may be kept. One that was refused again and again is only tried once more
    where it is not known what was taught, so that nothing else could be taught instead."""
    refused = course.level + 1 == course.ceiling and course.refused >= _REFUSED and bool(course.kinds)
    held = course.caution < 1 or _in_small_parts(course)
    return course.level < _highest(config) and not held and not refused


def _in_small_parts(course: Course) -> bool:
    """Whether the gate took so little of these nights that of a larger step it would take no more."""
    return sum(seen.scale for seen in course.window) < _MOSTLY * len(course.window)


def _risen(course: Course) -> Course:
    return replace(_turned(course), level=course.level + 1, proven=False)


def _set_aside(course: Course, nights: str, config: Config) -> Course:
    """The kinds of all these nights have come as far as they can, and the next ones begin as all do.

    Where calm nights would bring a larger step, only until nothing else is left to train.
    """
    kinds = [kind for kind in course.window[0].kinds if all(kind in seen.kinds for seen in course.window)]
    for_now = course.caution < 1 or _in_small_parts(course)
    ended = [kind for kind in kinds if not for_now or kind in course.resting]
    what = "larger dose is kept just now" if for_now else "larger dose is left"
    why = f"{nights}, nothing, and no {what} for {', '.join(kinds)}; what comes next begins small."
    return replace(
        _begun(course, config), why_dose=why,
        exhausted=tuple(dict.fromkeys((*course.exhausted, *ended))),
        resting=tuple(dict.fromkeys((*course.resting, *(kind for kind in kinds if kind not in ended)))),
    )  # fmt: skip


def _of_this_size(course: Course, night: PastNight, config: Config) -> bool:
    """Whether the night trained what the course asks for now, and not half of it because its logs were poor."""
    enough = night.dose is None or 2 * night.dose.pairs >= night.dose.planned
    return enough and _as_planned(course, night, config)


def _as_planned(course: Course, night: PastNight, config: Config) -> bool:
    """Whether the night's plan was what the course asks for now."""
    dose = night.dose
    if dose is None:  # a ledger from before there were plans
        return True
    planned = (pairs_of_level(course.level, config), rate_of(course.level, config.adapt), course.caution)
    return (dose.planned, dose.rate, dose.caution) == planned


def _highest(config: Config) -> int:
    """The level at which neither the dose nor the rate would rise any more."""
    knobs = config.adapt
    return max(len(doses(config)) - 1, math.ceil(math.log(knobs.rate_most) / math.log(knobs.rate_growth)))
