"""From the nights so far to tonight's recipe: one pure function, with a sentence for every choice.

`course` walks through the nights; here its level, caution and sides become numbers, and what each kind of scenario
showed becomes tonight's kinds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dreamloop.config import Config
from dreamloop.course.budget import due
from dreamloop.course.size import turned_to
from dreamloop.course.state import Course, beginning, pairs_of_level, rate_of
from dreamloop.course.walk import after
from dreamloop.dream.kinds import EASIER, TECHNICAL
from dreamloop.finetune.recipe import batch_size, recipe_of
from dreamloop.records import Act, Choice, KindShown, PastNight, Plan, Potential, Standing

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
        return _tonight(course, past, _dreams(past, standing.potentials, course, config), config, standing)
    why = "adapt.enabled is false, so every night is as configured."
    return _recipe("train", why, course, config, _Dreams(config.night.kinds, why, config.dream.bare_share, why))


def applied(config: Config, tonight: Plan) -> Config:
    """The configuration with the plan's numbers in it; which kinds are trained stands in the plan alone.

    What may change too little is how well scenarios are told apart, which DPO teaches; so the rise is that of DPO
    and of what takes its shifts back. A setback slows what teaches and not what takes back: shifts were seen to be as
    large at half the rates.
    """
    usual = recipe_of(config.finetune, 0)
    rates = {
        "sft_learning_rate": usual.sft_learning_rate * tonight.caution,
        "dpo_learning_rate": usual.dpo_learning_rate * tonight.caution * tonight.rate,
        "hold_learning_rate": usual.hold_learning_rate * tonight.rate,
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
    yesterday's weights as both may be from there.
    """
    usual = float(config.gate.tonight.model_dump()["weights"])
    if tonight.act == "rebase":
        return max(usual, 2 * float(config.gate.since_base.model_dump()["weights"]))
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


def _tonight(
    course: Course, past: Sequence[PastNight], dreams: _Dreams, config: Config, standing: Standing
) -> Plan:  # fmt: skip
    course = turned_to(course, dreams.kinds)
    if due(course, config.adapt) and standing.serving:  # before a stop: it may be what the nights were lost to
        why = f"{course.spent} So the nights that were kept are learned once more, in one adapter from the base."
        return _as_it_was_learned(_recipe("rebase", why, course, config, dreams), past, config)
    if len(course.reverted) >= config.adapt.reverts_most:
        nights = ", ".join(map(str, course.reverted))
        why = (
            f"{len(course.reverted)} nights in a row were not kept ({nights}). {course.spent}{' ' * bool(course.spent)}"
            "Nothing is trained until somebody has looked: "
            f"'dreamloop show {course.reverted[-1]}', then 'dreamloop plan --go-on'."
        )
        return _recipe("stop", why, course, config, dreams)
    if not dreams.kinds and not min(standing.waiting, int(config.night.behavioural * config.night.mined_share)):
        return _recipe("skip", f"Nothing to gain: {dreams.why_kinds}", course, config, dreams)
    return _recipe("train", "There is something to learn.", course, config, dreams)


def _as_it_was_learned(tonight: Plan, past: Sequence[PastNight], config: Config) -> Plan:
    """At the rates of the nights that are learned once more: their means over the pairs that were kept."""
    had = [(night.dose, night.scale) for night in _kept(past) if night.dose and night.dose.pairs and not night.rebased]
    pairs = sum(dose.pairs * scale for dose, scale in had)
    if not pairs:
        return tonight
    caution = round(sum(dose.pairs * scale * dose.caution for dose, scale in had) / pairs, 3)
    rate = round(sum(dose.pairs * scale * dose.caution * dose.rate for dose, scale in had) / pairs / caution, 3)
    average = "As those nights had it, on average over their pairs."
    told = {
        "night.behavioural": (f"up to {config.adapt.rebase_pairs}", "All that was kept, the latest first."),
        "finetune.dpo_learning_rate": (f"×{rate:g}", average),
        "learning rates of what teaches": (f"×{caution:g}", average),
        "kinds": ("as they were", "What was learned is learned again."),
    }
    choices = tuple(
        replace(one, value=told[one.knob][0], why=told[one.knob][1]) if one.knob in told else one
        for one in tonight.choices
    )
    return replace(tonight, rate=rate, caution=caution, choices=choices)


