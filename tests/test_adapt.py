"""From the nights so far to tonight's recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from histories import BARE, CONFIG, KINDS, drifted, measure, night, nights, shown, why

from dreamloop.adapt import applied, plan
from dreamloop.config import Adapt, Config, Finetune, Night, Replay
from dreamloop.finetune.recipe import recipe_of
from dreamloop.records import Dose, Plan, Standing


def test_the_first_night_is_as_configured_and_every_choice_has_a_sentence() -> None:
    first = plan([], CONFIG, BARE)
    assert (first.act, first.behavioural, first.rate, first.replay_share) == ("train", 20, 1.0, 0.25)
    assert (first.push_back_weight, first.kinds) == (1.0, KINDS)
    assert all(choice.why.endswith(".") for choice in first.choices)


def test_dreams_are_bare_until_what_is_to_be_learned_is_found() -> None:
    one = Config(night=Night(kinds=("dates",)))
    assert plan([], one, BARE).bare == ("dates",)
    told = [night(n, learned=0.03, shown=shown(9, twins=10, decided=3)) for n in range(1, 3)]  # by next to nothing
    assert plan(told, one, BARE).bare == ("dates",)
    found = plan(FOUND, one, BARE)
    assert found.bare == ()
    assert why(found, "bare dreams") == "As configured are dates, which is found."


FOUND = [night(1, learned=0.03, shown=shown(16, twins=16, decided=2, gained=0.5, spread=0.2))]


def test_what_is_found_is_taught_twice_as_far_apart_at_half_of_dpo_s_rate() -> None:
    one = Config(night=Night(kinds=("dates",)))
    slight = [night(n, learned=0.03, shown=shown(16, twins=16, decided=2, gained=0.1)) for n in range(1, 6)]
    searched = plan(slight, one, BARE)  # told apart, as a base may do by itself, and by little
    assert (searched.further, searched.pace) == ((), 1.0)
    found = plan(FOUND, one, BARE)  # 0.5 - 1.645 * 0.2 / 4 = 0.42
    assert (found.further, found.distance, found.pace) == (("dates",), 2.0, 0.5)
    assert "decided right" in why(found, "finetune.beta")
    assert "found" in why(found, "finetune.dpo_learning_rate")
    before, then = (recipe_of(applied(one, tonight).finetune, 0) for tonight in (plan([], one, BARE), found))
    assert (before.beta_pattern, then.beta_pattern) == ((), (("dates", 0.35),))
    assert then.beta == before.beta == 0.7  # 'ipo' asks for 1 / (2 beta): 0.71 and 1.43 nats per token
    assert then.dpo_learning_rate == before.dpo_learning_rate / 2
    assert then.hold_learning_rate == before.hold_learning_rate  # what takes back is as long as it was


def test_a_beta_of_its_own_is_divided_like_the_one_of_all() -> None:
    own = Config(night=Night(kinds=("dates",)), finetune=Finetune(beta=1.0, beta_pattern={"dates": 0.5, "sums": 0.6}))
    assert applied(own, plan(FOUND, own, BARE)).finetune.beta_pattern == {"dates": 0.25, "sums": 0.6}


def test_what_is_found_stays_so_until_it_is_surely_not() -> None:
    one = Config(night=Night(kinds=("dates",)))
    gains = (0.36, 0.5, 0.1, 0.05)  # each by 0.2 more or less, so that the means are known to 0.08
    past = [night(n, shown=shown(16, 16, decided=2, gained=gain, spread=0.2)) for n, gain in enumerate(gains, 1)]
    assert [bool(plan(past[:n], one, BARE).further) for n in range(5)] == [False, False, True, True, False]
    assert not plan(past[2:3], one, BARE).further
    few = night(1, shown=shown(4, 4, gained=2.0))
    assert not plan([few], one, BARE).further


def test_what_is_found_goes_no_further_while_another_kind_is_searched_for_beside_it() -> None:
    two = Config(night=Night(kinds=("dates", "sums")))
    both = [*shown(16, twins=16, decided=2, gained=0.5), *shown(8, twins=16, kind="sums")]
    past = [night(n, learned=0.03, shown=both) for n in range(1, 3)]
    tonight = plan(past, two, BARE)
    assert (tonight.kinds, tonight.further, tonight.bare) == (("dates", "sums"), (), ("sums",))
    assert tonight.pace == 1.0  # long steps: there is something to search for
    assert applied(two, tonight).finetune.beta_pattern == {}
    assert why(tonight, "finetune.beta").startswith("dates waits until sums is found, too")


def test_what_went_further_apart_stays_so_beside_a_kind_that_is_searched_for_later() -> None:
    two = Config(night=Night(kinds=("dates", "sums")))
    both = [*shown(16, twins=16, decided=2, gained=0.5), *shown(8, twins=16, kind="sums")]
    further = Dose(50, 50, 2.0, 1.0, 0.5, ("dates",), 2.0)
    tonight = plan([night(1, learned=0.03, shown=both, dose=further)], two, BARE)
    assert applied(two, tonight).finetune.beta_pattern == {"dates": 0.35}
    assert why(tonight, "finetune.beta") == "What went further stays so."
    for in_vain in (night(1, "reverted", dose=further), night(1, learned=0.03, dose=replace(further, distance=1.0))):
        past = [in_vain, night(2, learned=0.03, shown=both)]
        assert not plan(past, two, BARE).further


def test_who_wants_no_greater_distance_can_have_that() -> None:
    one = Config(night=Night(kinds=("dates",)), adapt=Adapt(found_distance=1, found_pace=1))
    tonight = plan(FOUND, one, BARE)
    assert (applied(one, tonight).finetune.beta_pattern, tonight.pace) == ({"dates": 0.7}, 1.0)
    assert why(tonight, "finetune.dpo_learning_rate") == why(plan([], one, BARE), "finetune.dpo_learning_rate")


def test_a_night_with_nothing_to_gain_is_skipped_unless_logs_have_something() -> None:
    config = Config(night=Night(kinds=("dates",)))
    good = [night(n, learned=0.03, shown=shown(4)) for n in range(1, 6)]
    skipped = plan(good, config, BARE)
    assert skipped.act == "skip"
    assert skipped.reason.startswith("Nothing to gain: dates")
    assert plan(good, config, Standing(waiting=3)).act == "train"
    never_mined = Config(night=Night(kinds=("dates",), mined_share=0))
    assert plan(good, never_mined, Standing(waiting=3)).act == "skip"


def test_a_larger_step_may_move_the_weights_further_and_a_smaller_one_no_less_than_the_usual() -> None:
    def may(tonight: Plan) -> float:
        return float(applied(CONFIG, tonight).gate.tonight.model_dump()["weights"])

    usual = may(plan([], CONFIG, BARE))
    assert usual == CONFIG.gate.tonight.model_dump()["weights"]
    assert may(plan([night(1, "reverted")], CONFIG, BARE)) == usual
    larger = replace(plan([], CONFIG, BARE), behavioural=200, rate=4.0)  # 100 steps where 20 pairs make 10
    assert may(larger) == pytest.approx(usual * 4 * 10**0.5)
    assert may(replace(larger, caution=0.5)) == pytest.approx(usual * 2 * 10**0.5)


def test_who_wants_every_night_alike_can_have_it() -> None:
    config = Config(adapt=Adapt(enabled=False))
    tonight = plan([*nights(9), *(night(n, "reverted") for n in (10, 11, 12))], config, BARE)
    assert (tonight.act, tonight.behavioural, tonight.rate) == ("train", 20, 1.0)
    assert {choice.why for choice in tonight.choices} == {"adapt.enabled is false, so every night is as configured."}


def test_sides_weigh_as_configured_and_the_one_that_lags_more() -> None:
    for adapt in (Adapt(), Adapt(enabled=False)):
        own = Config(finetune=Finetune(push_back_weight=2.0), adapt=adapt)
        assert applied(own, plan([], own, BARE)).finetune.push_back_weight == 2.0
    apart = [measure("probes.push_back_rate", at=0.3, base=0.5), measure("probes.accept_rate", at=0.7, base=0.5)]
    own = Config(finetune=Finetune(push_back_weight=2.0))
    assert applied(own, plan([night(1, more=apart)], own, BARE)).finetune.push_back_weight == 3.0


def test_what_only_some_nights_choose_is_said_on_those() -> None:
    usual = {choice.knob for choice in plan([], CONFIG, BARE).choices}
    fell = plan([*nights(2), night(3, more=[measure("capability.code", -0.016, 0.004)])], CONFIG, BARE)
    more = {choice.knob: choice.value for choice in fell.choices if choice.knob not in usual}
    assert set(more) == {"general examples", "gate.tonight.weights"}
    assert more["general examples"] == "code"
    files = Config(replay=Replay(base_answers=False, text_files=(Path("notes.md"),)))  # nobody is asked anything
    silent = plan([*nights(2), night(3, more=[measure("capability.code", -0.016, 0.004)])], files, BARE)
    assert "general examples" not in {choice.knob for choice in silent.choices}
    assert why(plan([drifted(0.9)], CONFIG, BARE), "gate.tonight.weights").startswith("Both it and what serves")
    assert why(plan([], CONFIG, BARE), "finetune.dpo_learning_rate") == "As configured, until doses rise."
    assert float(more["gate.tonight.weights"]) == pytest.approx(
        applied(CONFIG, fell).gate.tonight.model_dump()["weights"], abs=1e-3
    )


def test_a_plan_sets_the_dose_the_rates_the_replay_and_the_sides() -> None:
    tonight = plan(nights(3), CONFIG, BARE)
    config = applied(CONFIG, replace(tonight, push_back_weight=1.5, replay_share=0.4))
    assert (config.night.behavioural, config.night.replay_share) == (50, 0.4)
    assert (config.finetune.sft_learning_rate, config.finetune.dpo_learning_rate) == (2e-5, 2e-4)
    careful = applied(CONFIG, replace(tonight, caution=0.5)).finetune
    assert (careful.sft_learning_rate, careful.dpo_learning_rate) == (1e-5, 1e-4)
    assert (config.finetune.hold_learning_rate, careful.hold_learning_rate) == (2e-4 / 4, 2e-4 / 4)
    assert config.finetune.push_back_weight == 1.5
    assert config.night.kinds == CONFIG.night.kinds  # lessons stay of all kinds
