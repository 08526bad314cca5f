"""From the nights so far to tonight's recipe: one pure function, with a sentence for every choice.

The nights are walked through from the first to the last; each one moves the course a little. A continuous measure is
judged, because it moves before choices flip: how much better fresh scenarios are told apart, with its interval. Small
doses first, larger ones only where several nights together changed no more than noise; smaller ones where a step was
too large or the two sides drift apart; more replay while an ability falls; nothing where nothing is to be gained.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dreamloop.config import Adapt, Config
from dreamloop.finetune.recipe import recipe_of
from dreamloop.records import Act, Change, Choice, PastNight, Plan, Potential

_JUDGED = {"kept", "reverted", "inconclusive"}
_LEARNED = "lessons.discrimination"
_ABLE = ("capability.", "perplexity.")  # what falls where something is forgotten
_SLOWER = 3  # times as patient where a larger step was reverted before
_LEAST = 0.25  # of the dose, and a night of five pairs shows next to nothing already
_LONGEST = 8  # times the calm nights that setbacks ask for at most: a gate is sometimes wrong, too
_Z = 1.645  # 5 % outside on each side


@dataclass(frozen=True, slots=True)
class Course:
    """Where the nights so far have led.

    ``level`` counts the steps up, ``ceiling`` is the level from which on nights were reverted, ``caution`` the factor
    on the dose. ``window`` are the changes of the latest kept nights at this level and ``steps`` their optimizer steps.
    ``reverted`` are the nights reverted in a row, ``clean`` the number kept in a row without a fall, ``since`` the kept
    ones since the dose changed, ``setbacks`` how often it had to be made smaller. ``weaker`` is the side that lags
    behind, empty where they keep together.
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
    weaker: str
    why_dose: str
    why_replay: str
    why_sides: str


def plan(past: Sequence[PastNight], potentials: Sequence[Potential], config: Config, waiting: int) -> Plan:
    """Tonight's recipe.

    Args:
        past: the nights so far, oldest first. potentials: what the base could be taught, as far as it was asked.
        config: what a person configured, where every course begins.
        waiting: mined pairs that no night has trained on.
    """
    course = _beginning(config)
    if config.adapt.enabled:
        for night in past:
            course = after(course, night, config)
        kinds, why_kinds = _kinds(past, potentials, config)
        return _tonight(course, kinds, why_kinds, config, waiting)
    why = "adapt.enabled is false, so every night is as configured."
    return _recipe("train", why, course, config, config.night.kinds, why)


def after(course: Course, night: PastNight, config: Config) -> Course:
    """The course after one more night. One that came to no judgement changes nothing."""
    if night.outcome in _JUDGED:
        course = _judged(course, night, config)
    return replace(course, reverted=()) if night.looked_at else course


def _judged(course: Course, night: PastNight, config: Config) -> Course:
    course = _replayed(course, night, config)
    if night.outcome != "kept":
        return _reverted(course, night)
    course = _sided(replace(course, reverted=(), since=course.since + 1), night, config.adapt)
    if night.scale < 1:
        why = f"Night {night.number}'s step was kept at {night.scale:g} of its size, so the next is half as large."
        return _smaller(course, why)
    return _larger(_recovered(course, night, config.adapt), night, config)


def at_most_noise(changes: Sequence[Change]) -> bool:
    """Whether several nights' changes together cannot be told from nothing.

    Their sum S has the half-width √Σh², each night's own half-width being h; noise is S - √Σh² ≤ 0.
    """
    total = sum(change.change for change in changes)
    return not total - math.hypot(*((change.high - change.low) / 2 for change in changes)) > 0


def wilson(won: int, of: int) -> tuple[float, float]:
    """The 90 % score interval of a share (Wilson, JASA 22 (1927) 209-212)."""
    if not of:
        return 0.0, 1.0
    share, spread = won / of, _Z**2 / of
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return centre - half, centre + half


def applied(config: Config, tonight: Plan) -> Config:
    """The configuration with the plan's numbers in it; which kinds are trained stands in the plan alone."""
    recipe = recipe_of(config.finetune, 0)
    rates = {name: getattr(recipe, name) * tonight.rate for name in ("sft_learning_rate", "dpo_learning_rate")}
    night = {"behavioural": tonight.behavioural, "replay_share": tonight.replay_share}
    finetune = {**rates, "push_back_weight": tonight.push_back_weight}
    return config.model_copy(update={
        "night": config.night.model_copy(update=night), "finetune": config.finetune.model_copy(update=finetune),
    })  # fmt: skip


