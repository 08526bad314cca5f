"""How large the next step is."""

from __future__ import annotations

from dataclasses import replace

from histories import BARE, CONFIG, KINDS, asked, measure, night, nights, shown, why

from dreamloop.adapt import plan
from dreamloop.config import Adapt, Config, Night
from dreamloop.course.size import too_little
from dreamloop.records import Change, Dose, PastNight, Standing


def test_the_dose_rises_only_after_three_nights_or_two_with_fifteen_steps_of_mere_noise() -> None:
    assert [plan(nights(n), CONFIG, BARE).behavioural for n in range(6)] == [20, 20, 50, 50, 200, 200]
    assert [plan(nights(n, steps=4), CONFIG, BARE).behavioural for n in range(7)] == [20, 20, 20, 50, 50, 50, 200]
    assert "too little" in why(plan(nights(3), CONFIG, BARE), "night.behavioural")


def test_a_dose_that_works_stays() -> None:
    assert plan(nights(12, learned=0.03), CONFIG, BARE).behavioural == 20


def test_the_rate_doubles_with_every_rise_up_to_ten_times() -> None:
    assert [plan(nights(2 * n), CONFIG, BARE).rate for n in range(7)] == [1, 2, 4, 8, 10, 10, 10]
    assert "largest dose" in why(plan(nights(21), CONFIG, BARE), "night.behavioural")


def test_the_rate_may_rise_by_less() -> None:
    config = Config(adapt=Adapt(rate_growth=1.5))
    found = [plan(nights(2 * n), config, BARE) for n in range(5)]
    assert [(p.behavioural, p.rate) for p in found] == [(20, 1), (50, 1.5), (200, 2.25), (200, 3.375), (200, 5.0625)]


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
    assert "Night 1" in why(after, "learning rates of what teaches")
    assert plan([night(1, "inconclusive"), night(2, "reverted")], CONFIG, BARE).caution == 0.25


def test_a_rise_that_is_not_kept_is_halved_and_then_goes_back_to_the_level_that_was() -> None:
    halved = plan([*nights(2), night(3, "reverted")], CONFIG, BARE)
    assert (halved.behavioural, halved.rate, halved.caution) == (50, 2.0, 0.5)
    after = plan([*nights(2), night(3, "reverted"), night(4, "inconclusive")], CONFIG, BARE)
    assert (after.behavioural, after.rate, after.caution) == (20, 1.0, 1.0)
    assert "Night 4" in why(after, "night.behavioural")


def test_a_level_that_was_kept_before_is_only_halved_when_it_is_not() -> None:
    after = plan([*nights(3), night(4, "reverted")], CONFIG, BARE)
    assert (after.behavioural, after.rate, after.caution) == (50, 2.0, 0.5)


def test_where_steps_are_as_short_as_may_be_the_level_falls_and_the_step_is_half_as_large_at_most() -> None:
    past = [*nights(5), *(night(n, scale=0.5, shown_worse=True) for n in range(6, 12))]
    found = [plan(past[:n], CONFIG, BARE) for n in range(5, 12)]
    assert [(p.behavioural, p.rate, p.caution) for p in found] == [
        (200, 4, 1), (200, 4, 0.5), (200, 4, 0.25), (50, 2, 1), (50, 2, 0.5), (50, 2, 0.25), (20, 1, 0.5),
    ]  # fmt: skip


def test_what_is_surely_told_apart_worse_is_no_reason_for_more() -> None:
    harmed = [night(n, learned=-0.012) for n in (1, 2)]  # half-width 0.005, so -0.024 ± 0.007
    after = plan(harmed, CONFIG, BARE)
    assert (after.behavioural, after.caution) == (20, 0.5)
    assert "the wrong way" in why(after, "learning rates of what teaches")


def test_nights_of_another_size_do_not_say_that_this_one_is_too_small() -> None:
    always = [night(n, dose=Dose(20, 20, 1.0, 1.0)) for n in range(1, 13)]  # as with adapt.enabled = false
    assert plan(always, CONFIG, BARE).behavioural == 50
    short = [*nights(2), *(night(n, dose=Dose(12, 50, 2.0, 1.0)) for n in range(3, 9))]  # dreams could not fill it
    assert plan(short, CONFIG, BARE).behavioural == 50
    assert plan([*nights(2), *(night(n, dose=Dose(50, 50, 2.0, 1.0)) for n in (3, 4))], CONFIG, BARE).behavioural == 200


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
    broken = PastNight(1, "reverted", 2, 1.0, (), (), dose=Dose(20, 20, 1.0, 1.0))
    assert plan([broken], CONFIG, BARE).caution == 0.5
    assert plan([replace(broken, number=n) for n in (1, 2, 3)], CONFIG, BARE).act == "stop"


def test_nights_without_a_judgement_change_nothing() -> None:
    failed = PastNight(1, "failed", 0, 1.0, (), ())
    assert plan([failed] * 9, CONFIG, BARE) == plan([], CONFIG, BARE)


