from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from dreamloop.adapt import applied, plan, wilson
from dreamloop.config import Adapt, Config, Night
from dreamloop.course import too_little
from dreamloop.records import Change, KindShown, Measure, PastNight, Plan, Potential, Standing

CONFIG = Config()
KINDS = CONFIG.night.kinds
BARE = Standing()


def measure(name: str, change: float = 0.0, half: float = 0.005, since: float = 0.0, at: float = 0.0,
            base: float | None = None, margin: float = 0.02) -> Measure:  # fmt: skip
    tonight = Change(change, change - half, change + half, margin)
    since_base = Change(since, since - half, since + half, 2 * margin)
    return Measure(name, "", at if base is None else base, at, at + change, tonight, since_base, 100, 20)


def night(
    number: int, outcome: str = "kept", learned: float = 0.0, steps: int = 8, scale: float = 1.0,
    more: Sequence[Measure] = (), shown: Sequence[KindShown] = (), looked_at: bool = False, shown_worse: bool = False,
) -> PastNight:  # fmt: skip
    measures = (measure("lessons.discrimination", learned), *more)
    return PastNight(number, outcome, steps, scale, measures, tuple(shown), looked_at, shown_worse=shown_worse)


def nights(count: int, **facts: float) -> list[PastNight]:
    return [night(number, **facts) for number in range(1, count + 1)]  # type: ignore[arg-type]


def why(tonight: Plan, knob: str) -> str:
    return next(choice.why for choice in tonight.choices if choice.knob == knob)


# --- each rule ------------------------------------------------------------------------------------


def test_the_first_night_is_as_configured_and_every_choice_has_a_sentence() -> None:
    first = plan([], CONFIG, BARE)
    assert (first.act, first.behavioural, first.rate, first.replay_share) == ("train", 20, 1.0, 0.25)
    assert (first.push_back_weight, first.kinds) == (1.0, KINDS)
    assert all(choice.why.endswith(".") for choice in first.choices)


def test_the_dose_rises_only_after_two_nights_and_fifteen_steps_of_mere_noise() -> None:
    assert [plan(nights(n), CONFIG, BARE).behavioural for n in range(6)] == [20, 20, 50, 50, 200, 200]
    assert plan(nights(3, steps=4), CONFIG, BARE).behavioural == 20
    assert plan(nights(4, steps=4), CONFIG, BARE).behavioural == 50
    assert "too little" in why(plan(nights(3), CONFIG, BARE), "night.behavioural")


def test_a_dose_that_works_stays() -> None:
    assert plan(nights(12, learned=0.03), CONFIG, BARE).behavioural == 20


def test_the_rate_doubles_with_every_rise_up_to_ten_times() -> None:
    assert [plan(nights(2 * n), CONFIG, BARE).rate for n in range(7)] == [1, 2, 4, 8, 10, 10, 10]
    assert "largest dose" in why(plan(nights(21), CONFIG, BARE), "night.behavioural")


def test_noise_is_a_sum_that_its_joint_half_width_covers() -> None:
    one = Change(0.003, -0.001, 0.007, 0.02)  # half-width 0.004; four of them: 0.012 against 0.008
    assert too_little([one], 0.0)
    assert too_little([Change(0.0, 0.0, 0.0, 0.02)], 0.0)
    assert not too_little([one] * 4, 0.0)


def test_what_is_surely_there_but_would_take_for_ever_is_too_little() -> None:
    sure = Change(0.004, 0.002, 0.006, 0.02)
    assert too_little([sure] * 2, least=0.02)
    assert not too_little([sure] * 2, least=0.004)
    assert not too_little([sure, Change(0.037, 0.03, 0.044, 0.02)], least=0.02)  # 0.041 in two nights


def test_a_reverted_night_halves_the_next_dose_and_is_named() -> None:
    after = plan([night(1, "reverted")], CONFIG, BARE)
    assert (after.behavioural, after.caution) == (20, 0.5)
    assert "Night 1" in why(after, "all learning rates")
    assert plan([night(1, "inconclusive"), night(2, "reverted")], CONFIG, BARE).caution == 0.25


def test_a_night_reverted_after_a_rise_goes_down_a_level_as_well() -> None:
    past = [*nights(3), night(4, "reverted")]
    after = plan(past, CONFIG, BARE)
    assert (after.behavioural, after.rate, after.caution) == (20, 1.0, 0.5)


