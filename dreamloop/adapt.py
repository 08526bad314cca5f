"""From the nights so far to tonight's recipe: one pure function, with a sentence for every choice.

`course` walks through the nights and knows what is worth teaching; here its level, caution and sides become numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dreamloop.config import Config
from dreamloop.course.anew import anew
from dreamloop.course.budget import due
from dreamloop.course.lesson import Lesson, as_configured, lesson
from dreamloop.course.size import turned_to
from dreamloop.course.state import Course, beginning, pairs_of_level, rate_of
from dreamloop.course.walk import after
from dreamloop.dream.kinds import TECHNICAL
from dreamloop.finetune.recipe import batch_size, recipe_of
from dreamloop.records import Act, Choice, PastNight, Plan, Recipe, Standing


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
        return _tonight(course, past, lesson(past, standing.potentials, course, config), config, standing)
    why = "adapt.enabled is false, so every night is as configured."
    tonight = _recipe("train", why, course, config, as_configured(config, why))
    return replace(tonight, choices=tuple(replace(choice, why=why) for choice in tonight.choices))


def applied(config: Config, tonight: Plan) -> Config:
    """The configuration with the plan's numbers in it; what is dreamed for training stands in the plan alone.

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
        "night": config.night.model_copy(update=night), "finetune": config.finetune.model_copy(update=finetune),
        "gate": config.gate.model_copy(update={"tonight": config.gate.tonight.model_copy(update=margins)}),
    })  # fmt: skip


def _betas(usual: Recipe, tonight: Plan) -> dict[str, float]:
    """Further apart are only kinds that the plan names: others are still searched for, and what people said is not
    what dreams show."""
    own = dict(usual.beta_pattern)
    return {**own, **{kind: own.get(kind, usual.beta) / tonight.distance for kind in tonight.further}}


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
    course: Course, past: Sequence[PastNight], taught: Lesson, config: Config, standing: Standing
) -> Plan:  # fmt: skip
    course = turned_to(course, taught.kinds, config)
    if due(course, config.adapt) and standing.serving:  # before a stop: it may be what the nights were lost to
        why = f"{course.spent} So the nights that were kept are learned once more, in one adapter from the base."
        return _as_it_was_learned(_recipe("rebase", why, course, config, taught), past, config)
    if len(course.reverted) >= config.adapt.reverts_most:
        nights = ", ".join(map(str, course.reverted))
        because = course.spent or _beyond(past, course.reverted[-1])
        why = (
            f"{len(course.reverted)} nights in a row were not kept ({nights}). {because} "
            "Nothing is trained until somebody has looked: "
            f"'dreamloop show {course.reverted[-1]}', then 'dreamloop plan --go-on'."
        )
        return _recipe("stop", why, course, config, taught)
    if not taught.kinds and not min(standing.waiting, int(config.night.behavioural * config.night.mined_share)):
        return _recipe("skip", f"Nothing to gain: {taught.why_kinds}", course, config, taught)
    return _recipe("train", "There is something to learn.", course, config, taught)


def _beyond(past: Sequence[PastNight], number: int) -> str:
    """A sentence about the bounds that a night went beyond."""
    last = next(night for night in past if night.number == number)
    names = ", ".join(measure.name for measure in last.beyond())
    return (
        f"The last went beyond the bounds of {names}." if names else "The last went beyond no bound that was measured."
    )


def _as_it_was_learned(tonight: Plan, past: Sequence[PastNight], config: Config) -> Plan:
    """The same, with all that the kept nights had instead of what the course asks for."""
    own = anew(past, config)
    average = "As those nights had it, on average over their pairs."
    halved = f" Half of it each time that this was tried and not kept: night {', '.join(map(str, own.refused))}."
    told = {
        "night.behavioural": (f"up to {config.adapt.rebase_pairs}", "All that was kept, the latest first."),
        "finetune.dpo_learning_rate": (f"×{own.rate * own.pace:.3g}", average),
        "finetune.beta": (_beta(own.further, own.distance), "As far apart as any of those nights asked."),
        "learning rates of what teaches": (f"×{own.caution:g}", average + halved if own.refused else average),
        "kinds": (", ".join(own.kinds) or "none", "What was learned of these is learned again."),
    }
    choices = tuple(
        replace(one, value=told[one.knob][0], why=told[one.knob][1]) if one.knob in told else one
        for one in tonight.choices
    )
    return replace(
        tonight, rate=own.rate, caution=own.caution, pace=own.pace, further=own.further, distance=own.distance,
        kinds=own.kinds, choices=choices,
    )  # fmt: skip


def _recipe(act: Act, why: str, course: Course, config: Config, taught: Lesson) -> Plan:
    knobs = config.adapt
    behavioural, rate = pairs_of_level(course.level, config), rate_of(course.level, knobs)
    abilities = [name.removeprefix("capability.") for name in course.fell]
    practised = tuple(ability for ability in abilities if ability in TECHNICAL)
    leaning = {"push back": knobs.side_weight, "accept": 1 / knobs.side_weight}.get(course.tipped or course.weaker, 1.0)
    weight = config.finetune.push_back_weight * leaning
    choices = (
        Choice("tonight", act, why),
        Choice("night.behavioural", str(behavioural), course.why_dose),
        Choice("finetune.dpo_learning_rate", f"×{rate * taught.pace:g}", _why_rate(rate, taught.pace)),
        Choice("learning rates of what teaches", f"×{course.caution:g}", course.why_caution),
        Choice("night.replay_share", f"{course.replay:g}", course.why_replay),
        Choice("finetune.push_back_weight", f"{weight:g}", course.why_sides),
        Choice("kinds", ", ".join(taught.kinds) or "none", taught.why_kinds),
        Choice("bare dreams", ", ".join(taught.bare) or "none", taught.why_bare),
        Choice("dream.technical_share", f"{taught.technical_share:g}", taught.why_technical),
        Choice("finetune.beta", _beta(taught.further, knobs.found_distance), taught.why_further),
    )
    tonight = Plan(
        act, behavioural, rate, course.caution, taught.pace, taught.further, knobs.found_distance, course.replay,
        weight, taught.technical_share, taught.kinds, taught.bare, practised, choices,
    )  # fmt: skip
    return replace(tonight, choices=(*choices, *_where_needed(tonight, config)))


def _where_needed(tonight: Plan, config: Config) -> Iterator[Choice]:
    """Choices that only some nights make."""
    if tonight.practised and tonight.act in {"train", "rebase"} and config.replay.base_answers:
        why = "Half of what the base is asked practises what fell."
        yield Choice("general examples", ", ".join(tonight.practised), why)
    usual, moves = float(config.gate.tonight.model_dump()["weights"]), _may_move(config, tonight)
    if moves != usual:
        longer = "So much further do steps of these rates move them, by the root of their number."
        both = "Both it and what serves may be as far from the base as the gate allows."
        yield Choice("gate.tonight.weights", f"{moves:.3g}", both if tonight.act == "rebase" else longer)


def _why_rate(rate: float, pace: float) -> str:
    rises = "It rises with the dose, after that was too small." if rate > 1 else "As configured, until doses rise."
    return rises if pace == 1 else f"{rises} What is taught is found, so at ×{pace:g} of that, which shifts less."


def _beta(kinds: Sequence[str], distance: float) -> str:
    return f"÷{distance:g} for {', '.join(kinds)}" if kinds and distance > 1 else "×1"
