from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from dreamloop.gate.verdict import decide, more_clusters, too_large
from dreamloop.records import Change, Measure, Verdict

FINE = Change(0.0, -0.005, 0.005, 0.01)
GOOD = Measure("perplexity.prose", "nats/token", 3.0, 3.0, 3.0, FINE, replace(FINE, margin=0.02), 8, 8)
OTHER = replace(GOOD, name="probes.auc")
NAMES = [GOOD.name, OTHER.name]


def with_(measure: Measure, **tonight: float) -> Measure:
    return replace(measure, tonight=replace(measure.tonight, **tonight))


def test_all_within_their_margins_is_kept_and_the_closest_is_named() -> None:
    verdict = decide([GOOD, with_(OTHER, low=-0.009)], NAMES)
    assert verdict.outcome == "keep"
    assert "closest: probes.auc" in verdict.reasons[0]


def test_an_interval_wholly_beyond_the_margin_reverts() -> None:
    verdict = decide([GOOD, with_(OTHER, low=-0.05, high=-0.02, change=-0.03)], NAMES)
    assert verdict.outcome == "revert"
    assert "probes.auc" in verdict.reasons[0]
    assert "shown to be worse" in verdict.reasons[0]


def test_an_interval_that_reaches_beyond_is_inconclusive() -> None:
    verdict = decide([GOOD, with_(OTHER, low=-0.011)], NAMES)
    assert verdict.outcome == "inconclusive"
    # half width 0.011 must become 0.010: 8·(0.011/0.010)² = 9.68, so two more than the eight there are
    assert "about 2 more templates or documents beside its 8 would settle it" in verdict.reasons[0]


def test_how_many_more_items_by_hand() -> None:
    # The estimate lies 0.01 within the margin and the interval reaches 0.02 down: half as wide, four times as many.
    assert more_clusters(Change(-0.02, -0.04, 0.0, 0.03), clusters=10) == 30


def test_no_number_of_items_settles_what_lies_beyond_the_margin() -> None:
    assert more_clusters(Change(-0.04, -0.05, -0.02, 0.03), clusters=10) is None
    assert more_clusters(Change(0.0, -math.inf, math.inf, 0.03), clusters=1) is None


def test_a_loss_that_added_up_over_nights_reverts_though_tonight_is_fine() -> None:
    verdict = decide([GOOD, replace(OTHER, since_base=Change(-0.1, -0.12, -0.08, 0.05))], NAMES)
    assert verdict.outcome == "revert"
    assert "since the base" in verdict.reasons[0]


def test_one_bad_measure_outweighs_any_number_of_good_ones() -> None:
    better = with_(GOOD, change=1.0, low=0.9, high=1.1)
    assert decide([better, with_(OTHER, low=-1.0, high=-0.5)], NAMES).outcome == "revert"


def test_a_missing_measure_reverts() -> None:
    verdict = decide([GOOD], NAMES)
    assert verdict.outcome == "revert"
    assert "no evidence" in verdict.reasons[0]


def test_no_measures_at_all_revert() -> None:
    assert decide([], []).outcome == "revert"


def test_what_could_not_be_measured_reverts_with_its_reason() -> None:
    verdict = decide([GOOD, OTHER], NAMES, ["geometry could not be measured (ModelError: no layers)."])
    assert verdict.outcome == "revert"
    assert verdict.reasons == ("geometry could not be measured (ModelError: no layers).",)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["base", "incumbent", "candidate"])
def test_a_score_that_is_not_finite_reverts(field: str, broken: float) -> None:
    changed: dict[str, Any] = {field: broken}
    verdict = decide([GOOD, replace(OTHER, **changed)], NAMES)
    assert verdict.outcome == "revert"
    assert "not finite" in verdict.reasons[0]
    assert ("the candidate is broken" in verdict.reasons[0]) is (field == "candidate")


@pytest.mark.parametrize("which", ["tonight", "since_base"])
def test_nan_bounds_never_pass(which: str) -> None:
    nothing: dict[str, Any] = {which: Change(0.0, math.nan, math.nan, 0.01)}
    assert decide([GOOD, replace(OTHER, **nothing)], NAMES).outcome == "revert"


def test_too_few_independent_items_revert() -> None:
    verdict = decide([GOOD, replace(OTHER, clusters=4)], NAMES)
    assert verdict.outcome == "revert"
    assert "only 4 independent items" in verdict.reasons[0]