def test_a_halved_dose_doubles_after_three_calm_nights_and_the_second_time_after_six() -> None:
    past = [night(1, "reverted"), *(night(n, learned=0.03) for n in range(2, 5))]
    assert plan(past[:-1], CONFIG, BARE).caution == 0.5
    assert plan(past, CONFIG, BARE).caution == 1
    past += [night(5, "reverted"), *(night(n, learned=0.03) for n in range(6, 12))]
    assert [plan(past[:n], CONFIG, BARE).caution for n in (8, 10, 11)] == [0.5, 0.5, 1]


def test_three_reverted_nights_in_a_row_wait_for_a_person_and_say_so() -> None:
    past = [night(n, "reverted") for n in (4, 5, 6)]
    assert plan(past[:2], CONFIG, BARE).act == "train"
    stopped = plan(past, CONFIG, BARE)
    assert stopped.act == "stop"
    assert "(4, 5, 6)" in stopped.reason
    assert plan([*past[:2], replace(past[2], looked_at=True)], CONFIG, BARE).act == "train"
    assert plan([*past, night(7, "kept")], CONFIG, BARE).act == "train"


def test_a_step_that_broke_off_counts_as_reverted() -> None:
    broken = PastNight(1, "reverted", 2, 1.0, (), ())
    assert plan([broken], CONFIG, BARE).caution == 0.5
    assert plan([replace(broken, number=n) for n in (1, 2, 3)], CONFIG, BARE).act == "stop"


def test_nights_without_a_judgement_change_nothing() -> None:
    failed = PastNight(1, "failed", 0, 1.0, (), ())
    assert plan([failed] * 9, CONFIG, BARE) == plan([], CONFIG, BARE)


def test_a_step_that_the_gate_had_to_shrink_halves_the_next_step() -> None:
    assert plan([night(1, scale=0.5, shown_worse=True)], CONFIG, BARE).caution == 0.5


def test_a_step_kept_in_part_because_the_whole_left_a_question_open_changes_nothing() -> None:
    assert plan([night(1, scale=0.5)], CONFIG, BARE).caution == 1.0


def test_a_dose_does_not_rise_because_the_gate_took_only_a_part_of_what_was_learned() -> None:
    quarters = [night(n, learned=0.01, scale=0.25) for n in (1, 2)]  # 0.04 by the whole step
    assert plan(quarters, CONFIG, BARE).behavioural == plan([], CONFIG, BARE).behavioural
    assert plan([replace(one, scale=1.0) for one in quarters], CONFIG, BARE).behavioural == 50


@pytest.mark.parametrize("name", ["capability.code", "perplexity.chat"])
def test_a_fall_brings_more_replay_which_goes_back_after_calm_nights(name: str) -> None:
    fell = night(1, more=[measure(name, -0.016, 0.004)])
    assert plan([fell], CONFIG, BARE).replay_share == 0.4
    assert name in why(plan([fell], CONFIG, BARE), "night.replay_share")
    past = [fell, *(night(n, learned=0.03) for n in range(2, 9))]
    shares = [plan(past[:n], CONFIG, BARE).replay_share for n in range(1, 9)]
    assert shares == [0.4, 0.4, 0.4, 0.35, 0.3, 0.25, 0.25, 0.25]


def test_an_ability_that_fell_is_practised_beside_the_others_until_all_is_calm() -> None:
    found = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists", "dates"} else 10, 10) for kind in KINDS))
    fell = night(1, more=[measure("capability.code", -0.016, 0.004)])
    past = [fell, *(night(n, learned=0.03) for n in range(2, 9))]
    practising = [set(plan(past[:n], CONFIG, found).kinds) - {"notes", "lists", "dates"} for n in range(9)]
    assert practising == [set(), *[{"code"}] * 5, *[set()] * 3]
    assert "code: trained beside them, because that ability fell." in why(plan(past[:1], CONFIG, found), "kinds")


def test_a_fall_that_may_be_noise_or_is_tiny_brings_none() -> None:
    noise, tiny = measure("capability.code", -0.016, 0.02), measure("capability.code", -0.004, 0.001)
    assert plan([night(1, more=[noise])], CONFIG, BARE).replay_share == 0.25
    assert plan([night(1, more=[tiny])], CONFIG, BARE).replay_share == 0.25


def sides(push: float, accept: float) -> list[Measure]:
    return [measure("probes.push_back_rate", at=push, base=0.5), measure("probes.accept_rate", at=accept, base=0.5)]


