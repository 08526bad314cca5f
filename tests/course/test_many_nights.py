"""Whole courses, against models that answer: they settle."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from histories import BARE, CONFIG, KINDS, asked, drifted, measure, night

from dreamloop.adapt import plan
from dreamloop.config import Adapt, Config
from dreamloop.records import Change, Dose, KindShown, PastNight, Plan, Standing

SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2)))
TALENTS = {"notes": 0.01, "lists": 0.006, "quotes": 0.01, "updates": 0.008, "entries": 0.008}


@dataclass
class World:
    """A model that learns by dose times rate, and how much of it it can bear.

    ``gain`` is nats per token learned by 20 pairs at the usual rate, ``bears`` the largest dose times rate that the
    gate keeps, ``forgets`` what 20 pairs cost an ability where replay is at its usual share, ``most`` where learning
    ends. ``leans`` is by how much 20 pairs move the sides' rates apart where both weigh the same; where the one that
    lags weighs half as much again they close by ``closes`` of that.
    """

    gain: float
    bears: float = 1e9
    forgets: float = 0.0
    leans: float = 0.0
    closes: float = 0.5
    most: float = 1e9
    poison: Callable[[int], bool] = lambda _: False
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    skill: float = 0.0
    ability: float = 0.0
    gap: float = 0.0

    def night(self, number: int, tonight: Plan) -> PastNight:
        size = step(tonight) / 20
        bad = self.poison(number) or step(tonight) > self.bears
        gain = min(self.gain * size, self.most - self.skill) * (-1 if bad else 1)
        lost = self.forgets * size * max(0.0, 1 - (tonight.replay_share - 0.25) / 0.15) - 0.002
        fell = measure("capability.code", -lost, 0.003, since=min(0.0, self.ability - lost))
        if not bad:
            self.skill, self.ability = self.skill + gain, min(0.0, self.ability - lost)
            self.gap = max(0.0, self.gap + self.leans * size * (1 if tonight.push_back_weight <= 1 else -self.closes))
        sides = [
            measure(f"probes.{side}_rate", at=0.5 + sign * self.gap / 2, base=0.5)
            for side, sign in (("push_back", -1), ("accept", 1))
        ]
        learned = gain + self.rng.gauss(0, 0.002)
        dose = Dose(tonight.behavioural, tonight.behavioural, tonight.rate, tonight.caution)
        return night(number, "reverted" if bad else "kept", learned, steps=8, more=[fell, *sides], dose=dose)


def step(tonight: Plan) -> float:
    """How much a night trains: 20 are 20 pairs at the usual rates."""
    return tonight.behavioural * tonight.rate * tonight.caution


def lived(world: World, count: int, config: Config = CONFIG) -> tuple[list[Plan], list[PastNight]]:
    plans: list[Plan] = []
    past: list[PastNight] = []
    for number in range(1, count + 1):
        tonight = plan(past, config, Standing(waiting=5))
        plans.append(tonight)
        past.append(
            world.night(number, tonight) if tonight.act == "train" else PastNight(number, tonight.act, 0, 1, (), ())
        )
    return plans, past


def test_a_quick_learner_stays_at_the_small_dose() -> None:
    plans, _ = lived(World(gain=0.03), 30)
    assert {p.behavioural for p in plans} == {20}


def test_a_slow_learner_gets_more_until_it_moves_and_then_no_more() -> None:
    world = World(gain=0.0007)
    plans, past = lived(world, 40)
    assert plans[-1].behavioural == 200
    assert plans[-1].rate == plans[15].rate <= 4  # settled within fifteen nights
    assert all(n.outcome == "kept" for n in past)
    assert world.skill > 0.1


def test_a_model_that_bears_little_settles_below_what_it_cannot_bear() -> None:
    plans, past = lived(World(gain=0.006, bears=15), 80)
    assert step(plans[-1]) <= 15
    late = [n.outcome for n in past[40:]]
    assert late.count("reverted") <= 2  # each setback doubles the wait


def test_an_escalation_that_is_reverted_is_tried_again_rarely() -> None:
    plans, past = lived(World(gain=0.0001, bears=60), 80)
    assert all(p.act == "train" for p in plans)
    assert [n.outcome for n in past[20:]].count("reverted") <= 3  # half of what was refused comes back, ever later
    assert sum(step(p) > 60 for p in plans[40:]) <= 2


def test_a_forgetful_model_gets_more_replay_and_keeps_its_ability() -> None:
    world = World(gain=0.008, forgets=0.016)
    plans, _ = lived(world, 40)
    assert max(p.replay_share for p in plans) == 0.4
    assert world.ability > -0.1
    without = World(gain=0.008, forgets=0.016)
    lived(without, 40, Config(adapt=Adapt(enabled=False)))
    assert without.ability < 3 * world.ability


def test_sides_that_drift_apart_with_every_step_close_again_and_the_model_learns_all_the_same() -> None:
    world = World(gain=0.0007, leans=0.002)
    plans, past = lived(world, 120)
    gaps = [abs(n.measures[-1].candidate - n.measures[-2].candidate) for n in past]
    assert {1.0, 1.5} == {p.push_back_weight for p in plans}
    assert max(gaps) < 0.3
    assert max(p.behavioural for p in plans) == 200
    assert world.skill > 0.1


def test_a_gap_that_never_closes_slows_the_dose_and_does_not_stop_it() -> None:
    world = World(gain=0.0007, leans=0.02, closes=0.0)
    plans, _ = lived(world, 120)
    assert plans[-1].push_back_weight == 1.5
    assert max(p.behavioural for p in plans) == 200


def test_a_poisoned_source_ends_in_a_question_to_a_person() -> None:
    plans, _ = lived(World(gain=0.008, poison=lambda n: n > 10), 30)
    assert [p.act for p in plans].index("stop") == 13
    assert {p.act for p in plans[13:]} == {"stop"}
    assert all("plan --go-on" in p.reason for p in plans[13:])


def test_what_oscillates_settles_at_a_small_dose_and_learns_all_the_same() -> None:
    world = World(gain=0.006, poison=lambda n: n % 7 == 0)
    plans, _ = lived(world, 60)
    doses = [step(p) for p in plans[30:]]
    assert sum(a != b for a, b in pairwise(doses)) <= 4
    assert min(doses) >= 4
    assert world.skill > 0.03


def test_a_gate_that_was_wrong_once_in_a_month_costs_little() -> None:
    world = World(gain=0.006, poison=lambda n: n % 30 == 0)
    plans, _ = lived(world, 120)
    assert sum(step(p) >= 20 for p in plans) > 80


def test_the_same_past_gives_the_same_plan() -> None:
    _, past = lived(World(gain=0.001, bears=60, forgets=0.01), 30)
    assert plan(past, CONFIG, BARE) == plan(tuple(past), CONFIG, BARE)


@dataclass
class School:
    """A model that learns kind by kind, under a gate that takes parts, with a budget that drifting spends.

    ``talent`` is what 20 pairs of a kind at the usual rate teach of it, in nats per token, up to ``full`` at the usual
    distance and to ``most`` at any; at 1 it would always be told apart. ``bears`` is the step that is kept whole, of
    one twice as large half, of one four times as large a quarter. A whole step as large as that spends ``drifts`` of
    what may be lost since the base; learning everything once more from there costs ``anew`` of what that had cost.
    """

    talent: dict[str, float]
    full: float = 1.0
    most: float = 1.0
    bears: float = 200.0
    drifts: float = 0.1
    anew: float = 0.4
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    skill: dict[str, float] = field(default_factory=dict)
    spent: float = 0.0

    def night(self, number: int, tonight: Plan) -> PastNight:
        if tonight.act == "rebase":
            self.spent *= self.anew
            return replace(drifted(self.spent, number), rebased=True)
        scale = next((s for s in (1.0, 0.75, 0.5, 0.25) if step(tonight) * s <= self.bears), 0.0)
        kinds = {kind: step(tonight) / 20 / len(tonight.kinds) for kind in tonight.kinds}
        gained = {
            kind: min(self.talent[kind] * size, self.end(kind, tonight) - self.at(kind)) for kind, size in kinds.items()
        }
        drift = self.spent + self.drifts * step(tonight) * (scale or 1.0) / self.bears
        outcome = "kept" if scale and drift <= 1 else "inconclusive"
        learned = sum(gained.values()) / max(1, len(gained)) * (scale or 1.0) + self.rng.gauss(0, 0.002)
        if outcome == "kept":
            self.spent = drift
            self.skill |= {kind: self.at(kind) + gain * scale for kind, gain in gained.items()}
        lost = replace(
            measure("perplexity.prose"), since_base=Change(-0.02 * drift, -0.02 * drift, -0.02 * drift, 0.02)
        )
        shown = [self.shown(kind, 16 if kind in kinds else 1, kind in kinds, tonight) for kind in KINDS]
        planned = tonight.behavioural
        dose = Dose(planned, planned, tonight.rate, tonight.caution, tonight.pace, tonight.further, tonight.distance)
        return night(number, outcome, learned, 8, scale or 1.0, [lost], shown, dose=dose, shown_worse=0 < scale < 1)

    def end(self, kind: str, tonight: Plan) -> float:
        return min(self.most, self.full * (tonight.distance if kind in tonight.further else 1.0))

    def at(self, kind: str) -> float:
        return self.skill.get(kind, 0.0)

    def shown(self, kind: str, twins: int, taught: bool, tonight: Plan) -> KindShown:
        drawn = [self.rng.random() for _ in range(twins)]
        won, decided = (sum(one < share for one in drawn) for share in (0.5 + self.at(kind) / 2, self.at(kind)))
        gains = [self.rng.gauss(self.at(kind), 0.3) for _ in range(twins)]
        squared = sum(gain * gain for gain in gains)
        count = tonight.behavioural // 2 // len(tonight.kinds) * taught
        return KindShown(kind, twins, twins // 2, won, decided, count, sum(gains), squared)


def schooled(school: School, count: int, config: Config = CONFIG) -> tuple[list[Plan], list[PastNight]]:
    found = tuple(asked(kind, 10 + round(6 * (school.talent[kind] > 0)), 10) for kind in KINDS)
    plans: list[Plan] = []
    past: list[PastNight] = []
    for number in range(1, count + 1):
        plans.append(plan(past, config, Standing(found)))
        if plans[-1].act == "stop":
            past[-1] = replace(past[-1], looked_at=True)  # somebody does, the next morning
        trains = plans[-1].act in {"train", "rebase"}
        past.append(school.night(number, plans[-1]) if trains else PastNight(number, plans[-1].act, 0, 1, (), ()))
    return plans, past


def school(seed: int, **facts: float) -> School:
    talent = dict.fromkeys(KINDS, 0.0) | TALENTS
    return School(talent, rng=random.Random(seed), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_kind_after_kind_is_learned_under_a_gate_that_takes_parts_and_then_nothing_is_trained(seed: int) -> None:
    one = school(seed)
    plans, past = schooled(one, 200)
    assert all(one.at(kind) > 0.7 for kind in TALENTS)  # 70 % decided right, which is good
    assert plans[-1].act == "skip"
    assert {night.outcome for night in past} == {"kept", "skip"}
    assert 1 <= [p.act for p in plans].count("rebase") <= 25
    chance = {kind for kind in KINDS if kind not in TALENTS}
    vain, all_ = (
        sum(p.behavioural for p in plans if p.act == "train" and set(p.kinds) <= of) for of in (chance, {*KINDS})
    )
    assert vain / len(chance) < (all_ - vain) / len(TALENTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_where_learning_ends_early_the_nights_end_too(seed: int) -> None:
    plans, _ = schooled(school(seed, most=0.3), 250)
    assert plans[-1].act == "skip"
    assert "no dose that is kept taught more" in plans[-1].reason
    assert max(step(p) for p in plans) <= 800


def test_what_the_usual_distance_tells_apart_and_does_not_decide_is_brought_to_its_end_at_a_greater_one() -> None:
    one, near = school(0, full=0.6), school(0, full=0.6)
    schooled(one, 60)
    assert all(one.at(kind) > 0.7 for kind in ("notes", "lists"))
    schooled(near, 60, Config(adapt=Adapt(found_distance=1)))
    assert {near.at(kind) for kind in ("notes", "lists")} == {0.6}


def test_a_model_that_bears_little_learns_kind_by_kind_at_small_steps() -> None:
    one = school(0, bears=30)
    plans, past = schooled(one, 200)
    assert sum(step(p) > 60 for p in plans[60:]) <= 14  # of 140: what comes next is tried larger, too
    assert one.at("notes") > 0.7
    assert {night.outcome for night in past} == {"kept"}


def test_a_budget_that_learning_itself_spends_is_a_question_to_a_person_and_no_smaller_step() -> None:
    plans, past = schooled(school(0, anew=1.0), 60)
    assert [p.act for p in plans].count("rebase") <= 6
    assert "stop" in {p.act for p in plans}
    assert step(plans[-1]) == step(plans[[night.outcome for night in past].index("inconclusive")])
