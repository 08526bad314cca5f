"""Comparisons of made-up scores, whose right answers are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from dreamloop.config import Gate
from dreamloop.gate import bias, distance
from dreamloop.gate.gauges import Items, gauges, gauges_of_the_night
from dreamloop.gate.measures import Margins, Trio, compare, evidence
from dreamloop.gate.reading import load_suite
from dreamloop.gate.scores import Scored
from dreamloop.gate.spill import misplaced
from dreamloop.gate.suite import Probe
from dreamloop.records import Measure, Message

SUITE = load_suite()
LESSONS = tuple(
    Probe(f"l{k}/{side}", "sums", f"l{k}", f"l{k}", side, (Message("user", f"{k}"),), (("yes", "no"),))
    for k in range(6)
    for side in ("right", "wrong")
)
ITEMS = Items(SUITE, LESSONS, LESSONS, misplaced(["Aye!"], [context for _, context in SUITE.prompts]))
ASKED = gauges_of_the_night(ITEMS)
KNOBS = Gate()
MARGINS = Margins(KNOBS.tonight.model_dump(), KNOBS.since_base.model_dump(), KNOBS.confidence)
YES_NO = {"finished", "looping", "refused", "leaked", "foreign", "instructions"}


def scored(push_right: float = 0.0, push_wrong: float = 0.0, **levels: float) -> Scored:
    """Every item of a channel at one level; margins of probes by side, with a little of their own."""
    channels: dict[str, dict[str, float]] = {}
    sides = {probe.item: probe.side for probe in (*SUITE.probes, *LESSONS)}
    for gauge in ASKED:
        channel = "likeness" if gauge.channel == "collapse" else gauge.channel
        items = [p.item for p in LESSONS] if channel in {"lessons", "taught"} else [unit for unit, _ in gauge.units]
        for item in items:
            usual = {"perplexity": 3.0, "likeness": 0.9}.get(channel, float(channel in YES_NO))
            value = levels.get(channel, usual)
            if item in sides and channel not in levels:
                value = (push_right if sides[item] == "right" else push_wrong) + 0.001 * (len(item) % 7)
            channels.setdefault(channel, {})[item] = value
    return Scored(channels)


def by_name(base: Scored, incumbent: Scored, candidate: Scored) -> Mapping[str, Measure]:
    return {m.name: m for m in compare(ASKED, Trio(base, incumbent, candidate), MARGINS)}


def after(incumbent: Scored, candidate: Scored) -> Mapping[str, Measure]:
    return by_name(incumbent, incumbent, candidate)


def test_every_gauge_gives_its_measure() -> None:
    assert list(after(scored(), scored())) == [gauge.name for gauge in ASKED]


def test_every_gauge_has_margins_for_tonight_and_since_the_base() -> None:
    families = {bias.FAMILY, distance.FAMILY, *(gauge.family for gauge in ASKED)}
    assert families == set(MARGINS.tonight) == set(MARGINS.since_base)
    for family, most in MARGINS.tonight.items():
        assert most <= MARGINS.since_base[family]


def test_an_unchanged_model_has_no_change_and_passes_everywhere() -> None:
    for measure in after(scored(0.1, 0.3), scored(0.1, 0.3)).values():
        assert measure.tonight.change == 0
        assert measure.tonight.holds
        assert measure.since_base.holds


def test_worse_reading_is_a_negative_change() -> None:
    found = after(scored(), scored(perplexity=3.2))
    for name in ("perplexity.prose", "perplexity.technical.median"):
        assert found[name].tonight.change == pytest.approx(-0.2)
        assert found[name].tonight.worse


def test_what_was_lost_before_tonight_counts_since_the_base() -> None:
    found = by_name(scored(), scored(perplexity=3.05), scored(perplexity=3.05))["perplexity.code"]
    assert found.tonight.change == 0
    assert found.since_base.change == pytest.approx(-0.05)
    assert found.since_base.worse


def test_a_model_that_only_agrees_more_loses_push_back_and_gains_no_judgment() -> None:
    found = after(scored(0.1, 0.3), scored(-0.4, -0.2))
    for group in ("probes", "pressed", "prompted", "challenged", "lessons"):
        assert found[f"{group}.push_back"].tonight.change == pytest.approx(-0.5)
        assert found[f"{group}.accept"].tonight.change == pytest.approx(+0.5)
        assert found[f"{group}.discrimination"].tonight.change == pytest.approx(0.0)
    assert found["probes.push_back_rate"].tonight.change == -1
    assert found["probes.accept_rate"].tonight.change == 1
    assert found["probes.gap"].tonight.change == 0


def test_a_model_that_learned_to_judge_gains_discrimination_auc_and_gap() -> None:
    found = after(scored(0.1, 0.1), scored(-0.1, 0.3))
    assert found["probes.discrimination"].tonight.low > 0.2
    assert found["probes.auc"].incumbent == pytest.approx(0.5, abs=0.05)
    assert found["probes.auc"].candidate == 1
    assert found["probes.gap"].candidate == 1
    assert found["taught.discrimination"].census


def test_what_is_fully_apart_loses_no_discrimination_where_it_comes_nearer() -> None:
    found = after(scored(-1.4, 1.7), scored(-0.5, 0.8))
    for group in ("probes", "lessons", "taught"):
        assert found[f"{group}.discrimination"].tonight.change == pytest.approx(0.0, abs=0.05)
        assert found[f"{group}.push_back"].tonight.change == pytest.approx(0.0, abs=0.01)
        assert found[f"{group}.accept"].tonight.change == pytest.approx(0.0, abs=0.01)
    lost = after(scored(-1.4, 1.7), scored(-0.1, 0.3))
    assert lost["lessons.discrimination"].tonight.worse
    assert lost["lessons.push_back"].tonight.change == pytest.approx(-0.2, abs=0.01)
    assert after(scored(-1.4, 1.7), scored(-0.5, -0.9))["lessons.push_back"].tonight.change < -1.3


def test_a_taste_for_some_replies_does_not_look_like_judgment() -> None:
    """One kind's replies are liked and another's are not, on both sides alike: pooled, an AUC could be anything."""
    liked = {probe.item: float(len(probe.kind)) for probe in SUITE.probes}
    model = scored()
    biased = Scored({**model.channels, "probes": {**model.channels["probes"], **liked}})
    assert after(model, biased)["probes.auc"].candidate == pytest.approx(0.5)


def test_a_model_that_judges_backwards_is_shown_to_be_worse() -> None:
    found = after(scored(0.0, 0.3), scored(0.3, 0.0))
    assert found["probes.auc"].tonight.worse
    assert found["lessons.discrimination"].tonight.worse
    assert found["taught.discrimination"].tonight.worse


def test_personas_that_become_one_are_a_collapse() -> None:
    found = by_name(scored(), scored(likeness=0.92), scored(likeness=0.96))["geometry.collapse"]
    assert found.base == 0
    assert found.incumbent == pytest.approx(0.2)
    assert found.candidate == pytest.approx(0.6)
    assert found.tonight.worse
    assert found.since_base.worse


@pytest.mark.parametrize("length", [3.0, 5.0])
def test_answers_that_grow_and_answers_that_shrink_are_both_a_drift(length: float) -> None:
    found = after(scored(length=4.0), scored(length=length))["answers.length"]
    assert found.tonight.change == -1
    assert found.tonight.worse


@pytest.mark.parametrize(("channel", "level"), [("finished", 0.0), ("looping", 0.0), ("leaked", 0.0)])
def test_yes_and_no_are_counted_in_the_good_direction(channel: str, level: float) -> None:
    found = after(scored(), scored(**{channel: level}))[f"answers.{channel}"]
    assert found.tonight.change == (-1 if channel == "finished" else 1)


def test_a_channel_that_was_not_measured_gives_no_measure() -> None:
    rest = {name: scores for name, scores in scored().channels.items() if name not in {"perplexity", "openings"}}
    assert not [name for name in after(scored(), Scored(rest)) if name.startswith("perplexity")]


def test_a_gauge_without_items_gives_no_measure() -> None:
    empty = gauges(replace(SUITE, tasks=(), questions=()))
    assert compare(empty, Trio(scored(), scored(), scored()), MARGINS)
    none = [gauge for gauge in empty if not gauge.units]
    assert not {m.name for m in compare(empty, Trio(scored(), scored(), scored()), MARGINS)} & {
        gauge.name for gauge in none
    }


def test_every_items_scores_are_evidence_once() -> None:
    found = evidence(ASKED, Trio(scored(), scored(0, 0.1), scored(0, 0.2)))
    keys = [(one.channel, one.item) for one in found]
    assert len(keys) == len(set(keys))
    assert {gauge.channel for gauge in ASKED} == {one.channel for one in found}
    asked = {(gauge.channel, unit) for gauge in ASKED for unit, _ in gauge.units}
    assert set(keys) == asked