def test_sides_that_drift_apart_halve_the_dose_once_and_lean_to_the_weaker() -> None:
    past = [night(1, more=sides(0.3, 0.7)), night(2, more=sides(0.32, 0.7))]
    assert plan(past[:1], CONFIG, BARE).push_back_weight == 1.5
    assert plan([night(1, more=sides(0.8, 0.4))], CONFIG, BARE).push_back_weight == pytest.approx(1 / 1.5)
    assert [plan(past[:n], CONFIG, BARE).caution for n in (1, 2)] == [0.5, 0.5]
    closed = plan([*past, night(3, more=sides(0.5, 0.52))], CONFIG, BARE)
    assert closed.push_back_weight == 1.0


def shown(candidate: int, twins: int = 4, taught: int = 3, kind: str = "dates") -> list[KindShown]:
    return [KindShown(kind, twins, 2, candidate, taught)]


def test_a_kind_that_is_told_apart_well_is_trained_no_further() -> None:
    good = [night(n, learned=0.03, shown=shown(4)) for n in range(1, 6)]  # 20 of 20: at least 0.88
    assert "dates" in plan(good[:4], CONFIG, BARE).kinds
    assert "dates" not in plan(good, CONFIG, BARE).kinds
    assert "dates: told apart well" in why(plan(good, CONFIG, BARE), "kinds")


def test_a_kind_that_stays_at_chance_is_given_up_after_enough_twins_of_it() -> None:
    lost = [night(n, learned=0.03, shown=shown(2, taught=20)) for n in range(1, 11)]  # 20 of 40: at most 0.63
    assert "dates" in plan(lost[:9], CONFIG, BARE).kinds
    assert "dates" not in plan(lost, CONFIG, BARE).kinds
    untrained = [night(n, learned=0.03, shown=shown(2, taught=0)) for n in range(1, 11)]
    assert "dates" in plan(untrained, CONFIG, BARE).kinds


def test_dreams_are_bare_until_fresh_ones_are_told_apart() -> None:
    one = Config(night=Night(kinds=("dates",)))
    assert plan([], one, BARE).bare_share == 1.0
    chance = [night(n, learned=0.03, shown=shown(2)) for n in range(1, 6)]  # 10 of 20
    assert plan(chance, one, BARE).bare_share == 1.0
    begun = [night(n, learned=0.03, shown=shown(3)) for n in range(1, 6)]  # 15 of 20: at least 0.57
    assert plan(begun, one, BARE).bare_share == 1.0
    learned = [night(n, learned=0.03, shown=shown(9, twins=10)) for n in range(1, 3)]  # 18 of 20: at least 0.75
    tonight = plan(learned, one, BARE)
    assert applied(one, tonight).dream.bare_share == tonight.bare_share == one.dream.bare_share == 0.5
    assert "18 of 20" in why(tonight, "dream.bare_share")


def asked(kind: str, plain: int, shown: int, known: int = 0, twins: int = 20) -> Potential:
    return Potential(kind, twins, plain, shown, known)


def test_what_the_base_tells_apart_plainly_or_after_examples_comes_first() -> None:
    found = [asked(kind, 10, 10) for kind in KINDS if kind not in {"dates", "notes"}]
    found = [one for one in found if one.kind != "lists"]
    found += [asked("dates", 17, 9), asked("notes", 9, 18), asked("lists", 9, 10, known=19)]
    three = CONFIG.model_copy(update={"adapt": Adapt(kinds_at_once=3)})
    tonight = plan([], three, Standing(tuple(found)))
    assert set(tonight.kinds) == {"dates", "notes", "lists"}
    assert "less promising than the others" in why(tonight, "kinds")


def test_a_kind_that_begins_to_be_told_apart_is_trained_on() -> None:
    found = tuple(asked(kind, 10, 10) for kind in KINDS)
    assert KINDS[-1] not in plan([], CONFIG, Standing(found)).kinds
    rises = [night(n, learned=0.03, shown=shown(4, kind=KINDS[-1])) for n in range(1, 4)]
    assert KINDS[-1] in plan(rises, CONFIG, Standing(found)).kinds


def test_kinds_that_are_still_at_chance_are_not_left_for_others_before_they_are_given_up() -> None:
    found = tuple(asked(kind, 18 if kind in {"notes", "lists", "units"} else 15, 10) for kind in KINDS)
    three = CONFIG.model_copy(update={"adapt": Adapt(kinds_at_once=3)})
    slow = [night(n, shown=[KindShown(kind, 8, 4, 4, 5) for kind in ("notes", "lists", "units")]) for n in range(1, 8)]
    assert all(set(plan(slow[:n], three, Standing(found)).kinds) == {"notes", "lists", "units"} for n in range(8))