# --- what one night changes --------------------------------------------------------------------


def _beginning(config: Config) -> Course:
    return Course(
        level=0, ceiling=None, caution=1.0, replay=config.night.replay_share, window=(), steps=0, reverted=(), clean=0,
        since=0, setbacks=0, weaker="", why_dose="Small doses first: ten examples can already break a disposition.",
        why_replay="As configured; nothing fell.", why_sides="Both sides keep together.",
    )  # fmt: skip


def _replayed(course: Course, night: PastNight, config: Config) -> Course:
    """More general examples while something falls, and step by step back when all is calm."""
    knobs, usual = config.adapt, config.night.replay_share
    if fell := _fell(night):
        why = f"{' and '.join(fell)} fell in night {night.number}."
        return replace(course, replay=max(usual, knobs.replay_most), clean=0, why_replay=why)
    course = replace(course, clean=course.clean + 1 if night.outcome == "kept" else 0)
    if course.replay <= usual or course.clean < knobs.calm:
        return course
    why = f"Back towards {usual:g}: {course.clean} nights were kept without a fall."
    return replace(course, replay=round(max(usual, course.replay - knobs.replay_back), 4), why_replay=why)


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
    lower = replace(course, level=max(0, course.level - 1), ceiling=course.level or course.ceiling)
    return replace(_smaller(lower, why), reverted=(*course.reverted, night.number))


def _smaller(course: Course, why: str) -> Course:
    setbacks = course.setbacks + 1
    return replace(_turned(course, why), caution=max(_LEAST, course.caution / 2), clean=0, setbacks=setbacks)


def _turned(course: Course, why: str) -> Course:
    """The dose changes; what was seen of the last one says nothing of the next."""
    return replace(course, window=(), steps=0, since=0, why_dose=why)


def _sided(course: Course, night: PastNight, knobs: Adapt) -> Course:
    """Whether push-back and accept drift apart, compared to the base; where they begin to, the dose is halved."""
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
    return opening if course.weaker else _smaller(opening, f"{why} So the dose is halved.")


def _recovered(course: Course, night: PastNight, knobs: Adapt) -> Course:
    """After calm nights a smaller dose may be larger again; each setback asks for twice as many, so that it settles."""
    needed = knobs.calm * min(2 ** (course.setbacks - 1), _LONGEST)
    if course.caution >= 1 or course.weaker or course.since < needed:
        return course
    why = f"{course.since} calm nights up to night {night.number}, so the dose doubles again."
    return replace(_turned(course, why), caution=min(1.0, course.caution * 2))


def _larger(course: Course, night: PastNight, config: Config) -> Course:
    """A level up where enough nights and steps together changed no more than noise."""
    learned, knobs = night.measure(_LEARNED), config.adapt
    if learned is None:
        return course
    slow = course.ceiling is not None and course.level + 1 >= course.ceiling
    needed = knobs.patience * (_SLOWER if slow else 1)
    window = (*course.window, learned.tonight)[-needed:]
    course = replace(course, window=window, steps=course.steps + night.steps)
    calm = course.caution >= 1 and not course.weaker
    if not calm or len(window) < needed or course.steps < knobs.steps or not at_most_noise(window):
        return course
    if course.level >= _highest(config):
        return replace(course, why_dose="The largest dose there is; it changes no more than noise.")
    total = sum(change.change for change in window)
    why = f"{needed} nights up to night {night.number} changed {_LEARNED} by {total:+.4f} together, no more than noise."
    return replace(_turned(course, why), level=course.level + 1)


def _highest(config: Config) -> int:
    """The level at which neither the dose nor the rate would rise any more."""
    knobs = config.adapt
    return max(len(_rises(config)), math.ceil(math.log(knobs.rate_most) / math.log(knobs.rate_growth)))


def _rises(config: Config) -> list[int]:
    return [larger for larger in config.adapt.larger if larger > config.night.behavioural]


# --- what tonight is -----------------------------------------------------------------------------


