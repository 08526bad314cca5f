"""Which kinds of scenario are worth a night: those that can be taught, are not decided well yet, and were begun."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dreamloop.config import Adapt, Config
from dreamloop.course.state import Course, provable
from dreamloop.dream.kinds import EASIER, TECHNICAL
from dreamloop.records import KindShown, PastNight, Potential

_UNKNOWN = "As configured; the base is asked first what can be taught, and that may leave some of them."
_Z = 1.645  # 5 % outside on each side


@dataclass(frozen=True, slots=True)
class Worth:
    """The kinds that are worth a night, those of them that only practise what fell, all that are found, and why."""

    kinds: tuple[str, ...]
    practice: tuple[str, ...]
    found: frozenset[str]
    why: str

    @property
    def taught(self) -> tuple[str, ...]:
        """Those whose two sides are to be told apart, which can be proven."""
        return provable([kind for kind in self.kinds if kind not in self.practice])


def worth_a_night(past: Sequence[PastNight], potentials: Sequence[Potential], course: Course, config: Config) -> Worth:
    """The kinds worth training: neither good already nor still at chance after many twins.

    Of those left, a few at a time are trained: a dose that is spread over everything moves nothing. What was begun is
    brought to its end, because judgment comes late; then come the next steps from what is found by now, then the ones
    that are told apart in some wording or begin to be. As many again are searched for beside them once all of them are
    found. A kind that practises what fell comes beside them.
    """
    knobs = config.adapt
    won, asked = _told_apart(kept(past), knobs.kind_twins)
    by_now = frozenset(found(config.night.kinds, kept(past), config))
    good = [kind for kind in config.night.kinds if _good(kind, kept(past), config)]
    lost = given_up(past, config)
    open_ones = [kind for kind in config.night.kinds if kind not in {*good, *lost, *course.exhausted}]
    awake = [kind for kind in open_ones if kind not in course.resting]
    left = awake if provable(awake) else open_ones
    ended = [kind for kind in config.night.kinds if kind not in {*good, *lost, *left}]
    ranked = _promising(provable(left), potentials, won, asked)
    unproven = [kind for kind in left if kind not in ranked]
    begun = [kind for kind in ranked if kind in course.kinds]
    steps = [kind for kind in ranked if EASIER.get(kind) in {*good, *by_now} and kind not in begun]
    begun.sort(key=lambda kind: kind not in by_now)
    ranked = [*begun, *steps, *(kind for kind in ranked if kind not in {*begun, *steps})]
    held = len(begun) if by_now.intersection(begun) else 0
    at_once = _at_once(ranked, held, by_now, knobs.kinds_at_once, course.caution == 1) if potentials else ranked
    practice = [kind for kind in _practice(course.fell, ranked) if kind not in at_once]
    first = [*at_once, *practice, *unproven]
    told = {
        "decided well already": good, "still at chance, training it would teach a bias": lost,
        "no dose that is kept taught more of it": ended,
        "trained beside them, because that ability fell": practice,
        "as configured, neither found nor given up, because nothing proves it": unproven,
        "next, because its easier form is found": [kind for kind in steps if kind in first],
        "less promising than the others, so they wait": [kind for kind in left if kind not in first],
    }  # fmt: skip
    why = " ".join(f"{', '.join(kinds)}: {because}." for because, kinds in told.items() if kinds)
    asks = config.night.kinds and knobs.survey_twins and not potentials
    usual = _UNKNOWN if asks else "As configured." if config.night.kinds else "night.kinds names none."
    kinds = tuple(kind for kind in left if kind in first)
    return Worth(kinds, tuple(practice), by_now, why or usual)


def _at_once(ranked: list[str], held: int, by_now: frozenset[str], count: int, calm: bool) -> list[str]:
    """The first so many; where all of them are found, as many more beside them, ``held`` also when one becomes good.

    Not while setbacks hold the steps back: what is left of them would be spread over too much.
    """
    if not calm:
        return ranked[:count]
    return ranked[: 2 * count if by_now.issuperset(ranked[:count]) else max(count, min(held, 2 * count))]


def given_up(past: Sequence[PastNight], config: Config) -> list[str]:
    """The configured kinds of which enough was learned for nothing."""
    kinds = [kind for kind in config.night.kinds if _at_chance(kind, past, config)]
    return [kind for kind in kinds if not _good(kind, kept(past), config)]


def _told_apart(nights: Sequence[PastNight], enough: int) -> tuple[Counter[str], Counter[str]]:
    """By kind: fresh twins told apart, and those asked, the latest first until there are enough of them."""
    won, asked = Counter[str](), Counter[str]()
    for shown in (shown for night in reversed(nights) for shown in night.shown):
        if asked[shown.kind] < enough:
            won[shown.kind] += shown.candidate
            asked[shown.kind] += shown.twins
    return won, asked


def kept(past: Sequence[PastNight]) -> list[PastNight]:
    """The nights whose step serves, or served until another's."""
    return [night for night in past if night.outcome == "kept"]