def test_a_step_that_the_gate_had_to_shrink_halves_the_next_step() -> None:
    assert plan([night(1, scale=0.5, shown_worse=True)], CONFIG, BARE).caution == 0.5


def test_a_step_kept_in_part_because_the_whole_left_a_question_open_changes_nothing() -> None:
    assert plan([night(1, scale=0.5)], CONFIG, BARE).caution == 1.0


def test_a_dose_of_which_the_gate_takes_a_small_part_does_not_rise() -> None:
    quarters = [night(n, learned=0.001, scale=0.25) for n in range(1, 9)]
    assert plan(quarters, CONFIG, BARE).behavioural == 20
    assert plan([replace(one, scale=1.0) for one in quarters[:2]], CONFIG, BARE).behavioural == 50
    assert plan([replace(one, scale=0.5) for one in quarters[:2]], CONFIG, BARE).behavioural == 50


def test_nights_kept_in_small_parts_that_change_nothing_leave_their_kinds_for_others() -> None:
    found = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    two = [*shown(12, 16, 9, "notes"), *shown(12, 16, 9, "lists")]
    flat = [night(n, shown=two, scale=0.25) for n in range(1, 4)]
    assert set(plan(flat[:1], CONFIG, found).kinds) == {"notes", "lists"}
    assert set(plan(flat, CONFIG, found).kinds).isdisjoint({"notes", "lists"})


def test_what_was_begun_is_brought_to_its_end_before_the_next_steps_and_at_the_dose_that_taught_it() -> None:
    found = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    risen = nights(4)
    one = [*shown(32, 32, 50, "notes"), *shown(26, 32, 50, "lists")]
    both = [*shown(32, 32, 50, "notes"), *shown(32, 32, 50, "lists")]
    half_way = plan([*risen, night(5, learned=0.3, shown=one)], CONFIG, found)
    assert set(half_way.kinds) == {"lists", "quotes"}
    ended = plan([*risen, night(5, learned=0.3, shown=both)], CONFIG, found)
    assert set(ended.kinds).isdisjoint({"notes", "lists"})
    assert (half_way.behavioural, ended.behavioural) == (200, 200)


def test_a_kind_that_practised_once_is_not_set_aside_with_those_of_all_nights() -> None:
    found = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    two = [*shown(14, 16, 9, "notes"), *shown(14, 16, 9, "lists")]
    flat = [night(n, shown=[*two, *shown(2, 4, 2, "code")] if n == 10 else two) for n in range(1, 11)]
    why_kinds = why(plan(flat, CONFIG, found), "kinds")
    assert "lists: no dose that is kept taught more of it" in why_kinds
    assert "code: no dose" not in why_kinds


def test_what_rests_until_larger_steps_are_kept_again_is_trained_when_nothing_else_is_left() -> None:
    found = Standing(tuple(asked(kind, 10, 10) for kind in KINDS))
    one = Config(night=Night(kinds=("notes",)))
    lost = [
        night(n, "inconclusive" if n in (2, 4, 6) else "kept", shown=shown(14, 16, 9, "notes")) for n in range(1, 30)
    ]
    assert all(plan(lost[:n], one, found).kinds == ("notes",) for n in range(20))
    two = Config(night=Night(kinds=("notes", "lists")), adapt=Adapt(kinds_at_once=1))
    kinds = [plan(lost[:n], two, found).kinds for n in range(20)]
    assert kinds[0] == ("notes",)
    assert ("lists",) in kinds


def test_rates_that_were_halved_early_come_back_whatever_kinds_are_taught_meanwhile() -> None:
    found = Standing(tuple(asked(kind, 10, 10) for kind in KINDS))
    past: list[PastNight] = []
    for n in range(1, 31):
        taught = [one for kind in plan(past, CONFIG, found).kinds for one in shown(14, 16, 9, kind)]
        past.append(night(n, "inconclusive" if n in (2, 4, 6) else "kept", shown=taught))
    cautions = [plan(past[:n], CONFIG, found).caution for n in range(31)]
    assert (cautions[4], min(cautions), cautions[18]) == (0.25, 0.25, 0.5)  # twelve calm nights after three setbacks
    kinds = [plan(past[:n], CONFIG, found).kinds for n in (6, 18)]
    assert set(kinds[0]).isdisjoint(kinds[1])


def test_a_night_whose_logs_were_poor_makes_the_next_step_smaller_as_any_other_that_is_not_kept() -> None:
    poor = Dose(6, 20, 1.0, 1.0)
    past = [night(1, dose=poor), night(2, "reverted", dose=poor)]
    assert plan(past, CONFIG, Standing(waiting=6)).caution == 0.5
    assert plan([night(n, dose=poor) for n in range(1, 9)], CONFIG, Standing(waiting=6)).behavioural == 20


def test_a_night_of_another_size_that_is_not_kept_makes_no_step_smaller() -> None:
    other = night(2, "reverted", dose=Dose(50, 50, 2.0, 1.0))  # of a plan that somebody changed
    tonight = plan([night(1, dose=Dose(20, 20, 1.0, 1.0)), other], CONFIG, BARE)
    assert (tonight.behavioural, tonight.caution) == (20, 1.0)


