from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from dreamloop.gate.verdict import decide
from dreamloop.records import Measure

GOOD = Measure("perplexity.prose", "nats/token", 3.0, 3.0, 0.0, -0.005, 0.005, 0.01, 8, 8)
OTHER = replace(GOOD, name="probes.auc")
NAMES = [GOOD.name, OTHER.name]


def test_all_within_their_margins_is_kept_and_the_closest_is_named() -> None:
    verdict = decide([GOOD, replace(OTHER, low=-0.009)], NAMES)
    assert verdict.outcome == "keep"
    assert "closest: probes.auc" in verdict.reasons[0]


def test_an_interval_wholly_beyond_the_margin_reverts() -> None:
    verdict = decide([GOOD, replace(OTHER, low=-0.05, high=-0.02, change=-0.03)], NAMES)
    assert verdict.outcome == "revert"
    assert "probes.auc" in verdict.reasons[0]
    assert "shown to be worse" in verdict.reasons[0]


def test_an_interval_that_reaches_beyond_is_inconclusive() -> None:
    assert decide([GOOD, replace(OTHER, low=-0.011)], NAMES).outcome == "inconclusive"


def test_one_bad_measure_outweighs_any_number_of_good_ones() -> None:
    better = replace(GOOD, change=1.0, low=0.9, high=1.1)
    assert decide([better, replace(OTHER, low=-1.0, high=-0.5)], NAMES).outcome == "revert"


def test_a_missing_measure_reverts() -> None:
    verdict = decide([GOOD], NAMES)
    assert verdict.outcome == "revert"
    assert "no evidence" in verdict.reasons[0]


def test_no_measures_at_all_revert() -> None:
    assert decide([], []).outcome == "revert"


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["incumbent", "candidate", "change"])
def test_a_score_that_is_not_finite_reverts(field: str, broken: float) -> None:
    changed: dict[str, Any] = {field: broken}
    verdict = decide([GOOD, replace(OTHER, **changed)], NAMES)
    assert verdict.outcome == "revert"
    assert "not finite" in verdict.reasons[0]


def test_nan_bounds_never_pass() -> None:
    assert decide([GOOD, replace(OTHER, low=math.nan, high=math.nan)], NAMES).outcome != "keep"


def test_too_few_independent_items_revert() -> None:
    verdict = decide([GOOD, replace(OTHER, clusters=4)], NAMES)
    assert verdict.outcome == "revert"
    assert "only 4 independent items" in verdict.reasons[0]


def test_a_census_needs_no_minimum_and_may_not_fall_at_all() -> None:
    census = replace(OTHER, clusters=2, census=True, margin=0.0, change=0.001, low=0.001, high=0.001)
    assert decide([GOOD, census], NAMES).outcome == "keep"
    assert decide([GOOD, replace(census, change=-1e-6, low=-1e-6, high=-1e-6)], NAMES).outcome == "revert"
