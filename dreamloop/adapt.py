"""From the nights so far to tonight's recipe: one pure function, with a sentence for every choice.

`course` walks through the nights and knows which kinds are worth one; here its level, caution and sides become numbers,
and so does whether tonight's kinds are told apart by now.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dreamloop.config import Adapt, Config
from dreamloop.course.budget import due
from dreamloop.course.kinds import Worth, found, kept, lately, wilson, worth_a_night
from dreamloop.course.size import turned_to
from dreamloop.course.state import Course, beginning, pairs_of_level, rate_of
from dreamloop.course.walk import after
from dreamloop.dream.kinds import TECHNICAL
from dreamloop.finetune.recipe import batch_size, recipe_of
from dreamloop.records import Act, Choice, Dose, PastNight, Plan, Potential, Recipe, Standing

_TECHNICAL = frozenset().union(*TECHNICAL.values())


def plan(past: Sequence[PastNight], config: Config, standing: Standing) -> Plan:
    """Tonight's recipe.

    Args:
        past: the nights so far, oldest first. config: what a person configured, where every course begins.
        standing: what else there is tonight.
    """
    course = beginning(config)
    if config.adapt.enabled:
        for night in past:
            course = after(course, night, config)
        return _tonight(course, past, _lesson(past, standing.potentials, course, config), config, standing)
    why = "adapt.enabled is false, so every night is as configured."
    dream = config.dream
    as_configured = _Lesson(config.night.kinds, why, dream.bare_share, why, dream.technical_share, why)
    return _recipe("train", why, course, config, as_configured)


def applied(config: Config, tonight: Plan) -> Config:
    """The configuration with the plan's numbers in it; which kinds are trained, and how many of these dreams are
    technical, stands in the plan alone, since other dreams of the night are as configured.

    What may change too little is how well scenarios are told apart, which DPO teaches; so the rise is that of DPO
    and of what takes its shifts back. A setback and the pace of what is found slow what teaches and not what takes
    back: shifts are hardly smaller at half the rates.
    """
    usual = recipe_of(config.finetune, 0)
    rates = {
        "sft_learning_rate": usual.sft_learning_rate * tonight.caution,
        "dpo_learning_rate": usual.dpo_learning_rate * tonight.caution * tonight.rate * tonight.pace,
        "hold_learning_rate": usual.hold_learning_rate * tonight.rate,
    }
    night = {"behavioural": tonight.behavioural, "replay_share": tonight.replay_share}
    finetune = {**rates, "push_back_weight": tonight.push_back_weight, "beta_pattern": _betas(usual, tonight)}
    margins = {"weights": _may_move(config, tonight)}
    return config.model_copy(update={
        "dream": config.dream.model_copy(update={"bare_share": tonight.bare_share}),
        "night": config.night.model_copy(update=night), "finetune": config.finetune.model_copy(update=finetune),
        "gate": config.gate.model_copy(update={"tonight": config.gate.tonight.model_copy(update=margins)}),
    })  # fmt: skip


def _betas(usual: Recipe, tonight: Plan) -> dict[str, float]:
    """Further apart are only kinds that are found: others are still searched for, and what people said is not what
    dreams show."""
    own = dict(usual.beta_pattern)
    return {**own, **{kind: own.get(kind, usual.beta) / tonight.distance for kind in tonight.found}}


def _may_move(config: Config, tonight: Plan) -> float:
    """How far the weights may move: as configured for a usual night, and as much further as the plan asks for.

    A step of AdamW is as long as its rate, and steps in directions that differ add up as their root: rate·√steps.
    (Seen: 2.2 times as many steps at the same rate moved 1.33 times as far.) The pace takes nothing from it, because
    what takes shifts back keeps its rate. What begins at the base is as far from yesterday's weights as both may be
    from there.
    """
    usual = float(config.gate.tonight.model_dump()["weights"])
    if tonight.act == "rebase":
        return max(usual, 2 * float(config.gate.since_base.model_dump()["weights"]))
    longer = math.sqrt(_steps(tonight.behavioural, config) / _steps(config.night.behavioural, config))
    return usual * max(1.0, tonight.caution * tonight.rate * longer)


def _steps(pairs: int, config: Config) -> int:
    return max(1, pairs // batch_size(pairs, config.finetune.dpo_batch, config.finetune.min_steps))


def _tonight(
    course: Course, past: Sequence[PastNight], lesson: _Lesson, config: Config, standing: Standing
) -> Plan:  # fmt: skip
    course = turned_to(course, lesson.kinds)
    if due(course, config.adapt) and standing.serving:  # before a stop: it may be what the nights were lost to
        why = f"{course.spent} So the nights that were kept are learned once more, in one adapter from the base."
        return _as_it_was_learned(_recipe("rebase", why, course, config, lesson), past, config)
    if len(course.reverted) >= config.adapt.reverts_most:
        nights = ", ".join(map(str, course.reverted))
        why = (
            f"{len(course.reverted)} nights in a row were not kept ({nights}). {course.spent}{' ' * bool(course.spent)}"
            "Nothing is trained until somebody has looked: "
            f"'dreamloop show {course.reverted[-1]}', then 'dreamloop plan --go-on'."
        )
        return _recipe("stop", why, course, config, lesson)
    if not lesson.kinds and not min(standing.waiting, int(config.night.behavioural * config.night.mined_share)):
        return _recipe("skip", f"Nothing to gain: {lesson.why_kinds}", course, config, lesson)
    return _recipe("train", "There is something to learn.", course, config, lesson)


def _as_it_was_learned(tonight: Plan, past: Sequence[PastNight], config: Config) -> Plan:
    """At the rates of the nights that are learned once more, their means over the pairs that were kept, and each kind
    as far apart as any of them asked."""
    had = [(night.dose, night.scale) for night in kept(past) if night.dose and night.dose.pairs and not night.rebased]
    if not had:
        return tonight
    pairs = sum(dose.pairs * scale for dose, scale in had)

    def mean(factor: Callable[[Dose], float]) -> float:
        return sum(dose.pairs * scale * factor(dose) for dose, scale in had) / pairs

    caution = round(mean(lambda dose: dose.caution), 3)
    rate = round(mean(lambda dose: dose.caution * dose.rate) / caution, 3)
    pace = round(mean(lambda dose: dose.caution * dose.rate * dose.pace) / (caution * rate), 3)
    by_then = tuple(kind for kind in config.night.kinds if any(kind in dose.found for dose, _ in had))
    distance = max(dose.distance for dose, _ in had)
    average = "As those nights had it, on average over their pairs."
    told = {
        "night.behavioural": (f"up to {config.adapt.rebase_pairs}", "All that was kept, the latest first."),
        "finetune.dpo_learning_rate": (f"×{rate * pace:.3g}", average),
        "finetune.beta": (_further(by_then, distance), "As far apart as any of those nights asked."),
        "learning rates of what teaches": (f"×{caution:g}", average),
        "kinds": ("as they were", "What was learned is learned again."),
    }
    choices = tuple(
        replace(one, value=told[one.knob][0], why=told[one.knob][1]) if one.knob in told else one
        for one in tonight.choices
    )
    return replace(tonight, rate=rate, caution=caution, pace=pace, found=by_then, distance=distance, choices=choices)


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What tonight teaches, with how much around it, how much practises, what is found already, and at which pace."""

    kinds: tuple[str, ...]
    why_kinds: str
    bare_share: float
    why_bare: str
    technical_share: float
    why_technical: str
    found: tuple[str, ...] = ()
    pace: float = 1.0