@dataclass(frozen=True, slots=True)
class _Dreams:
    """What tonight dreams for training, and why."""

    kinds: tuple[str, ...]
    why_kinds: str
    bare_share: float
    why_bare: str


def _kept(past: Sequence[PastNight]) -> list[PastNight]:
    return [night for night in past if night.outcome == "kept"]


def _dreams(past: Sequence[PastNight], potentials: Sequence[Potential], course: Course, config: Config) -> _Dreams:
    """Which kinds, and all of them bare until they are surely told apart better than a base may do by itself."""
    kinds, why = _kinds(past, potentials, course, config)
    won, asked = _told_apart(_kept(past), config.adapt.kind_twins)
    told, of = (sum(counts[kind] for kind in kinds) for counts in (won, asked))
    if wilson(told, of)[0] > config.adapt.teachable:
        said = f"As configured: {told} of {of} fresh twins of these kinds were told apart."
        return _Dreams(kinds, why, config.dream.bare_share, said)
    return _Dreams(kinds, why, 1.0, "Nothing around what is to be learned, until its fresh twins are told apart.")


def _kinds(
    past: Sequence[PastNight], potentials: Sequence[Potential], course: Course, config: Config
) -> tuple[tuple[str, ...], str]:
    """The kinds worth training: neither good already nor still at chance after many twins; and why not the others.

    Of those left, a few at a time are trained: a dose that is spread over everything moves nothing. What was begun is
    brought to its end, because judgment comes late; then come the next steps from what is good by now, then the ones
    that are told apart in some wording or begin to be. A kind that practises what fell comes beside them.
    """
    knobs = config.adapt
    won, asked = _told_apart(_kept(past), knobs.kind_twins)
    good = [kind for kind in config.night.kinds if _good(kind, _kept(past), config)]
    lost = [kind for kind in config.night.kinds if kind not in good and _at_chance(kind, past, config)]
    open_ones = [kind for kind in config.night.kinds if kind not in {*good, *lost, *course.exhausted}]
    left = [kind for kind in open_ones if kind not in course.resting] or open_ones
    ended = [kind for kind in config.night.kinds if kind not in {*good, *lost, *left}]
    ranked = _promising(left, potentials, won, asked)
    begun = [kind for kind in ranked if kind in course.kinds]
    steps = [kind for kind in ranked if EASIER.get(kind) in good and kind not in begun]
    ranked = [*begun, *steps, *(kind for kind in ranked if kind not in {*begun, *steps})]
    first = ranked[: knobs.kinds_at_once] if potentials else left
    practice = [kind for kind in _practising(course.fell, ranked) if kind not in first]
    first = [*first, *practice]
    told = {
        "decided well already": good, "still at chance, training it would teach a bias": lost,
        "no dose that is kept taught more of it": ended,
        "trained beside them, because that ability fell": practice,
        "next, because its easier form is decided well": [kind for kind in steps if kind in first],
        "less promising than the others, so they wait": [kind for kind in left if kind not in first],
    }  # fmt: skip
    why = " ".join(f"{', '.join(kinds)}: {because}." for because, kinds in told.items() if kinds)
    unknown = "As configured; the base is asked first what can be taught, and that may leave some of them."
    asks = knobs.survey_twins and not potentials
    return tuple(kind for kind in left if kind in first), why or (unknown if asks else "As configured.")