def test_a_setback_is_forgotten_after_many_calm_nights() -> None:
    def cautions(calm: int) -> list[float]:
        past = [night(n, "inconclusive" if n in (1, 2 + calm) else "kept", learned=0.03) for n in range(1, calm + 12)]
        return [plan(past[:n], CONFIG, BARE).caution for n in range(2 + calm, calm + 10)]

    assert cautions(6) == [0.5] * 6 + [1.0] * 2  # the second setback asks for twice as many
    assert cautions(40) == [0.5] * 3 + [1.0] * 5


def test_kinds_after_those_that_were_given_up_begin_small() -> None:
    found = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    chance = [*shown(8, 16, 50, "notes"), *shown(8, 16, 50, "lists")]
    past = [night(n, shown=chance) for n in range(1, 7)]
    risen, after = plan(past[:3], CONFIG, found), plan(past, CONFIG, found)
    assert risen.behavioural == 50
    assert set(after.kinds).isdisjoint({"notes", "lists"})
    assert (after.behavioural, after.rate) == (20, 1.0)
    assert why(after, "night.behavioural").startswith("Small doses first: other kinds than ")


def test_mined_pairs_alone_do_not_make_the_dose_rise() -> None:
    mined = [night(n, shown=shown(2, taught=0)) for n in range(1, 12)]
    assert plan(mined, CONFIG, Standing(waiting=50)).behavioural == 20


def test_a_level_that_was_kept_in_the_end_slows_no_later_one() -> None:
    past = [*nights(2), night(3, "inconclusive"), *(night(n) for n in range(4, 60))]
    levels = [plan(past[:n], CONFIG, BARE).rate for n in range(60)]
    assert [levels.index(rate) for rate in (2, 4, 8)] == [2, 8, 10]  # three calm nights at half, then two whole ones


def test_kinds_that_no_dose_moves_are_left_as_they_are_and_the_next_begin_small() -> None:
    found = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    flat = [night(n, shown=[*shown(14, 16, 9, "notes"), *shown(14, 16, 9, "lists")]) for n in range(1, 11)]
    assert plan(flat[:9], CONFIG, found).rate == 10
    after = plan(flat, CONFIG, found)
    assert (after.behavioural, after.rate) == (20, 1.0)
    assert {"notes", "lists"}.isdisjoint(after.kinds)
    assert "no dose that is kept taught more of it" in why(after, "kinds")


def test_a_gap_that_stays_open_makes_the_dose_rise_later_and_not_never() -> None:
    apart = [measure("probes.push_back_rate", at=0.42, base=0.5), measure("probes.accept_rate", at=0.55, base=0.5)]
    doses = [plan([night(n, more=apart) for n in range(1, count)], CONFIG, BARE).behavioural for count in range(1, 20)]
    assert doses.index(50) == 14  # halved by the gap, whole again after three nights, and then ten instead of two


def test_a_level_that_fell_was_kept_before_and_none_lies_below_the_first() -> None:
    config = Config(adapt=Adapt(larger=(40, 200)))
    shrunk = [night(n, scale=0.5, shown_worse=True, dose=Dose(12, 40, 2.0, 1.0)) for n in range(3, 6)]
    lost = night(6, "reverted", dose=Dose(20, 20, 1.0, 0.5))
    after = plan([*nights(2), *shrunk, lost], config, BARE)
    assert (after.behavioural, after.rate) == (20, 1.0)
    assert after.caution < 0.5


def test_what_begins_small_after_halved_steps_is_no_larger_than_they_were() -> None:
    found = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    large = Config(night=Night(behavioural=200))
    chance = [*shown(8, 16, 50, "notes"), *shown(8, 16, 50, "lists")]
    past = [night(n, "reverted" if n in (4, 5) else "kept", shown=chance) for n in range(1, 7)]
    halved, after = plan(past[:5], large, found), plan(past, large, found)
    assert (halved.behavioural, halved.rate, halved.caution) == (200, 2.0, 0.25)
    assert {*after.kinds}.isdisjoint(halved.kinds)
    assert (after.behavioural, after.rate, after.caution) == (200, 1.0, 0.5)
    assert why(after, "learning rates of what teaches") == "What begins is no larger a step than what was."


def test_kinds_that_no_dose_moves_while_the_sides_are_apart_are_left_for_good() -> None:
    apart = [measure("probes.push_back_rate", at=0.42, base=0.5), measure("probes.accept_rate", at=0.55, base=0.5)]
    one = Config(night=Night(kinds=("notes",)))
    found = Standing((asked("notes", 19, 10),))
    flat = [night(n, more=apart, shown=shown(14, 16, 1, "notes")) for n in range(1, 120)]
    acts = [plan(flat[:n], one, found).act for n in range(0, 120, 10)]
    assert acts.index("skip") < 9


def test_a_dose_that_is_large_already_never_rises_to_less() -> None:
    config = Config(night=Night(behavioural=100))
    assert [plan(nights(3 * n), config, BARE).behavioural for n in range(3)] == [100, 200, 200]