def _tonight(course: Course, kinds: tuple[str, ...], why_kinds: str, config: Config, waiting: int) -> Plan:
    if len(course.reverted) >= config.adapt.reverts_most:
        nights = ", ".join(map(str, course.reverted))
        why = (
            f"{len(course.reverted)} nights in a row were not kept ({nights}). Nothing is trained until somebody has "
            f"looked: 'dreamloop show {course.reverted[-1]}', then 'dreamloop plan --go-on'."
        )
        return _recipe("stop", why, course, config, kinds, why_kinds)
    if not kinds and not waiting:
        return _recipe("skip", f"Nothing to gain: {why_kinds}", course, config, kinds, why_kinds)
    return _recipe("train", "There is something to learn.", course, config, kinds, why_kinds)


def _kinds(past: Sequence[PastNight], potentials: Sequence[Potential], config: Config) -> tuple[tuple[str, ...], str]:
    """The kinds worth training: neither good already nor still at chance after many twins; and why not the others.

    Of those left, the ones that the base tells apart in some wording come first, and others fill up.
    """
    knobs = config.adapt
    won, asked, taught = Counter[str](), Counter[str](), Counter[str]()
    for night in past:
        taught.update({shown.kind: shown.taught for shown in night.shown})
    for night in [night for night in past if night.outcome == "kept"][-knobs.recent :]:
        won.update({shown.kind: shown.candidate for shown in night.shown})
        asked.update({shown.kind: shown.twins for shown in night.shown})
    bounds = {kind: wilson(won[kind], asked[kind]) for kind in config.night.kinds if asked[kind] >= knobs.kind_twins}
    good = [kind for kind, (low, _) in bounds.items() if low >= knobs.good]
    lost = [
        kind for kind, (_, high) in bounds.items() if high < knobs.teachable and taught[kind] >= knobs.give_up_after
    ]
    told = [f"{', '.join(good)}: told apart well already."] if good else []
    told += [f"{', '.join(lost)}: still at chance, training it would teach a bias."] if lost else []
    left = [kind for kind in config.night.kinds if kind not in {*good, *lost}]
    found = {one.kind: _promise(one) for one in potentials}
    if found and len(left) > knobs.fewest_kinds:
        sure = [kind for kind in left if found.get(kind, (1.0, 1.0))[0] > 0.5]  # what was not asked may be tried
        best = sorted(left, key=lambda kind: found.get(kind, (1.0, 1.0)), reverse=True)
        taken = {*sure, *best[: max(0, knobs.fewest_kinds)]}
        later = [kind for kind in left if kind not in taken]
        told += [f"{', '.join(later)}: the base tells them apart in no wording that was tried."] if later else []
        left = [kind for kind in left if kind in taken]
    return tuple(left), " ".join(told) or "As configured."


def _promise(found: Potential) -> tuple[float, float]:
    """The surest lower bound of what the base tells apart, plainly or after examples, and the share itself."""
    best = max(found.plain, found.shown)
    return wilson(best, found.twins)[0], best / max(1, found.twins)


def _recipe(act: Act, why: str, course: Course, config: Config, kinds: tuple[str, ...], why_kinds: str) -> Plan:
    knobs = config.adapt
    doses = (config.night.behavioural, *_rises(config))
    behavioural = dose(doses[min(course.level, len(doses) - 1)], course.caution)
    rate = min(knobs.rate_growth**course.level, knobs.rate_most)
    weight = {"push back": knobs.side_weight, "accept": 1 / knobs.side_weight}.get(course.weaker, 1.0)
    choices = (
        Choice("tonight", act, why),
        Choice("night.behavioural", str(behavioural), course.why_dose),
        Choice("learning rates", f"×{rate:g}", "They rise with the dose, after it was too small."),
        Choice("night.replay_share", f"{course.replay:g}", course.why_replay),
        Choice("finetune.push_back_weight", f"{weight:g}", course.why_sides),
        Choice("kinds", ", ".join(kinds) or "none", why_kinds),
    )
    return Plan(act, behavioural, rate, course.replay, weight, kinds, choices)


def dose(pairs: int, caution: float) -> int:
    """So many pairs, fewer by a whole number of twins where caution asks for it: 20 at a half is 10."""
    return pairs if caution >= 1 else min(pairs, max(2, 2 * round(pairs * caution / 2)))