def _good(kind: str, kept: Sequence[PastNight], config: Config) -> bool:
    """Whether a kind's latest fresh twins once surely drew the right replies, and never since surely fewer of them.

    On both sides, as a person sees them. Told apart is not enough: 16 of 16 twins were, of which 3 were decided right.
    """
    knobs, good = config.adapt, False
    latest: list[tuple[int, int]] = []
    for shown in (one for night in kept for one in night.shown if one.kind == kind and one.twins):
        latest.append((shown.decided, shown.twins))
        while sum(twins for _, twins in latest[1:]) >= knobs.kind_twins:
            latest = latest[1:]
        won, asked = (sum(counts) for counts in zip(*latest, strict=True))
        low, high = wilson(won, asked)
        good = asked >= knobs.kind_twins and (high >= knobs.good if good else low >= knobs.good)
    return good


def _at_chance(kind: str, past: Sequence[PastNight], config: Config) -> bool:
    """Whether enough of a kind was learned without a sign that it is told apart any better than by chance.

    Judged by fresh twins of nights that taught it: one that is given up stays so. A sign is also that their margins
    are surely further apart than the base's.
    """
    knobs = config.adapt
    nights = [night for night in reversed(_kept(past)) if not night.rebased]
    every = [(one, night.scale) for night in nights for one in night.shown if one.kind == kind and one.taught]
    seen: list[KindShown] = []
    for one, _ in every:
        if sum(had.twins for had in seen) < 2 * knobs.kind_twins:
            seen.append(one)
    won, asked = sum(one.candidate for one in seen), sum(one.twins for one in seen)
    if sum(one.taught * scale for one, scale in every) < knobs.give_up_after or asked < knobs.kind_twins:
        return False
    return wilson(won, asked)[1] < knobs.teachable and not _surely_gained(seen, asked)


def _surely_gained(seen: Sequence[KindShown], twins: int) -> bool:
    """Whether the mean gain's 90 % interval, by the normal distribution, lies above zero."""
    mean = sum(one.gained for one in seen) / twins
    variance = max(0.0, sum(one.squared for one in seen) / twins - mean**2)
    return mean > _Z * math.sqrt(variance / twins)


def _practising(fell: Sequence[str], ranked: Sequence[str]) -> list[str]:
    """For each ability that fell the most promising kind that practises it, where there is one."""
    practised = [TECHNICAL.get(name.removeprefix("capability."), frozenset()) for name in fell]
    return [kind for own in practised for kind in [kind for kind in ranked if kind in own][:1]]


def _told_apart(nights: Sequence[PastNight], enough: int) -> tuple[Counter[str], Counter[str]]:
    """By kind: fresh twins told apart, and those asked, the latest first until there are enough of them."""
    won, asked = Counter[str](), Counter[str]()
    for shown in (shown for night in reversed(nights) for shown in night.shown):
        if asked[shown.kind] < enough:
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
    behavioural, rate = pairs_of_level(course.level, config), rate_of(course.level, knobs)
    abilities = [name.removeprefix("capability.") for name in course.fell]
    practised = tuple(ability for ability in abilities if ability in TECHNICAL)
    weight = {"push back": knobs.side_weight, "accept": 1 / knobs.side_weight}.get(course.weaker, 1.0)
    choices = (
        Choice("tonight", act, why),
        Choice("night.behavioural", str(behavioural), course.why_dose),
        Choice("finetune.dpo_learning_rate", f"×{rate:g}", "It rises with the dose, after that was too small."),
        Choice("learning rates of what teaches", f"×{course.caution:g}", course.why_caution),
        Choice("night.replay_share", f"{course.replay:g}", course.why_replay),
        Choice("finetune.push_back_weight", f"{weight:g}", course.why_sides),
        Choice("kinds", ", ".join(dreams.kinds) or "none", dreams.why_kinds),
        Choice("dream.bare_share", f"{dreams.bare_share:g}", dreams.why_bare),
    )
    return Plan(
        act, behavioural, rate, course.caution, course.replay, weight, dreams.bare_share, dreams.kinds, practised,
        choices,
    )  # fmt: skip
