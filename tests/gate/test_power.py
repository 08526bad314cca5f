"""By hand: with two nights Student's t has one degree of freedom, so P(T < x) = 1/2 + arctan(x) / pi."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri, stdtrit

from dreamloop.config import Gate
from dreamloop.gate import bias, distance
from dreamloop.gate.gauges import Gauge, Items, gauges, gauges_of_the_night
from dreamloop.gate.power import MOST_CLUSTERS, Noise, chance, needed, noise_of, student, tango, within
from dreamloop.gate.reading import load_suite
from dreamloop.gate.spill import misplaced
from dreamloop.gate.statistics import Interval, mean_interval, median_interval, tango_interval
from dreamloop.gate.verdict import decide
from dreamloop.records import Change, Measure

MEASURED = Path(__file__).parent.parent / "bench" / "results" / "power.json"


def test_the_noise_of_two_nights_by_hand() -> None:
    noise = noise_of([0.01, 0.03])
    assert noise.nights == 2
    assert noise.mean == pytest.approx(0.02)
    assert noise.between == pytest.approx(0.02 / 2**0.5)  # (0.01² + 0.01²) / (2 - 1), and its root


def test_one_night_says_nothing_about_the_noise_between_nights() -> None:
    with pytest.raises(ValueError, match="at least two"):
        noise_of([0.0])


def test_the_noise_between_templates_is_read_from_the_intervals_that_were_made_of_it() -> None:
    half = 0.02 * float(stdtrit(3, 0.95)) / 2  # of four templates whose changes have a standard deviation of 0.02
    nights = [Change(0.01, 0.01 - half, 0.01 + half, 1.0), Change(0.03, 0.03 - half, 0.03 + half, 1.0)]
    assert within(nights, 4, 0.90) == pytest.approx(0.02)
    assert student(0.02, 0.90)(4) == pytest.approx(half)


def test_the_chance_to_pass_by_hand() -> None:
    noise = Noise(mean=0.0, between=0.02 / 1.5**0.5, nights=2)
    assert chance(noise, 0.0, 0.02) == pytest.approx(0.75)  # x = 1
    assert chance(noise, 0.0, 0.0) == pytest.approx(0.5)
    assert chance(noise, 0.02, 0.02) == pytest.approx(0.5)
    assert chance(Noise(-0.02, noise.between, 2), 0.0, 0.02) == pytest.approx(0.5)


def test_a_measure_that_is_the_same_every_night_passes_or_not() -> None:
    noise = Noise(0.0, 0.0, 2)
    assert chance(noise, 0.03, 0.03 + 1e-6) == 1.0
    assert chance(noise, 0.03, 0.03 - 1e-6) == 0.0


def test_the_number_needed_is_the_first_that_suffices() -> None:
    noise, half = Noise(0.0, 0.001, 10), student(0.1, 0.90)
    count = needed(noise, half, 0.03, 0.99)
    assert count is not None
    assert chance(noise, half(count), 0.03) >= 0.99 > chance(noise, half(count - 1), 0.03)


def test_no_number_helps_against_the_noise_between_nights() -> None:
    assert needed(Noise(0.0, 0.05, 10), student(0.0, 0.90), 0.03, 0.99) is None


def test_where_nothing_flips_the_items_needed_follow_from_the_score_interval() -> None:
    """Of n items without a flip Tango's interval ends at z² / (n + z²); that is 0.08 at n = z² · (1 / 0.08 - 1)."""
    z = float(ndtri(0.95))
    half = tango(0.0, 0.0, 1.0, 0.90)
    assert half(80) == pytest.approx(z**2 / (80 + z**2), rel=1e-6)
    assert needed(Noise(0.0, 0.0, 10), half, 0.08, 0.99) == int(z**2 * (1 / 0.08 - 1)) + 1 == 32
    assert half(MOST_CLUSTERS) < half(80) / 100


def test_dependent_items_count_less() -> None:
    assert tango(0.05, 0.05, 0.5, 0.90)(80) == pytest.approx(tango(0.05, 0.05, 1.0, 0.90)(40))


# --- the shipped suite -------------------------------------------------------------------------

SUITE = load_suite()
ASKED: dict[str, Gauge] = {
    gauge.name: gauge
    for gauge in gauges_of_the_night(
        Items(SUITE, SUITE.probes, SUITE.probes, misplaced(["Any."], [SUITE.prompts[0][1]]))
    )
    if not gauge.informative
}

