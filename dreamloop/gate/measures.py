"""The gate's measures: candidate against incumbent and base on the same items, paired, with intervals.

Every change is signed so that positive is better. Scores are numbers by channel and item for each policy;
this file only compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dreamloop.gate.gauges import Gauge, Scores
from dreamloop.gate.geometry import collapse
from dreamloop.gate.scores import Scored
from dreamloop.gate.statistics import (
    Interval,
    auc,
    flips_interval,
    jackknife_interval,
    mean_interval,
    median_interval,
)
from dreamloop.gate.suite import Probe
from dreamloop.records import Change, Evidence, Measure


@dataclass(frozen=True, slots=True)
class Margins:
    """What each family of measures may lose in one night and since the base, and the intervals' confidence."""

    tonight: Mapping[str, float]
    since_base: Mapping[str, float]
    confidence: float


@dataclass(frozen=True, slots=True)
class Trio:
    """The scores of the three policies: what nobody trained, what serves, and what would serve."""

    base: Scored
    incumbent: Scored
    candidate: Scored

    def channels(self) -> list[dict[str, Scores]]:
        """Those of base, incumbent and candidate, and with them how far each has collapsed since the base."""
        return [_with_collapse(one, self.base) for one in (self.base, self.incumbent, self.candidate)]


def compare(gauges: Sequence[Gauge], scored: Trio, margins: Margins) -> list[Measure]:
    """All measures. Pure: the same scores give the same measures.

    A gauge without units, or some of whose scores are missing, gives no measure; the verdict asks for it.
    """
    channels = scored.channels()
    measures = []
    for gauge in gauges:
        try:
            measures.append(_measure(gauge, [one[gauge.channel] for one in channels], margins))
        except KeyError:
            continue
    return [measure for measure in measures if measure.items]


def evidence(gauges: Sequence[Gauge], scored: Trio) -> list[Evidence]:
    """Every item's scores, once for each channel."""
    found: dict[tuple[str, str], Evidence] = {}
    channels = scored.channels()
    for gauge in gauges:
        for item, cluster in gauge.units:
            if (gauge.channel, item) not in found and all(item in one.get(gauge.channel, {}) for one in channels):
                base, incumbent, candidate = (one[gauge.channel][item] for one in channels)
                found[gauge.channel, item] = Evidence(gauge.channel, item, cluster, base, incumbent, candidate)
    return list(found.values())


def _with_collapse(own: Scored, base: Scored) -> dict[str, Scores]:
    """The channels, and how far each question's personas have come together since the base."""
    channels = dict(own.channels)
    if "likeness" in channels and "likeness" in base.channels:
        channels["collapse"] = collapse(channels["likeness"], base.channels["likeness"])
    return channels


def _measure(gauge: Gauge, scores: Sequence[Scores], margins: Margins) -> Measure:
    base, incumbent, candidate = scores
    statistic = _area(gauge.probes) if gauge.statistic == "auc" else _centre(gauge)
    levels = [statistic(one) if gauge.units else np.nan for one in scores]

    def change(before: Scores, most: float) -> Change:
        interval = _interval(gauge, before, candidate, margins.confidence) if gauge.units else _NOTHING
        low, high = (interval.estimate,) * 2 if gauge.census else (interval.low, interval.high)
        return Change(interval.estimate, low, high, most)

    return Measure(
        name=gauge.name, unit=gauge.unit, base=levels[0], incumbent=levels[1], candidate=levels[2],
        tonight=change(incumbent, margins.tonight[gauge.family]),
        since_base=change(base, margins.since_base[gauge.family]),
        items=len(gauge.units), clusters=len({cluster for _, cluster in gauge.units}), census=gauge.census,
        informative=gauge.informative,
    )  # fmt: skip


_NOTHING = Interval(np.nan, -np.inf, np.inf)


def _centre(gauge: Gauge) -> Callable[[Scores], float]:
    of = np.median if gauge.statistic == "median" else np.mean
    return lambda scores: float(of([gauge.read(scores, unit) for unit, _ in gauge.units]))


def _interval(gauge: Gauge, before: Scores, after: Scores, confidence: float) -> Interval:
    """Of the change in the good direction."""
    if gauge.statistic == "auc":
        return _auc_interval(gauge.probes, before, after, confidence)
    sign = -1.0 if gauge.better == "lower" else 1.0
    clusters = [cluster for _, cluster in gauge.units]
    changes = [sign * (gauge.read(after, unit) - gauge.read(before, unit)) for unit, _ in gauge.units]
    of = {"mean": mean_interval, "median": median_interval, "flips": flips_interval}[gauge.statistic]
    interval = of(changes, clusters, confidence)
    return _either_way(interval) if gauge.better == "same" else interval


def _either_way(interval: Interval) -> Interval:
    """A change that is bad in both directions: minus its size, and the sizes that the interval allows."""
    sizes = abs(interval.low), abs(interval.high)
    nearest = 0.0 if interval.low <= 0 <= interval.high else min(sizes)
    return Interval(-abs(interval.estimate), -max(sizes), -nearest)


def _area(probes: Sequence[Probe]) -> Callable[[Scores], float]:
    """Mean over kinds of how often a wrong direction draws more push-back than a right one; 0.5 is no judgment.

    Within a kind all probes offer the same replies, so what the replies are worth by themselves cancels.
    """
    clusters = _by_kind(probes)
    return lambda scores: _mean_area(clusters, scores, {kind: range(len(own)) for kind, own in clusters.items()})


_Sides = tuple[list[str], list[str]]


def _by_kind(probes: Sequence[Probe]) -> dict[str, list[_Sides]]:
    """The items of each kind's templates, wrong and right."""
    found: dict[str, dict[str, _Sides]] = {}
    for probe in probes:
        sides = found.setdefault(probe.kind, {}).setdefault(probe.cluster, ([], []))
        sides[probe.side == "right"].append(probe.item)
    return {kind: list(clusters.values()) for kind, clusters in found.items()}


def _mean_area(clusters: Mapping[str, list[_Sides]], scores: Scores, drawn: Mapping[str, Sequence[int]]) -> float:
    areas = []
    for kind, own in clusters.items():
        wrong, right = (np.array([scores[item] for k in drawn[kind] for item in own[k][side]]) for side in (0, 1))
        areas.append(auc(wrong, right))
    return float(np.mean(areas))


def _auc_interval(probes: Sequence[Probe], before: Scores, after: Scores, confidence: float) -> Interval:
    """By leaving out templates, within kinds."""
    clusters = _by_kind(probes)
    kinds = list(clusters)

    def change(drawn: Sequence[Sequence[int]]) -> float:
        picked = dict(zip(kinds, drawn, strict=True))
        return _mean_area(clusters, after, picked) - _mean_area(clusters, before, picked)

    return jackknife_interval(change, [len(clusters[kind]) for kind in kinds], confidence)