def test_the_next_step_from_what_is_good_comes_first() -> None:
    found = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    good = [night(n, learned=0.03, shown=shown(10, 10, kind="lists")) for n in range(1, 4)]
    assert set(plan(good[:1], CONFIG, found).kinds) == {"notes", "lists"}
    tonight = plan(good, CONFIG, found)
    assert set(tonight.kinds) == {"entries", "notes"}
    assert "entries: next, because its easier form is told apart well." in why(tonight, "kinds")


def test_every_kind_is_trained_before_the_base_was_asked_and_then_those_it_was_not_asked_about_first() -> None:
    assert plan([], CONFIG, BARE).kinds == KINDS
    assert "dates" not in plan([], CONFIG, Standing((asked("dates", 20, 10),))).kinds


def test_a_kind_that_was_learned_lately_is_good_whatever_it_was_before() -> None:
    early = [night(n, learned=0.03, shown=shown(1)) for n in range(1, 5)]
    late = [night(n, learned=0.03, shown=shown(4)) for n in range(5, 10)]
    assert "dates" not in plan([*early, *late], CONFIG, BARE).kinds


def test_a_few_kinds_are_trained_whatever_was_found() -> None:
    few = Config(night=Night(kinds=KINDS[:2]))
    assert plan([], few, Standing(tuple(asked(kind, 8, 8) for kind in KINDS))).kinds == KINDS[:2]


def drifted(spent: float, number: int = 1, outcome: str = "kept", rebased: bool = False) -> PastNight:
    """A night by which prose has lost this share of what it may lose since the base."""
    since = Change(-spent * 0.02, -spent * 0.02 - 0.001, -spent * 0.02 + 0.001, 0.02)
    lost = replace(measure("perplexity.prose", 0.0, 0.004), since_base=since)
    return replace(night(number, outcome, learned=0.03, more=[lost]), rebased=rebased)


def test_a_budget_that_is_nearly_spent_begins_at_the_base_again_and_says_which() -> None:
    assert plan([drifted(0.7)], CONFIG, BARE).act == "train"
    tonight = plan([drifted(0.7), drifted(0.85, 2)], CONFIG, BARE)
    assert tonight.act == "rebase"
    assert "By night 2 perplexity.prose has used 85%" in tonight.reason
    margins = applied(CONFIG, tonight).gate.tonight.model_dump()
    assert margins["weights"] == CONFIG.gate.since_base.model_dump()["weights"]


def test_a_step_that_only_a_bound_since_the_base_stopped_has_spent_the_budget() -> None:
    assert plan([drifted(1.2, outcome="reverted")], CONFIG, BARE).act == "rebase"
    fell = night(1, "reverted", more=[measure("perplexity.prose", -0.03, 0.001)])  # tonight already
    assert plan([fell], CONFIG, BARE).act == "train"


def test_where_the_base_serves_there_is_nothing_to_learn_again() -> None:
    assert plan([drifted(0.9)], CONFIG, Standing(serving=False)).act == "train"


@pytest.mark.parametrize("outcome", ["kept", "reverted"])
def test_a_rebase_is_not_repeated_before_calm_nights_and_ever_fewer_times(outcome: str) -> None:
    past = [drifted(0.9)]
    acts = []
    for number in range(2, 12):
        tonight = plan(past, CONFIG, BARE)
        acts.append(tonight.act)
        again = tonight.act == "rebase"
        past.append(drifted(0.9, number, outcome if again else "kept", rebased=again))
    assert acts == ["rebase", *["train"] * 3, "rebase", *["train"] * 5]


def test_what_a_rebase_learned_once_more_is_counted_once() -> None:
    lost = [night(n, learned=0.03, shown=shown(2, taught=20)) for n in range(1, 10)]
    again = replace(night(10, learned=0.03, shown=shown(2, taught=180)), rebased=True)
    assert "dates" in plan([*lost, again], CONFIG, BARE).kinds


def test_a_night_with_nothing_to_gain_is_skipped_unless_logs_have_something() -> None:
    config = Config(night=Night(kinds=("dates",)))
    good = [night(n, learned=0.03, shown=shown(4)) for n in range(1, 6)]
    skipped = plan(good, config, BARE)
    assert skipped.act == "skip"
    assert skipped.reason.startswith("Nothing to gain: dates")
    assert plan(good, config, Standing(waiting=3)).act == "train"