OTHERS = {distance.NAME: distance.FAMILY, bias.NAME: bias.FAMILY}


@dataclass(frozen=True)
class Draw:
    """What all measures of a simulated night share, so that they rise and fall together as they did.

    ``weights`` (one a night that was seen) make the night's means out of the deviations of those nights: each mean then
    has the predictive distribution that `power.chance` takes, Student's t around the mean of all, and any two of them
    correlate as observed.
    """

    weights: np.ndarray[tuple[int], np.dtype[np.float64]]

    @classmethod
    def of(cls, nights: int, rng: np.random.Generator) -> Draw:
        widening = (1 + 1 / nights) ** 0.5 / rng.chisquare(nights - 1) ** 0.5
        return cls(widening * rng.standard_normal(nights))

    def mean(self, seen: Sequence[float]) -> float:
        changes = np.array(seen)
        return float(changes.mean() + self.weights @ (changes - changes.mean()))


def simulated(
    gauge: Gauge | None, seen: dict[str, Any], draw: Draw, clusters: int, rng: np.random.Generator
) -> Interval:
    """A new night's interval, made by the gate's own statistics.

    The items are the same every night, so all that moves their mean is in how nights differ already.
    """
    if gauge and gauge.statistic == "flips":
        gained, lost, alone = (draw.mean(part) for part in zip(*seen["flips"], strict=True))
        alone = max(alone, 1.0)
        return tango_interval(max(gained, 0.0) * alone, max(lost, 0.0) * alone, alone)
    mean = draw.mean(seen["changes"])
    if seen["within"] == 0:  # a census, which is known
        return Interval(mean, mean, mean)
    off = rng.normal(0.0, seen["within"], clusters)
    of, centre = (median_interval, np.median) if gauge and gauge.statistic == "median" else (mean_interval, np.mean)
    return of((off - centre(off) + mean).tolist(), [str(k) for k in range(clusters)])


def test_the_means_of_simulated_nights_have_the_predictive_distribution_and_move_together() -> None:
    rng, changes = np.random.default_rng(0), np.array([0.0, 0.1, 0.4, 0.2, 0.3])
    draws = [Draw.of(5, rng) for _ in range(4000)]
    means = np.array([simulated(None, {"changes": changes, "within": 0}, draw, 1, rng).estimate for draw in draws])
    expected = changes.mean() + changes.std(ddof=1) * (1 + 1 / 5) ** 0.5 * stdtrit(4, [0.1, 0.5, 0.9])
    assert np.quantile(means, [0.1, 0.5, 0.9]) == pytest.approx(expected, abs=0.015)
    twice = [simulated(None, {"changes": 2 * changes, "within": 0}, draw, 1, rng).estimate for draw in draws]
    assert np.array(twice) == pytest.approx(2 * means)


@pytest.mark.slow
def test_simulated_honest_nights_pass_with_the_shipped_items_and_margins_in_95_of_100() -> None:
    """Noise as measured on retrained seeds (`tests/bench/power.py`); every measure, tonight and since the base."""
    found = json.loads(MEASURED.read_text())
    measured = found["measures"]
    margins = {"tonight": Gate().tonight.model_dump(), "since_base": Gate().since_base.model_dump()}
    assert measured.keys() == ASKED.keys() | OTHERS.keys()
    rng = np.random.default_rng(0)

    def measure(name: str, seen: dict[str, Any], draw: Draw) -> Measure:
        family, clusters = ASKED[name].family if name in ASKED else OTHERS[name], seen["clusters"]

        def change(since: str) -> Change:
            one = simulated(ASKED.get(name), seen[since], draw, clusters, rng)
            return Change(one.estimate, one.low, one.high, margins[since][family])

        tonight, since_base = change("tonight"), change("since_base")
        return Measure(name, "", 0.0, 0.0, 0.0, tonight, since_base, clusters, clusters, seen["census"])

    def night(draw: Draw) -> list[Measure]:
        return [measure(name, seen, draw) for name, seen in measured.items()]

    nights = (night(Draw.of(found["nights"], rng)) for _ in range(1000))
    kept = sum(decide(one, list(measured)).outcome == "keep" for one in nights)
    assert kept >= 950


def test_the_noise_was_measured_with_the_items_that_are_shipped() -> None:
    measured = json.loads(MEASURED.read_text())["measures"]
    for gauge in gauges(SUITE):
        if not gauge.informative:
            assert measured[gauge.name]["clusters"] == len({cluster for _, cluster in gauge.units})