def _lesson(past: Sequence[PastNight], potentials: Sequence[Potential], course: Course, config: Config) -> _Lesson:
    """Which kinds; how bare, until they are surely told apart better than a base may do by itself; which are found.

    Until then what is to be learned is searched for, by long steps. Then it is there, and what is missing is that
    replies are decided right, for which they have to be further apart than the base's own liking for one of them.
    Where nothing else is searched for, shorter steps were seen to teach as much and to shift less. What only practises
    an ability is not waited for: it may be at chance for good.
    """
    knobs = config.adapt
    worth = worth_a_night(past, potentials, course, config)
    told, of = lately(worth.taught, kept(past), config)
    bare, why_bare = 1.0, "Nothing around what is to be learned, until its fresh twins are told apart."
    if wilson(told, of)[0] > knobs.teachable:
        bare = config.dream.bare_share
        why_bare = f"As configured: {told} of {of} fresh twins of these kinds were told apart."
    by_now = found(worth.kinds, kept(past), config)
    pace = knobs.found_pace if worth.taught and set(worth.taught) <= set(by_now) else 1.0
    return _Lesson(worth.kinds, worth.why, bare, why_bare, *_technical(worth, config), by_now, pace)


def _technical(worth: Worth, config: Config) -> tuple[float, str]:
    """The share of technical dreams, and why: what was configured is meant for nights of all kinds.

    Seen: beside two kinds without any, sums that practised an ability took 60 of a night's 100 twins.
    """
    if not worth.practice or _TECHNICAL.intersection(worth.taught):
        return config.dream.technical_share, "As configured."
    rise = round(config.adapt.replay_most - config.night.replay_share, 3)
    if not 0 < rise < config.dream.technical_share:
        return config.dream.technical_share, "As configured."
    return rise, "As much as replay rises by, half as much again while it falls: what practises comes beside the rest."


