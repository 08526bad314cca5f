"""Which kinds are worth a night."""

from __future__ import annotations

import pytest
from histories import BARE, CONFIG, KINDS, asked, measure, night, shown, why

from dreamloop.adapt import plan
from dreamloop.config import Adapt, Config, Night
from dreamloop.course.kinds import wilson
from dreamloop.records import Dose, KindShown, Standing


def test_a_kind_whose_twins_draw_the_right_replies_is_trained_no_further() -> None:
    good = [night(n, learned=0.03, shown=shown(4)) for n in range(1, 6)]  # 20 of 20: at least 0.88
    assert "dates" in plan(good[:4], CONFIG, BARE).kinds
    assert "dates" not in plan(good, CONFIG, BARE).kinds
    assert "dates: decided well" in why(plan(good, CONFIG, BARE), "kinds")


def test_a_kind_that_is_told_apart_while_one_reply_is_likelier_on_both_sides_is_trained_on() -> None:
    leaning = [night(n, learned=0.03, shown=shown(10, 10, decided=7)) for n in range(1, 6)]  # 14 of 20: at least 0.52
    assert all("dates" in plan(leaning[:n], CONFIG, BARE).kinds for n in range(6))
    surely = [night(n, learned=0.03, shown=shown(10, 10, decided=9)) for n in range(1, 6)]  # 18 of 20: at least 0.75
    assert "dates" not in plan(surely, CONFIG, BARE).kinds


def test_a_kind_that_stays_at_chance_is_given_up_after_enough_twins_of_it() -> None:
    lost = [night(n, learned=0.03, shown=shown(2, taught=20)) for n in range(1, 11)]  # 20 of 40: at most 0.63
    assert "dates" in plan(lost[:9], CONFIG, BARE).kinds
    assert "dates" not in plan(lost, CONFIG, BARE).kinds
    untrained = [night(n, learned=0.03, shown=shown(2, taught=0)) for n in range(1, 11)]
    assert "dates" in plan(untrained, CONFIG, BARE).kinds


def test_a_kind_that_was_good_or_given_up_does_not_come_back_by_the_passing_of_nights() -> None:
    one = [*shown(1, twins=1, taught=0), *shown(0, twins=1, taught=0, kind="sums")]
    good = [*shown(4), *shown(2, taught=20, kind="sums")]
    past = [night(n, learned=0.03, shown=good if n <= 10 else one) for n in range(1, 60)]
    assert all({"dates", "sums"}.isdisjoint(plan(past[:n], CONFIG, BARE).kinds) for n in range(10, 60))


def test_a_good_kind_that_fresh_twins_show_to_be_lost_again_is_trained_again() -> None:
    past = [night(n, learned=0.03, shown=shown(4 if n <= 5 else 2, taught=0)) for n in range(1, 11)]
    assert "dates" not in plan(past[:5], CONFIG, BARE).kinds
    assert "dates" in plan(past, CONFIG, BARE).kinds


def test_a_kind_is_not_given_up_for_what_was_never_kept() -> None:
    kept = [night(n, learned=0.03, shown=shown(2, twins=8, taught=5)) for n in range(1, 4)]
    lost = [night(n, "inconclusive", shown=shown(2, taught=60)) for n in (4, 6)]
    assert "dates" in plan([*kept, lost[0], night(5, learned=0.03), lost[1]], CONFIG, BARE).kinds
    half = [night(n, learned=0.03, scale=0.5, shown=shown(4, twins=8, taught=60)) for n in range(1, 8)]
    assert [n for n in range(8) if "dates" not in plan(half[:n], CONFIG, BARE).kinds] == [7]  # 7 · 30 twins


def test_a_good_kind_that_misses_now_and_then_stays_good() -> None:
    often = [night(n, learned=0.03, shown=shown(9 if n % 3 == 0 and n > 3 else 10, 10)) for n in range(1, 40)]
    assert all("dates" not in plan(often[:n], CONFIG, BARE).kinds for n in range(3, 40))


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
    chance = [KindShown(kind, 8, 4, 4, 2, 5) for kind in ("notes", "lists", "units")]
    slow = [night(n, shown=chance) for n in range(1, 8)]
    assert all(set(plan(slow[:n], three, Standing(found)).kinds) == {"notes", "lists", "units"} for n in range(8))


def far(*kinds: str) -> list[KindShown]:
    """Fresh twins that are found and not decided well: half a nat further apart than by the base."""
    return [one for kind in kinds for one in shown(16, 16, decided=4, kind=kind, gained=0.5, spread=0.2)]