def found(kinds: Sequence[str], nights: Sequence[PastNight], config: Config) -> tuple[str, ...]:
    """Those whose fresh twins are surely far enough apart by now, further than by the base.

    Told apart is not enough: of bare `notes` the base tells 13 of 16 apart, by next to nothing.
    """
    return tuple(kind for kind in kinds if _far_apart(kind, nights, config.adapt))


def _far_apart(kind: str, nights: Sequence[PastNight], knobs: Adapt) -> bool:
    """Whether a kind's latest fresh twins once surely were, and never since surely by less than half of that.

    So that what lies at the edge does not come and go by the luck of every night's twins, nor because it is told apart
    by less where something is around it. Half as many as it is judged by otherwise are enough: it comes within a night.
    """
    far, latest, enough = False, [], knobs.kind_twins / 2
    for shown in (one for night in nights for one in night.shown if one.kind == kind and one.twins):
        latest.append(shown)
        while sum(one.twins for one in latest[1:]) >= enough:
            latest = latest[1:]
        low, high = _gain(latest)
        far = sum(one.twins for one in latest) >= enough and (2 * high if far else low) >= knobs.found_gain
    return far


def wilson(won: int, of: int) -> tuple[float, float]:
    """The 90 % score interval of a share (Wilson, JASA 22 (1927) 209-212)."""
    if not of:
        return 0.0, 1.0
    share, spread = won / of, _Z**2 / of
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return centre - half, centre + half


def _good(kind: str, nights: Sequence[PastNight], config: Config) -> bool:
    """Whether a kind's latest fresh twins once surely drew the right replies, and never since surely fewer of them.

    On both sides, as a person sees them. Told apart is not enough: 16 of 16 twins were, of which 3 were decided right.
    """
    knobs, good = config.adapt, False
    latest: list[tuple[int, int]] = []
    for shown in (one for night in nights for one in night.shown if one.kind == kind and one.twins):
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
    nights = [night for night in reversed(kept(past)) if not night.rebased]
    every = [(one, night.scale) for night in nights for one in night.shown if one.kind == kind and one.taught]
    seen: list[KindShown] = []
    for one, _ in every:
        if sum(had.twins for had in seen) < 2 * knobs.kind_twins:
            seen.append(one)
    won, asked = sum(one.candidate for one in seen), sum(one.twins for one in seen)
    if sum(one.taught * scale for one, scale in every) < knobs.give_up_after or asked < knobs.kind_twins:
        return False
    return wilson(won, asked)[1] < knobs.teachable and not _gain(seen)[0] > 0


def _gain(seen: Sequence[KindShown]) -> tuple[float, float]:
    """The 90 % interval, by the normal distribution, of how much further than by the base their twins are apart."""
    twins = sum(one.twins for one in seen)
    mean = sum(one.gained for one in seen) / twins
    variance = max(0.0, sum(one.squared for one in seen) / twins - mean**2)
    half = _Z * math.sqrt(variance / twins)
    return mean - half, mean + half


def practising(fell: Sequence[str]) -> list[frozenset[str]]:
    """For each ability that fell the kinds that practise it."""
    return [TECHNICAL.get(name.removeprefix("capability."), frozenset()) for name in fell]


def _practice(fell: Sequence[str], ranked: Sequence[str]) -> list[str]:
    """For each ability that fell the most promising kind that practises it, where there is one."""
    return [kind for own in practising(fell) for kind in [kind for kind in ranked if kind in own][:1]]


def _promising(
    kinds: Sequence[str], potentials: Sequence[Potential], won: Mapping[str, int], asked: Mapping[str, int]
) -> list[str]:
    """Those most surely told apart first, by the base in some wording or by now; before them what was never asked of.

    Fresh twins at chance take nothing from what the base showed: judgment comes late and at once, and a kind that is
    left for another before that was trained for nothing. It is given up where `worth_a_night` calls it lost.
    """
    bounds = {kind: wilson(won[kind], asked[kind])[0] if kind in asked else 0.0 for kind in kinds}
    shown = {one.kind: wilson(max(one.plain, one.shown, one.known), one.twins)[0] for one in potentials}
    unknown = {kind for kind in kinds if kind not in shown and kind not in asked}
    return sorted(kinds, key=lambda kind: (kind in unknown, max(bounds[kind], shown.get(kind, 0.0))), reverse=True)