def _recipe(act: Act, why: str, course: Course, config: Config, lesson: _Lesson) -> Plan:
    knobs = config.adapt
    behavioural, rate = pairs_of_level(course.level, config), rate_of(course.level, knobs)
    abilities = [name.removeprefix("capability.") for name in course.fell]
    practised = tuple(ability for ability in abilities if ability in TECHNICAL)
    weight = {"push back": knobs.side_weight, "accept": 1 / knobs.side_weight}.get(course.weaker, 1.0)
    choices = (
        Choice("tonight", act, why),
        Choice("night.behavioural", str(behavioural), course.why_dose),
        Choice("finetune.dpo_learning_rate", f"×{rate * lesson.pace:g}", _why_rate(rate, lesson.pace)),
        Choice("learning rates of what teaches", f"×{course.caution:g}", course.why_caution),
        Choice("night.replay_share", f"{course.replay:g}", course.why_replay),
        Choice("finetune.push_back_weight", f"{weight:g}", course.why_sides),
        Choice("kinds", ", ".join(lesson.kinds) or "none", lesson.why_kinds),
        Choice("dream.bare_share", f"{lesson.bare_share:g}", lesson.why_bare),
        Choice("dream.technical_share", f"{lesson.technical_share:g}", lesson.why_technical),
        Choice("finetune.beta", _further(lesson.found, knobs.found_distance), _why_further(lesson.found, knobs)),
    )
    return Plan(
        act, behavioural, rate, course.caution, lesson.pace, lesson.found, knobs.found_distance, course.replay, weight,
        lesson.bare_share, lesson.technical_share, lesson.kinds, practised, choices,
    )  # fmt: skip


def _why_rate(rate: float, pace: float) -> str:
    rises = "It rises with the dose, after that was too small."
    return rises if pace == 1 else f"{rises} What is taught is found, so at ×{pace:g} of that, which shifts less."


def _further(kinds: Sequence[str], distance: float) -> str:
    return f"÷{distance:g} for {', '.join(kinds)}" if kinds and distance > 1 else "×1"


def _why_further(kinds: Sequence[str], knobs: Adapt) -> str:
    far = f"{knobs.found_gain:g} nats per token further apart than by the base"
    if not kinds:
        return f"As configured, until fresh twins of a kind are surely {far}."
    return f"Fresh twins are {far}; to be decided right they have to outgrow its own liking for a reply."