def test_the_next_step_from_what_is_good_comes_first() -> None:
    surveyed = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    good = [night(n, learned=0.03, shown=shown(10, 10, kind="lists")) for n in range(1, 4)]
    assert set(plan(good[:1], CONFIG, surveyed).kinds) == {"notes", "lists"}
    tonight = plan(good, CONFIG, surveyed)
    assert set(tonight.kinds) == {"entries", "notes"}
    assert "entries: next, because its easier form is found." in why(tonight, "kinds")


def test_where_all_is_found_that_is_taught_as_many_more_are_searched_for_beside_it() -> None:
    surveyed = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    searched = shown(8, 16, kind="lists")
    one, both = night(1, shown=[*far("notes"), *searched]), night(1, shown=far("notes", "lists"))
    assert set(plan([one], CONFIG, surveyed).kinds) == {"notes", "lists"}
    four = plan([both], CONFIG, surveyed)
    assert set(four.kinds) >= {"notes", "lists", "entries"}
    assert len(four.kinds) == 4
    assert (set(four.kinds) - {*four.bare}, four.further) == ({"notes", "lists"}, ())
    assert four.pace == 1.0
    held_back = plan([both, night(2, "inconclusive")], CONFIG, surveyed)
    assert set(held_back.kinds) == {"notes", "lists"}  # the next step is smaller, and spread over no more
    every = plan([night(1, shown=far(*four.kinds))], CONFIG, surveyed)
    assert set(every.kinds) == set(four.kinds)  # they are brought to their end before others come
    assert (every.further, every.pace) == (every.kinds, 0.5)


def test_what_was_begun_is_not_left_for_what_is_found_without_being_taught() -> None:
    surveyed = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    untaught = shown(16, 16, taught=0, kind="quotes", decided=4, gained=0.5, spread=0.2)
    past = [night(1, shown=[*far("notes"), *shown(8, 16, kind="lists"), *untaught])]
    assert set(plan(past, CONFIG, surveyed).kinds) == {"notes", "lists"}
    begun = [*far("notes", "lists"), *shown(8, 16, kind="dates"), *shown(8, 16, kind="units"), *untaught]
    for promising in ("notes", "units"):  # whatever the base tells apart best
        surveyed = Standing(tuple(asked(kind, 20 if kind == promising else 10, 10) for kind in KINDS))
        assert set(plan([night(1, shown=begun)], CONFIG, surveyed).kinds) == {"notes", "lists", "dates", "units"}


def test_none_of_the_kinds_that_were_begun_is_dropped_when_another_becomes_good() -> None:
    surveyed = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    both = night(1, shown=far("notes", "lists"))
    assert set(plan([both], CONFIG, surveyed).kinds) == {"notes", "lists", "quotes", "entries"}
    searched = [*shown(8, 16, 9, "quotes"), *shown(8, 16, 9, "entries")]
    good = night(2, shown=[*shown(32, 32, 9, "notes"), *far("lists"), *searched])
    assert set(plan([both, good], CONFIG, surveyed).kinds) == {"lists", "quotes", "entries"}
    every = night(1, shown=[one for kind in KINDS for one in shown(9, 16, 1, kind)])
    assert set(plan([every], CONFIG, surveyed).kinds) == {"notes", "lists"}  # nothing is found of what was begun
    wide = night(1, shown=[*every.shown[2:], *far("notes"), *shown(8, 16, 9, "lists")])
    assert len(plan([wide], CONFIG, surveyed).kinds) == 4


def test_a_technical_kind_that_was_begun_stays_so_when_its_ability_falls() -> None:
    surveyed = Standing(tuple(asked(kind, {"notes": 19, "sums": 17}.get(kind, 10), 10) for kind in KINDS))
    near = [*shown(8, 16, 9, "notes"), *shown(10, 16, 9, "sums")]
    fell = night(2, shown=near, more=[measure("capability.arithmetic", -0.016, 0.004)])
    past = [night(1, shown=near), fell, night(3, shown=near)]
    past += [night(n, learned=0.03, shown=[*far("notes"), *shown(10, 16, 9, "sums")]) for n in range(4, 11)]
    assert all(set(plan(past[:n], CONFIG, surveyed).kinds) == {"notes", "sums"} for n in range(11))


