"""By hand: with two nights Student's t has one degree of freedom, so P(T < x) = 1/2 + arctan(x) / pi."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtrit

from dreamloop.config import Gate
from dreamloop.gate.distance import NAME as WEIGHTS
from dreamloop.gate.gauges import Items, gauges, gauges_of_the_night
from dreamloop.gate.power import MOST_CLUSTERS, Noise, chance, needed, noise_of
from dreamloop.gate.reading import load_suite
from dreamloop.gate.spill import misplaced
from dreamloop.gate.statistics import mean_interval
from dreamloop.gate.verdict import decide
from dreamloop.records import Change, Measure

MEASURED = Path(__file__).parent.parent / "bench" / "results" / "power.json"


def test_the_noise_of_two_nights_by_hand() -> None:
    half = 0.02 * float(stdtrit(3, 0.95)) / 2  # of four templates whose changes have a standard deviation of 0.02
    nights = [Change(0.01, 0.01 - half, 0.01 + half, 1.0), Change(0.03, 0.03 - half, 0.03 + half, 1.0)]
    noise = noise_of(nights, 4, 0.90)
    assert noise.nights == 2
    assert noise.mean == pytest.approx(0.02)
    assert noise.between == pytest.approx(0.02 / 2**0.5)  # (0.01² + 0.01²) / (2 - 1), and its root
    assert noise.within == pytest.approx(0.02)


def test_one_night_says_nothing_about_the_noise_between_nights() -> None:
    with pytest.raises(ValueError, match="at least two"):
        noise_of([Change(0.0, -1.0, 1.0, 1.0)], 4, 0.90)


def test_the_chance_to_pass_by_hand() -> None:
    noise = Noise(mean=0.0, between=0.02 / 1.5**0.5, within=0.0, nights=2)
    assert chance(noise, 5, 0.02, 0.90) == pytest.approx(0.75)  # x = 1
    assert chance(noise, 5, 0.0, 0.90) == pytest.approx(0.5)
    drifting = Noise(mean=-0.02, between=noise.between, within=0.0, nights=2)
    assert chance(drifting, 5, 0.02, 0.90) == pytest.approx(0.5)


def test_a_measure_that_is_the_same_every_night_passes_or_not() -> None:
    noise = Noise(0.0, 0.0, 0.1, 2)
    half = 0.1 * float(stdtrit(24, 0.95)) / 5
    assert chance(noise, 25, half + 1e-6, 0.90) == 1.0
    assert chance(noise, 25, half - 1e-6, 0.90) == 0.0


def test_the_number_needed_is_the_first_that_suffices() -> None:
    noise = Noise(0.0, 0.001, 0.1, 10)
    count = needed(noise, 0.03, 0.90, 0.99)
    assert count is not None
    assert chance(noise, count, 0.03, 0.90) >= 0.99 > chance(noise, count - 1, 0.03, 0.90)


def test_no_number_helps_against_the_noise_between_nights() -> None:
    assert needed(Noise(0.0, 0.05, 0.0, 10), 0.03, 0.90, 0.99) is None
    assert MOST_CLUSTERS > 1000


SUITE = load_suite()
ASKED = {
    gauge.name: gauge.family
    for gauge in gauges_of_the_night(
        Items(SUITE, SUITE.probes, SUITE.probes, misplaced(["Any."], [SUITE.prompts[0][1]]))
    )
    if not gauge.informative
} | {WEIGHTS: "weights"}


def simulated(name: str, noise: Noise, clusters: int, margin: float, rng: np.random.Generator) -> Measure:
    """A new night's measure, predicted from the nights that were seen as `power.chance` does it.

    The items are the same every night, so all that moves their mean is in `between` already.
    """
    spread = noise.between * (1 + 1 / noise.nights) ** 0.5
    mean = noise.mean + spread * rng.standard_t(noise.nights - 1)
    if noise.within == 0:  # a census, which is known
        known = Change(mean, mean, mean, margin)
        return Measure(name, "", 0.0, 0.0, 0.0, known, known, clusters, clusters, census=True)
    off = rng.normal(0.0, noise.within, clusters)
    found = mean_interval((off - off.mean() + mean).tolist(), [str(k) for k in range(clusters)])
    change = Change(found.estimate, found.low, found.high, margin)
    return Measure(name, "", 0.0, 0.0, 0.0, change, change, clusters, clusters)


def test_simulated_honest_nights_pass_with_the_shipped_items_and_margins_in_95_of_100() -> None:
    """Noise as measured on retrained seeds (`tests/bench/power.py`); every measure, tonight and since the base."""
    measured = json.loads(MEASURED.read_text())["measures"]
    margins = {"tonight": Gate().tonight.model_dump(), "since_base": Gate().since_base.model_dump()}
    assert measured.keys() == ASKED.keys()
    rng = np.random.default_rng(0)
    kept, nights = 0, 1000
    for _ in range(nights):
        found = [
            simulated(
                name, Noise(*(measured[name][since][key] for key in ("mean", "between", "within", "nights"))),
                measured[name]["clusters"], margins[since][family], rng,
            )
            for name, family in ASKED.items()
            for since in margins
        ]  # fmt: skip
        kept += decide(found, list(ASKED)).outcome == "keep"
    assert kept >= 0.95 * nights


def test_the_noise_was_measured_with_the_items_that_are_shipped() -> None:
    measured = json.loads(MEASURED.read_text())["measures"]
    for gauge in gauges(SUITE):
        if not gauge.informative:
            assert measured[gauge.name]["clusters"] == len({cluster for _, cluster in gauge.units})
