"""What fell is replayed and practised."""

from __future__ import annotations

from dataclasses import replace

import pytest
from histories import BARE, CONFIG, KINDS, asked, measure, night, shown, why

from dreamloop.adapt import applied, plan
from dreamloop.config import Adapt, Config, Dream, Night
from dreamloop.records import PastNight, Standing


@pytest.mark.parametrize("name", ["capability.code", "perplexity.chat"])
def test_a_fall_brings_more_replay_which_goes_back_after_calm_nights(name: str) -> None:
    fell = night(1, more=[measure(name, -0.016, 0.004)])
    assert plan([fell], CONFIG, BARE).replay_share == 0.4
    assert name in why(plan([fell], CONFIG, BARE), "night.replay_share")
    past = [fell, *(night(n, learned=0.03) for n in range(2, 9))]
    shares = [plan(past[:n], CONFIG, BARE).replay_share for n in range(1, 9)]
    assert shares == [0.4, 0.4, 0.4, 0.35, 0.3, 0.25, 0.25, 0.25]


def test_what_fell_first_is_practised_on_when_something_else_falls_and_a_night_left_open_keeps_the_calm() -> None:
    code, chat = (measure(name, -0.016, 0.004) for name in ("capability.code", "perplexity.chat"))
    both = plan([night(1, more=[code]), night(2, more=[chat])], CONFIG, BARE)
    assert both.practised == ("code",)
    calm = [night(1, more=[code]), *(night(n, learned=0.03) for n in (2, 3)), night(4, "inconclusive")]
    assert plan([*calm, night(5, learned=0.03)], CONFIG, BARE).replay_share == 0.35
    assert plan([], CONFIG, BARE).practised == ()


def test_only_nights_that_were_kept_bring_replay_back() -> None:
    fell = night(1, more=[measure("capability.code", -0.016, 0.004)])
    calm = [fell, *(night(n, learned=0.03) for n in (2, 3, 4))]
    broken = PastNight(5, "reverted", 2, 1.0, (), ())
    failed = PastNight(5, "failed", 0, 1.0, (), (), rebased=True)
    for last in (broken, failed, night(5, "inconclusive")):
        assert plan([*calm, last], CONFIG, BARE).replay_share == 0.35


def test_a_candidate_that_does_not_serve_lies_nowhere_and_one_from_the_base_fell_from_nothing() -> None:
    low, fell = measure("capability.code", 0.0, 0.004, since=-0.025), measure("capability.code", -0.016, 0.004)
    assert plan([night(1, more=[low])], CONFIG, BARE).replay_share == 0.4
    assert plan([night(1, "inconclusive", more=[low])], CONFIG, BARE).replay_share == 0.25
    assert plan([night(1, "inconclusive", more=[fell])], CONFIG, BARE).replay_share == 0.4  # what such steps cost
    again = replace(night(1, "inconclusive", more=[fell, low]), rebased=True)
    assert plan([again], CONFIG, BARE).replay_share == 0.25
    assert plan([replace(again, outcome="kept")], CONFIG, BARE).replay_share == 0.4


def test_what_lies_far_below_the_base_is_told_apart_from_what_fell_tonight() -> None:
    low = measure("perplexity.prose", 0.0, 0.004, since=-0.025)
    tonight = plan([night(7, more=[low])], CONFIG, BARE)
    assert tonight.replay_share == 0.4
    assert why(tonight, "night.replay_share") == "perplexity.prose lay below the base after night 7."


def test_an_ability_that_fell_is_practised_beside_the_others_until_all_is_calm() -> None:
    found = Standing(tuple(asked(kind, 19 if kind in {"notes", "lists", "dates"} else 10, 10) for kind in KINDS))
    fell = night(1, more=[measure("capability.code", -0.016, 0.004)])
    past = [fell, *(night(n, learned=0.03) for n in range(2, 9))]
    practising = [set(plan(past[:n], CONFIG, found).kinds) - {"notes", "lists", "dates"} for n in range(9)]
    assert practising == [set(), *[{"code"}] * 5, *[set()] * 3]
    assert "code: trained beside them, because that ability fell." in why(plan(past[:1], CONFIG, found), "kinds")


def test_what_only_practises_an_ability_is_not_waited_for() -> None:
    some = Config(night=Night(kinds=("notes", "lists", "code")), adapt=Adapt(kinds_at_once=1))
    standing = Standing((asked("notes", 19, 10), asked("lists", 15, 10), asked("code", 10, 10)))
    near = [*shown(8, 16, kind="notes"), *shown(8, 16, kind="code")]
    far = [one for kind in ("notes", "lists") for one in shown(16, 16, 3, kind, 2, gained=0.5, spread=0.2)]
    fell = [measure("capability.code", -0.016, 0.004)]
    before = plan([night(1, shown=near, more=fell)], some, standing)
    assert (before.kinds, before.bare, before.pace) == (("notes", "code"), ("notes", "code"), 1.0)
    tonight = plan([night(1, shown=[*far, near[1]], more=fell)], some, standing)
    assert (tonight.kinds, tonight.practised) == (("notes", "lists", "code"), ("code",))
    assert (tonight.further, tonight.pace, tonight.bare) == (("notes", "lists"), 0.5, ())
    assert tonight.technical_share == 0.15  # 0.4 - 0.25
    assert applied(some, tonight).dream.technical_share == some.dream.technical_share  # of dreams that teach nothing
    assert "practises" in why(tonight, "dream.technical_share")


def test_technical_kinds_that_are_taught_themselves_and_low_shares_stay_as_configured() -> None:
    fell = [night(1, more=[measure("capability.code", -0.016, 0.004)])]
    standing = Standing((asked("sums", 19, 10), asked("notes", 19, 10), asked("code", 10, 10)))
    both = Config(night=Night(kinds=("sums", "notes", "code")), adapt=Adapt(kinds_at_once=2))
    tonight = plan(fell, both, standing)
    assert (tonight.kinds, tonight.technical_share) == (("sums", "notes", "code"), 0.4)
    one = Config(night=Night(kinds=("notes", "code")), adapt=Adapt(kinds_at_once=1))
    assert plan(fell, one, standing).technical_share == 0.15
    for given in (one.model_copy(update={"dream": Dream(technical_share=0.1)}),
                  one.model_copy(update={"night": one.night.model_copy(update={"replay_share": 0.4})})):  # fmt: skip
        assert plan(fell, given, standing).technical_share == given.dream.technical_share


def test_a_fall_that_may_be_noise_or_is_tiny_brings_none() -> None:
    noise, tiny = measure("capability.code", -0.016, 0.02), measure("capability.code", -0.004, 0.001)
    assert plan([night(1, more=[noise])], CONFIG, BARE).replay_share == 0.25
    assert plan([night(1, more=[tiny])], CONFIG, BARE).replay_share == 0.25
