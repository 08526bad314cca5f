"""From the nights so far to tonight's recipe: one pure function, with a sentence for every choice.

`course` walks through the nights; here its level, caution and sides become numbers, and what each kind of scenario
showed becomes tonight's kinds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dreamloop.config import Config
from dreamloop.course import Course, after, beginning, doses
from dreamloop.dream.kinds import EASIER, TECHNICAL
from dreamloop.finetune.recipe import batch_size, recipe_of
from dreamloop.records import Act, Choice, PastNight, Plan, Potential, Standing

_Z = 1.645  # 5 % outside on each side


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
        return _tonight(course, _dreams(past, standing.potentials, course.fell, config), config, standing)
    why = "adapt.enabled is false, so every night is as configured."
    return _recipe("train", why, course, config, _Dreams(config.night.kinds, why, config.dream.bare_share, why))


def applied(config: Config, tonight: Plan) -> Config:
    """The configuration with the plan's numbers in it; which kinds are trained stands in the plan alone.

    What may change too little is how well scenarios are told apart, which DPO teaches; so the rise is that of DPO
    and of what takes its shifts back, and a setback slows all.
    """
    usual = recipe_of(config.finetune, 0)
    rates = {
        "sft_learning_rate": usual.sft_learning_rate * tonight.caution,
        "dpo_learning_rate": usual.dpo_learning_rate * tonight.caution * tonight.rate,
        "hold_learning_rate": usual.hold_learning_rate * tonight.caution * tonight.rate,
    }
    night = {"behavioural": tonight.behavioural, "replay_share": tonight.replay_share}
    finetune = {**rates, "push_back_weight": tonight.push_back_weight}
    margins = {"weights": _may_move(config, tonight)}
    return config.model_copy(update={
        "dream": config.dream.model_copy(update={"bare_share": tonight.bare_share}),
        "night": config.night.model_copy(update=night), "finetune": config.finetune.model_copy(update=finetune),
        "gate": config.gate.model_copy(update={"tonight": config.gate.tonight.model_copy(update=margins)}),
    })  # fmt: skip


def _may_move(config: Config, tonight: Plan) -> float:
    """How far the weights may move: as configured for a usual night, and as much further as the plan asks for.

    A step of AdamW is as long as its rate, and steps in directions that differ add up as their root: rate·√steps.
    (Seen: 2.2 times as many steps at the same rate moved 1.33 times as far.) What begins at the base is as far from
    yesterday's weights as from there.
    """
    usual = float(config.gate.tonight.model_dump()["weights"])
    if tonight.act == "rebase":
        return max(usual, float(config.gate.since_base.model_dump()["weights"]))
    longer = math.sqrt(_steps(tonight.behavioural, config) / _steps(config.night.behavioural, config))
    return usual * max(1.0, tonight.caution * tonight.rate * longer)


def _steps(pairs: int, config: Config) -> int:
    return max(1, pairs // batch_size(pairs, config.finetune.dpo_batch, config.finetune.min_steps))


def wilson(won: int, of: int) -> tuple[float, float]:
    """The 90 % score interval of a share (Wilson, JASA 22 (1927) 209-212)."""
    if not of:
        return 0.0, 1.0
    share, spread = won / of, _Z**2 / of
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return centre - half, centre + half


def _tonight(course: Course, dreams: _Dreams, config: Config, standing: Standing) -> Plan:
    if len(course.reverted) >= config.adapt.reverts_most:
        nights = ", ".join(map(str, course.reverted))
        why = (
            f"{len(course.reverted)} nights in a row were not kept ({nights}). Nothing is trained until somebody has "
            f"looked: 'dreamloop show {course.reverted[-1]}', then 'dreamloop plan --go-on'."
        )
        return _recipe("stop", why, course, config, dreams)
    if course.spent and standing.serving:
        why = f"{course.spent} So the nights that were kept are learned once more, in one adapter from the base."
        return _recipe("rebase", why, course, config, dreams)
    if not dreams.kinds and not standing.waiting:
        return _recipe("skip", f"Nothing to gain: {dreams.why_kinds}", course, config, dreams)
    return _recipe("train", "There is something to learn.", course, config, dreams)


@dataclass(frozen=True, slots=True)
class _Dreams:
    """What tonight dreams for training, and why."""

    kinds: tuple[str, ...]
    why_kinds: str
    bare_share: float
    why_bare: str


def _dreams(past: Sequence[PastNight], potentials: Sequence[Potential], fell: Sequence[str], config: Config) -> _Dreams:
    """Which kinds, and all of them bare until they are surely told apart better than a base may do by itself."""
    kinds, why = _kinds(past, potentials, fell, config)
    kept = [night for night in past if night.outcome == "kept"][-config.adapt.recent :]
    won, asked = _told_apart(kept, config.adapt.kind_twins)
    told, of = (sum(counts[kind] for kind in kinds) for counts in (won, asked))
    if wilson(told, of)[0] > config.adapt.teachable:
        said = f"As configured: {told} of {of} fresh twins of these kinds were told apart."
        return _Dreams(kinds, why, config.dream.bare_share, said)
    return _Dreams(kinds, why, 1.0, "Nothing around what is to be learned, until its fresh twins are told apart.")


def _kinds(
    past: Sequence[PastNight], potentials: Sequence[Potential], fell: Sequence[str], config: Config
) -> tuple[tuple[str, ...], str]:
    """The kinds worth training: neither good already nor still at chance after many twins; and why not the others.

    Of those left, a few at a time are trained: a dose that is spread over everything moves nothing. First come the
    next steps from what is good by now, then the ones that are told apart in some wording or begin to be. A kind that
    practises what fell comes beside them.
    """
    knobs = config.adapt
    kept = [night for night in past if night.outcome == "kept"][-knobs.recent :]
    (won, asked), latest = _told_apart(kept), _told_apart(kept, knobs.kind_twins)
    taught = Counter[str]()
    for night in (night for night in past if not night.rebased):
        taught.update({shown.kind: shown.taught for shown in night.shown})
    judged = [kind for kind in config.night.kinds if asked[kind] >= knobs.kind_twins]
    good = [kind for kind in judged if wilson(latest[0][kind], latest[1][kind])[0] >= knobs.good]
    lost = [
        kind for kind in judged
        if wilson(won[kind], asked[kind])[1] < knobs.teachable and taught[kind] >= knobs.give_up_after
    ]  # fmt: skip
    left = [kind for kind in config.night.kinds if kind not in {*good, *lost}]
    ranked = _promising(left, potentials, won, asked)
    steps = [kind for kind in ranked if EASIER.get(kind) in good]
    ranked = [*steps, *(kind for kind in ranked if kind not in steps)]
    first = ranked[: knobs.kinds_at_once] if potentials else left
    practice = [kind for kind in _practising(fell, ranked) if kind not in first]
    first = [*first, *practice]
    told = {
        "told apart well already": good, "still at chance, training it would teach a bias": lost,
        "trained beside them, because that ability fell": practice,
        "next, because its easier form is told apart well": [kind for kind in steps if kind in first],
        "less promising than the others, so they wait": [kind for kind in left if kind not in first],
    }  # fmt: skip
    why = " ".join(f"{', '.join(kinds)}: {because}." for because, kinds in told.items() if kinds)
    return tuple(kind for kind in left if kind in first), why or "As configured."


def _practising(fell: Sequence[str], ranked: Sequence[str]) -> list[str]:
    """For each ability that fell the most promising kind that practises it, where there is one."""
    practised = [TECHNICAL.get(name.removeprefix("capability."), frozenset()) for name in fell]
    return [kind for own in practised for kind in [kind for kind in ranked if kind in own][:1]]


def _told_apart(nights: Sequence[PastNight], enough: int | None = None) -> tuple[Counter[str], Counter[str]]:
    """By kind: fresh twins told apart, and those asked, the latest first until there are enough of them."""
    won, asked = Counter[str](), Counter[str]()
    for shown in (shown for night in reversed(nights) for shown in night.shown):
        if enough is None or asked[shown.kind] < enough:
            won[shown.kind] += shown.candidate
            asked[shown.kind] += shown.twins
    return won, asked


def _promising(
    kinds: Sequence[str], potentials: Sequence[Potential], won: Mapping[str, int], asked: Mapping[str, int]
) -> list[str]:
    """Those most surely told apart first, by the base in some wording or by now; before them what was never asked of.

    Fresh twins at chance take nothing from what the base showed: judgment comes late and at once, and a kind that is
    left for another before that was trained for nothing. It is given up where `_kinds` calls it lost.
    """
    bounds = {kind: wilson(won[kind], asked[kind])[0] if kind in asked else 0.0 for kind in kinds}
    shown = {one.kind: wilson(max(one.plain, one.shown, one.known), one.twins)[0] for one in potentials}
    unknown = {kind for kind in kinds if kind not in shown and kind not in asked}
    return sorted(kinds, key=lambda kind: (kind in unknown, max(bounds[kind], shown.get(kind, 0.0))), reverse=True)


def _recipe(act: Act, why: str, course: Course, config: Config, dreams: _Dreams) -> Plan:
    knobs = config.adapt
    sizes = doses(config)
    behavioural = sizes[min(course.level, len(sizes) - 1)]
    rate = min(knobs.rate_growth**course.level, knobs.rate_most)
    weight = {"push back": knobs.side_weight, "accept": 1 / knobs.side_weight}.get(course.weaker, 1.0)
    choices = (
        Choice("tonight", act, why),
        Choice("night.behavioural", str(behavioural), course.why_dose),
        Choice("finetune.dpo_learning_rate", f"×{rate:g}", "It rises with the dose, after that was too small."),
        Choice("all learning rates", f"×{course.caution:g}", course.why_caution),
        Choice("night.replay_share", f"{course.replay:g}", course.why_replay),
        Choice("finetune.push_back_weight", f"{weight:g}", course.why_sides),
        Choice("kinds", ", ".join(dreams.kinds) or "none", dreams.why_kinds),
        Choice("dream.bare_share", f"{dreams.bare_share:g}", dreams.why_bare),
    )
    return Plan(act, behavioural, rate, course.caution, course.replay, weight, dreams.bare_share, dreams.kinds, choices)