def test_wilson_by_hand() -> None:
    # 8 of 10 at z = 1.645: z²/n = 0.2706, centre (0.8 + 0.1353) / 1.2706 = 0.7361,
    # half 1.645 / 1.2706 * √(0.016 + 0.006765) = 0.1953
    assert wilson(8, 10) == pytest.approx((0.5408, 0.9315), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_larger_step_may_move_the_weights_further_and_a_smaller_one_no_less_than_the_usual() -> None:
    def may(tonight: Plan) -> float:
        return float(applied(CONFIG, tonight).gate.tonight.model_dump()["weights"])

    usual = may(plan([], CONFIG, BARE))
    assert usual == CONFIG.gate.tonight.model_dump()["weights"]
    assert may(plan([night(1, "reverted")], CONFIG, BARE)) == usual
    larger = replace(plan([], CONFIG, BARE), behavioural=200, rate=4.0)  # 25 steps where 20 pairs make 10
    assert may(larger) == pytest.approx(usual * 4 * 2.5**0.5)


def test_a_dose_that_is_large_already_never_rises_to_less() -> None:
    config = Config(night=Night(behavioural=100))
    assert [plan(nights(3 * n), config, BARE).behavioural for n in range(3)] == [100, 200, 200]


def test_who_wants_every_night_alike_can_have_it() -> None:
    config = Config(adapt=Adapt(enabled=False))
    tonight = plan([*nights(9), *(night(n, "reverted") for n in (10, 11, 12))], config, BARE)
    assert (tonight.act, tonight.behavioural, tonight.rate) == ("train", 20, 1.0)


def test_a_plan_sets_the_dose_the_rates_the_replay_and_the_sides() -> None:
    tonight = plan(nights(3), CONFIG, BARE)
    config = applied(CONFIG, replace(tonight, push_back_weight=1.5, replay_share=0.4))
    assert (config.night.behavioural, config.night.replay_share) == (50, 0.4)
    assert (config.finetune.sft_learning_rate, config.finetune.dpo_learning_rate) == (1e-4, 6e-4)
    careful = applied(CONFIG, replace(tonight, caution=0.5)).finetune
    assert (careful.sft_learning_rate, careful.dpo_learning_rate) == (5e-5, 3e-4)
    assert (config.finetune.hold_learning_rate, careful.hold_learning_rate) == (6e-4 / 8, 3e-4 / 8)
    assert config.finetune.push_back_weight == 1.5
    assert config.night.kinds == CONFIG.night.kinds  # lessons stay of all kinds


# --- whole courses, against a model that answers -----------------------------------------------------


@dataclass
class World:
    """A model that learns by dose times rate, and how much of it it can bear.

    ``gain`` is nats per token learned by 20 pairs at the usual rate, ``bears`` the largest dose times rate that the
    gate keeps, ``forgets`` what 20 pairs cost an ability where replay is at its usual share, ``most`` where learning
    ends.
    """

    gain: float
    bears: float = 1e9
    forgets: float = 0.0
    most: float = 1e9
    poison: Callable[[int], bool] = lambda _: False
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    skill: float = 0.0
    ability: float = 0.0

    def night(self, number: int, tonight: Plan) -> PastNight:
        size = step(tonight) / 20
        bad = self.poison(number) or step(tonight) > self.bears
        gain = min(self.gain * size, self.most - self.skill) * (-1 if bad else 1)
        lost = self.forgets * size * max(0.0, 1 - (tonight.replay_share - 0.25) / 0.15) - 0.002
        fell = measure("capability.code", -lost, 0.003, since=min(0.0, self.ability - lost))
        if not bad:
            self.skill, self.ability = self.skill + gain, min(0.0, self.ability - lost)
        learned = gain + self.rng.gauss(0, 0.002)
        return night(number, "reverted" if bad else "kept", learned, steps=8, more=[fell])


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
    assert [n.outcome for n in past[20:]].count("reverted") <= 8
    assert all(step(p) <= 60 for p in plans[60:])


def test_a_forgetful_model_gets_more_replay_and_keeps_its_ability() -> None:
    world = World(gain=0.008, forgets=0.016)
    plans, _ = lived(world, 40)
    assert max(p.replay_share for p in plans) == 0.4
    assert world.ability > -0.1
    without = World(gain=0.008, forgets=0.016)
    lived(without, 40, Config(adapt=Adapt(enabled=False)))
    assert without.ability < 3 * world.ability


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
