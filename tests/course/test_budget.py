"""What may be lost since the base, and learning once more from there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from histories import BARE, CONFIG, drifted, measure, night, nights, shown, why

from dreamloop.adapt import applied, plan
from dreamloop.records import Change, Dose, Standing


def acts(outcome: str, rebased: str, count: int) -> list[str]:
    """What is planned where nights that have spent the budget, and rebases, end so."""
    past = [drifted(0.9)]
    found: list[str] = []
    for number in range(2, 2 + count):
        found.append(plan(past, CONFIG, BARE).act)
        again = found[-1] == "rebase"
        past.append(drifted(1.2 if outcome != "kept" else 0.9, number, rebased if again else outcome, rebased=again))
    return found


def test_a_budget_that_is_nearly_spent_begins_at_the_base_again_and_says_which() -> None:
    assert plan([drifted(0.7)], CONFIG, BARE).act == "train"
    tonight = plan([drifted(0.7), drifted(0.85, 2)], CONFIG, BARE)
    assert tonight.act == "rebase"
    assert "By night 2 perplexity.prose has used 85%" in tonight.reason
    margins = applied(CONFIG, tonight).gate.tonight.model_dump()
    assert margins["weights"] == 2 * CONFIG.gate.since_base.model_dump()["weights"]  # both ends may be as far


def test_a_step_that_only_a_bound_since_the_base_stopped_has_spent_the_budget() -> None:
    assert plan([drifted(1.2, outcome="reverted")], CONFIG, BARE).act == "rebase"
    fell = night(1, "reverted", more=[measure("perplexity.prose", -0.03, 0.001)])  # tonight already
    assert plan([fell], CONFIG, BARE).act == "train"
    wide = replace(measure("perplexity.prose", 0.0), since_base=Change(-0.012, -0.021, -0.003, 0.02))
    lost = plan([night(1, "inconclusive", more=[wide])], CONFIG, BARE)
    assert (lost.act, lost.caution) == ("rebase", 1.0)
    assert "60% by then, and up to 105% by its interval" in lost.reason
    other = replace(measure("probes.accept_rate", -0.03, 0.01, margin=0.02), since_base=Change(0, 0, 0, 0.02))
    assert plan([night(1, "inconclusive", more=[wide, other])], CONFIG, BARE).act == "train"  # not only that


def test_a_step_whose_larger_parts_were_too_large_for_tonight_is_halved_whatever_stopped_the_last() -> None:
    part = replace(drifted(1.2, outcome="inconclusive"), scale=0.25)
    assert plan([part], CONFIG, BARE).act == "rebase"
    tonight = plan([replace(part, too_large=True)], CONFIG, BARE)
    assert (tonight.act, tonight.caution) == ("train", 0.5)


def test_what_the_sides_or_an_ability_have_lost_since_the_base_is_not_drift() -> None:
    for name in ("probes.accept_rate", "capability.code"):
        lost = replace(measure(name), since_base=Change(-0.03, -0.05, -0.01, 0.04))
        tonight = plan([night(1, "inconclusive", more=[lost])], CONFIG, BARE)
        assert (tonight.act, tonight.caution) == ("train", 0.5)
        both = plan([night(1, "inconclusive", more=[lost, *drifted(1.2).measures])], CONFIG, BARE)
        assert (both.act, both.caution) == ("train", 0.5)
        assert plan([night(1, more=[lost])], CONFIG, BARE).act == "train"


@pytest.mark.parametrize("name", ["perplexity.chat", "geometry.collapse", "geometry.weights"])
def test_reading_collapse_and_the_weights_distance_are_drift(name: str) -> None:
    lost = replace(measure(name), since_base=Change(-0.034, -0.034, -0.034, 0.04))
    assert plan([night(1, more=[lost])], CONFIG, BARE).act == "rebase"


def test_where_the_smallest_steps_are_lost_to_a_rate_since_the_base_it_is_begun_there_before_a_person_is_asked() -> (
    None
):
    lost = replace(measure("probes.accept_rate"), since_base=Change(-0.03, -0.05, -0.01, 0.04))
    kept = [night(n, learned=0.03) for n in (1, 2, 3)]
    past = [*kept, *(night(n, "inconclusive", more=[lost]) for n in (4, 5, 6))]
    assert [plan(past[:n], CONFIG, BARE).act for n in (4, 5, 6)] == ["train", "train", "rebase"]
    assert "Night 6 was lost to what probes.accept_rate had used" in plan(past, CONFIG, BARE).reason
    again = replace(night(7), rebased=True)
    assert plan([*past, again], CONFIG, BARE).act == "train"
    stopped = plan([*past, replace(again, outcome="inconclusive")], CONFIG, BARE)
    assert stopped.act == "stop"
    assert "(4, 5, 6). The last went beyond the bounds of probes.accept_rate. " in stopped.reason
    fell = measure("probes.accept_rate", -0.05)
    assert plan([*kept, *(night(n, "reverted", more=[fell]) for n in (4, 5, 6))], CONFIG, BARE).act == "stop"


def test_where_the_base_serves_there_is_nothing_to_learn_again() -> None:
    assert plan([drifted(0.9)], CONFIG, Standing(serving=False)).act == "train"


@pytest.mark.parametrize("rebased", ["kept", "reverted", "failed", "interrupted", "nothing to learn"])
def test_a_rebase_is_not_repeated_before_other_nights_and_ever_fewer_times(rebased: str) -> None:
    assert acts("kept", rebased, 10) == ["rebase", *["train"] * 3, "rebase", *["train"] * 5]


def test_a_budget_that_no_rebase_frees_ends_in_a_question_that_names_it() -> None:
    assert acts("inconclusive", "reverted", 7) == ["rebase", *["train"] * 3, "rebase", "stop", "stop"]
    past = [drifted(0.9), drifted(0.9, 2, rebased=True), *(drifted(1.2, n, "inconclusive") for n in (3, 4, 5))]
    past += [replace(drifted(0.9, 6, "reverted"), rebased=True)]
    assert plan(past, CONFIG, BARE).act == "stop"
    past += [replace(drifted(1.2, 7, "inconclusive"), looked_at=True), *(drifted(1.2, n, "reverted") for n in (8, 9))]
    assert plan(past, CONFIG, BARE).act == "train"
    stopped = plan([*past, drifted(1.2, 10, "reverted")], CONFIG, BARE)
    assert stopped.act == "stop"
    assert "Night 10 was lost to what perplexity.prose had used" in stopped.reason


def test_a_rebase_that_is_not_kept_says_nothing_of_the_dose() -> None:
    past = [*nights(5), drifted(0.9, 6)]
    usual = plan([*nights(5), night(6, learned=0.03)], CONFIG, BARE)
    after = plan([*past, drifted(0.9, 7, "reverted", rebased=True)], CONFIG, BARE)
    assert (after.behavioural, after.rate, after.caution) == (usual.behavioural, usual.rate, usual.caution)


def test_a_rebase_learns_at_the_rates_that_its_nights_had() -> None:
    first = night(1, learned=0.03, dose=Dose(20, 20, 1.0, 1.0))
    half = replace(drifted(0.9, 2), scale=0.5, dose=Dose(200, 200, 4.0, 0.5))
    lost = night(3, "reverted", dose=Dose(200, 200, 8.0, 1.0))
    tonight = plan([first, lost, half], CONFIG, BARE)
    assert tonight.act == "rebase"
    # over 20 and 100 pairs: cautions (20 · 1 + 100 · 0.5) / 120, and rates with them (20 · 1 + 100 · 2) / 120
    assert (tonight.caution, tonight.rate * tonight.caution) == pytest.approx((70 / 120, 220 / 120), abs=1e-3)
    assert why(tonight, "night.behavioural") == "All that was kept, the latest first."


def test_a_rebase_asks_of_each_kind_the_distance_that_it_had_and_of_all_the_mean_pace() -> None:
    searched = night(1, learned=0.03, dose=Dose(100, 100, 2.0, 0.5))
    found = night(2, learned=0.03, scale=0.5, dose=Dose(200, 200, 4.0, 1.0, 0.5, ("notes",), 2.0))
    later = replace(drifted(0.9, 3), dose=Dose(100, 100, 2.0, 0.5))  # kinds that come next
    tonight = plan([searched, found, later], CONFIG, BARE)
    # over 100 pairs each: cautions 2 / 3, with rates (1 + 4 + 1) / 3, with paces (1 + 2 + 1) / 3
    assert (tonight.caution, tonight.rate, tonight.pace) == pytest.approx((2 / 3, 3.0, 2 / 3), abs=2e-3)
    assert (tonight.further, tonight.distance) == (("notes",), 2.0)
    knobs = applied(CONFIG, tonight).finetune
    assert knobs.beta_pattern == {"notes": 0.35}
    assert knobs.dpo_learning_rate == pytest.approx(4e-4 / 3, rel=1e-2)
    assert why(tonight, "finetune.beta") == "As far apart as any of those nights asked."


def test_a_rebase_that_was_not_kept_is_not_tried_again_as_it_was() -> None:
    past = [replace(drifted(0.9, 1), dose=Dose(200, 200, 4.0, 1.0))]
    first = plan(past, CONFIG, BARE)
    lost = drifted(0.9, 2, "reverted", rebased=True)
    past += [lost, *(replace(drifted(0.9, n), dose=Dose(20, 20, 1.0, 1.0)) for n in range(3, 12))]
    again = plan(past, CONFIG, BARE)
    assert (first.act, again.act) == ("rebase", "rebase")
    assert (first.caution, again.caution) == (1.0, 0.5)
    assert "tried and not kept: night 2." in why(again, "learning rates of what teaches")
    kept = [*past, drifted(0.9, 12, rebased=True), *(drifted(0.9, n) for n in range(13, 30))]
    assert plan(kept, CONFIG, BARE).caution == 1.0


def test_a_rebase_learns_nothing_again_of_what_is_given_up() -> None:
    chance = [night(n, learned=0.03, shown=shown(2, taught=100)) for n in range(1, 10)]
    tonight = plan([*chance, drifted(0.9, 10)], CONFIG, BARE)
    assert tonight.act == "rebase"
    assert "dates" not in tonight.kinds
    assert "notes" in tonight.kinds
    assert why(tonight, "kinds") == "What was learned of these is learned again."


def test_a_night_that_somebody_took_back_is_as_if_it_had_not_been() -> None:
    kept = [night(n, learned=0.03, shown=shown(4)) for n in range(1, 6)]
    assert "dates" not in plan(kept, CONFIG, BARE).kinds
    back = [replace(one, outcome="taken back") for one in [*kept, drifted(0.9, 6)]]
    assert plan(back, CONFIG, BARE) == plan([], CONFIG, BARE)


def test_what_a_rebase_learned_once_more_is_counted_once() -> None:
    lost = [night(n, learned=0.03, shown=shown(2, taught=20)) for n in range(1, 10)]
    again = replace(night(10, learned=0.03, shown=shown(2, taught=180)), rebased=True)
    assert "dates" in plan([*lost, again], CONFIG, BARE).kinds
