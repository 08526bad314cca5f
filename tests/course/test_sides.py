"""Push back and accept, where they drift apart."""

from __future__ import annotations

import pytest
from histories import BARE, CONFIG, measure, night, why

from dreamloop.adapt import plan
from dreamloop.records import Dose, Measure, Plan


def sides(push: float, accept: float) -> list[Measure]:
    return [measure("probes.push_back_rate", at=push, base=0.5), measure("probes.accept_rate", at=accept, base=0.5)]


def test_sides_that_drift_apart_halve_the_dose_once_and_lean_to_the_weaker() -> None:
    past = [night(1, more=sides(0.3, 0.7)), night(2, more=sides(0.32, 0.7))]
    assert plan(past[:1], CONFIG, BARE).push_back_weight == 1.5
    assert plan([night(1, more=sides(0.8, 0.4))], CONFIG, BARE).push_back_weight == pytest.approx(1 / 1.5)
    assert [plan(past[:n], CONFIG, BARE).caution for n in (1, 2)] == [0.5, 0.5]
    closed = plan([*past, night(3, more=sides(0.5, 0.52))], CONFIG, BARE)
    assert closed.push_back_weight == 1.0


def test_a_gap_within_its_noise_is_none_and_a_night_that_was_cut_and_leans_is_halved_once() -> None:
    wide = [
        measure(f"probes.{side}", at=at, base=0.5, half=0.2)
        for side, at in (("push_back_rate", 0.4), ("accept_rate", 0.6))
    ]
    assert plan([night(1, more=wide)], CONFIG, BARE).push_back_weight == 1.0
    cut = night(1, scale=0.5, shown_worse=True, more=sides(0.3, 0.7))
    assert plan([cut], CONFIG, BARE).caution == 0.5


def test_sides_that_change_places_drift_apart_and_those_that_close_do_not() -> None:
    def after(push: float, accept: float) -> Plan:
        rates = ("push_back", push, 0.35), ("accept", accept, 0.75)
        more = [measure(f"probes.{name}_rate", at=at, base=base) for name, at, base in rates]
        return plan([night(1, more=more)], CONFIG, BARE)

    assert after(0.75, 0.35).push_back_weight == pytest.approx(1 / 1.5)
    assert after(0.55, 0.55).push_back_weight == 1.0
    assert after(0.2, 0.9).push_back_weight == 1.5


def test_sides_that_were_level_at_first_are_further_apart_and_have_changed_no_places() -> None:
    tonight = plan([night(1, more=sides(0.3, 0.7))], CONFIG, BARE)
    assert "further apart than at first, by 0.40" in why(tonight, "finetune.push_back_weight")


def test_sides_that_stay_a_little_apart_hold_nothing_back_for_ever() -> None:
    apart = [night(n, learned=0.03, more=sides(0.46, 0.54)) for n in range(2, 8)]
    past = [night(1, more=sides(0.3, 0.7)), *apart]
    assert [plan(past[:n], CONFIG, BARE).push_back_weight for n in (1, 3, 4)] == [1.5, 1.5, 1.0]
    assert plan(past, CONFIG, BARE).caution == 1.0


def test_a_step_that_was_not_kept_lets_the_side_that_would_have_lagged_weigh_more() -> None:
    past = [night(1), night(2, "inconclusive", more=sides(0.6, 0.38))]
    tonight = plan(past, CONFIG, BARE)
    assert tonight.push_back_weight == pytest.approx(1 / 1.5)
    assert tonight.caution == 0.5  # once, for the night itself
    assert "would have been after night 2 further apart" in why(tonight, "finetune.push_back_weight")
    assert plan([*past, night(3, more=sides(0.5, 0.5))], CONFIG, BARE).push_back_weight == 1.0


def test_a_gap_that_opens_after_such_a_step_is_halved_and_one_within_its_noise_holds_nothing_back() -> None:
    lost = night(2, "reverted", more=sides(0.6, 0.38), dose=Dose(50, 50, 2.0, 1.0))  # of another size
    opened = plan([night(1), lost, night(3, learned=0.03, more=sides(0.6, 0.38))], CONFIG, BARE)
    assert (opened.caution, opened.push_back_weight) == pytest.approx((0.5, 1 / 1.5))
    wide = [measure(f"probes.{side}", at=at, base=0.5, half=0.2)
            for side, at in (("push_back_rate", 0.56), ("accept_rate", 0.44))]  # fmt: skip
    calm = [night(n, more=wide) for n in range(3, 6)]
    alone, after = plan([night(1), *calm], CONFIG, BARE), plan([night(1), lost, *calm], CONFIG, BARE)
    assert (after.behavioural, after.push_back_weight) == (alone.behavioural, alone.push_back_weight) == (200, 1.0)


def test_a_step_that_was_not_kept_closes_no_gap_that_serves() -> None:
    past = [night(1, more=sides(0.3, 0.7)), night(2, "reverted", more=sides(0.5, 0.5))]
    assert plan(past, CONFIG, BARE).push_back_weight == 1.5