def test_a_census_needs_no_minimum_and_may_not_fall_at_all() -> None:
    census = replace(OTHER, clusters=2, census=True, tonight=Change(0.001, 0.001, 0.001, 0.0))
    assert decide([GOOD, census], NAMES).outcome == "keep"
    assert decide([GOOD, replace(census, tonight=Change(-1e-6, -1e-6, -1e-6, 0.0))], NAMES).outcome == "revert"


LEARNED = with_(replace(OTHER, name="taught.discrimination"), change=0.02, low=0.02, high=0.02, margin=0.0)
FRESH = with_(replace(OTHER, name="lessons.discrimination"), change=0.01, low=0.005, high=0.015)
WORSE = Change(-0.02, -0.03, -0.015, 0.01)
SLIGHTLY = with_(GOOD, change=-0.015, low=-0.02, high=-0.012)


def judged(*measures: Measure) -> tuple[list[Measure], Verdict, list[str]]:
    names = [measure.name for measure in measures if not measure.informative]
    return list(measures), decide(measures, names), names


@pytest.mark.parametrize("name", ["perplexity.code.median", "capability.arithmetic", "geometry.collapse"])
def test_a_step_that_taught_the_right_thing_and_cost_too_much_is_too_large(name: str) -> None:
    assert too_large(*judged(replace(SLIGHTLY, name=name), LEARNED, FRESH))


def test_a_step_that_passed_is_not_too_large() -> None:
    assert not too_large(*judged(GOOD, LEARNED, FRESH))


@pytest.mark.parametrize("first", [GOOD, SLIGHTLY])
@pytest.mark.parametrize("name", ["probes.accept_rate", "lessons.accept", "answers.looping"])
def test_what_is_only_left_open_may_hold_for_a_smaller_step(first: Measure, name: str) -> None:
    assert too_large(*judged(first, LEARNED, FRESH, with_(replace(OTHER, name=name), low=-0.02)))


def test_a_quarter_of_the_step_has_to_hold() -> None:
    assert too_large(*judged(GOOD, LEARNED, FRESH, with_(OTHER, low=-0.04)))
    assert not too_large(*judged(GOOD, LEARNED, FRESH, with_(OTHER, low=-0.041)))


def test_what_fails_only_since_the_base_is_not_mended_by_a_smaller_step() -> None:
    open_since = replace(OTHER, since_base=Change(0.0, -0.02, 0.02, 0.01))
    assert not too_large(*judged(GOOD, LEARNED, FRESH, open_since))


def test_what_people_only_read_does_not_count() -> None:
    assert too_large(*judged(SLIGHTLY, LEARNED, FRESH, replace(OTHER, tonight=WORSE, informative=True)))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([with_(LEARNED, change=-0.01, low=-0.01, high=-0.01), FRESH], id="taught nothing"),
        pytest.param([LEARNED, with_(FRESH, change=-0.001)], id="nothing carries over"),
        pytest.param([LEARNED, FRESH, with_(OTHER, change=-0.1, low=-0.12, high=-0.08)], id="judgment lost"),
        pytest.param([LEARNED, FRESH, with_(replace(OTHER, name="x"), change=-9, low=-9, high=-9)], id="far beyond"),
        pytest.param([LEARNED, FRESH, replace(OTHER, candidate=math.nan)], id="not finite"),
        pytest.param([], id="no lessons"),
        pytest.param([LEARNED, FRESH, replace(OTHER, name="taught.spill", tonight=WORSE)], id="a spill"),
        pytest.param([LEARNED, FRESH, replace(OTHER, name="probes.push_back", tonight=WORSE)], id="a bias"),
        pytest.param([LEARNED, FRESH, replace(OTHER, name="answers.looping", tonight=WORSE)], id="odd answers"),
        pytest.param([LEARNED, FRESH, replace(OTHER, name="perplexity.openings", tonight=WORSE)], id="odd openings"),
        pytest.param([with_(LEARNED, change=0.0, low=0.0, high=0.0), FRESH], id="learned nothing"),
        pytest.param([LEARNED, FRESH, replace(OTHER, name="geometry.weights", tonight=WORSE)], id="a leap"),
        pytest.param([LEARNED, FRESH, replace(OTHER, since_base=WORSE)], id="a loss that added up"),
        pytest.param([LEARNED, FRESH, with_(OTHER, low=-0.05)], id="open however small the step"),
    ],
)
def test_another_fault_than_size_is_not_mended_by_a_smaller_step(wrong: list[Measure]) -> None:
    assert not too_large(*judged(SLIGHTLY, *wrong))