def test_nothing_waits_for_what_nothing_can_prove() -> None:
    config = Config(night=Night(kinds=(*KINDS, "opinions")))
    surveyed = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    first = plan([], config, surveyed)
    assert set(first.kinds) == set(first.bare) == {"notes", "lists", "opinions"}
    assert "opinions: as configured, neither found nor given up, because nothing proves it." in why(first, "kinds")
    searched = plan([night(1, shown=[*far("notes"), *shown(8, 16, 9, "lists")])], config, surveyed)
    assert searched.bare == ("lists",)
    found_both = plan(
        [night(1, shown=[*far("notes", "lists"), KindShown("opinions", 0, 0, 0, 0, 9)])], config, surveyed
    )
    assert set(found_both.kinds) == {"notes", "lists", "quotes", "entries", "opinions"}
    alone = Config(night=Night(kinds=("notes", "opinions")))
    further = plan([night(1, shown=far("notes"))], alone, surveyed)
    assert (further.kinds, further.further, further.pace) == (("notes", "opinions"), ("notes",), 0.5)
    only = [night(n, shown=[KindShown("opinions", 0, 0, 0, 0, 9)]) for n in range(1, 8)]
    assert {plan(only[:n], alone, surveyed).behavioural for n in range(8)} == {20}  # nothing shows what it teaches


def test_kinds_after_those_that_were_given_up_begin_small_whatever_comes_beside_them() -> None:
    config = Config(night=Night(kinds=(*KINDS, "opinions")))
    surveyed = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    chance = [*shown(8, 16, 50, "notes"), *shown(8, 16, 50, "lists"), KindShown("opinions", 0, 0, 0, 0, 9)]
    past = [night(n, shown=chance) for n in range(1, 7)]
    assert plan(past[:3], config, surveyed).behavioural == 50
    after = plan(past, config, surveyed)
    assert {"notes", "lists"}.isdisjoint(after.kinds)
    assert (after.behavioural, after.rate) == (20, 1.0)


def test_kinds_that_rest_come_back_when_only_what_nothing_can_prove_is_left() -> None:
    surveyed = Standing(tuple(asked(kind, 10, 10) for kind in KINDS))
    two = Config(night=Night(kinds=("notes", "opinions")))
    opinions = KindShown("opinions", 0, 0, 0, 0, 9)
    past = [night(n, "inconclusive" if n in (2, 4, 6) else "kept", shown=[*shown(14, 16, 9, "notes"), opinions])
            for n in range(1, 30)]  # fmt: skip
    assert all(plan(past[:n], two, surveyed).kinds == ("notes", "opinions") for n in range(20))


def test_kinds_that_practise_what_fell_and_are_all_that_is_taught_begin_as_others_do() -> None:
    two = Config(night=Night(kinds=("notes", "sums", "dates")))
    surveyed = Standing(tuple(asked(kind, 19 if kind == "notes" else 10, 10) for kind in two.night.kinds))
    chance = [night(n, shown=shown(8, 16, 100, "notes")) for n in range(1, 4)]  # the dose has risen in vain
    fell = night(4, shown=shown(8, 16, 100, "notes"), more=[measure("capability.arithmetic", -0.016, 0.004)])
    past = [*chance, fell, *(night(n, "reverted", shown=[*shown(8, 16, 9, "sums"), *shown(8, 16, 9, "dates")],
                                   dose=Dose(20, 20, 1.0, 1.0)) for n in (5, 6))]  # fmt: skip
    plans = [plan(past[:n], two, surveyed) for n in (4, 5, 6)]
    assert [tonight.kinds for tonight in plans] == [("sums", "dates")] * 3
    assert [(tonight.behavioural, tonight.caution) for tonight in plans] == [(20, 1.0), (20, 0.5), (20, 0.5)]


def test_a_configuration_without_kinds_says_so() -> None:
    none = Config(night=Night(kinds=()))
    assert plan([], none, BARE).reason == "Nothing to gain: night.kinds names none."


def test_what_only_practised_an_ability_was_not_begun() -> None:
    surveyed = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists"} else 10, 10) for kind in KINDS))
    fell = night(1, shown=shown(8, 16, kind="notes"), more=[measure("capability.code", -0.016, 0.004)])
    practised = night(2, shown=[*far("notes", "lists"), *shown(8, 16, kind="code")])
    tonight = plan([fell, practised], CONFIG, surveyed)
    assert {"notes", "lists", "quotes", "entries"} < set(tonight.kinds)
    assert "code: trained beside them, because that ability fell." in why(tonight, "kinds")


def test_a_plan_from_before_the_base_was_asked_says_that_it_will_be() -> None:
    assert "asked first" in why(plan([], CONFIG, BARE), "kinds")
    never = CONFIG.model_copy(update={"adapt": Adapt(survey_twins=0)})
    assert why(plan([], never, BARE), "kinds") == "As configured."


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


def test_wilson_by_hand() -> None:
    # 8 of 10 at z = 1.645: z²/n = 0.2706, centre (0.8 + 0.1353) / 1.2706 = 0.7361,
    # half 1.645 / 1.2706 * √(0.016 + 0.006765) = 0.1953
    assert wilson(8, 10) == pytest.approx((0.5408, 0.9315), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)
