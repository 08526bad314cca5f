"""How scores become figures: a mean over seeds, and a 90 % interval of a bootstrap over seeds and templates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from asking import Scores
from numpy.typing import NDArray
from public import Public

from dreamloop.gate.capability import coherence
from dreamloop.gate.geometry import collapse
from dreamloop.gate.statistics import auc
from dreamloop.gate.suite import Probe, Suite

DRAWS = 1000  # of the bootstrap

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """How a number comes out of clusters of items: ``of`` takes what a resample drew, in order.

    ``clusters`` are lists of items; a resample draws clusters, never items alone. ``groups`` are the clusters' strata,
    each of which is drawn from by itself (the kinds of an AUC).
    """

    name: str
    channel: str
    groups: tuple[tuple[tuple[str, ...], ...], ...]
    of: Callable[[list[Floats]], float]


def figures(suite: Suite, public: Public, taught: Collection[str]) -> list[Figure]:
    """Every figure of the table; ``auc``, ``push_back`` and ``accept`` are of the kinds that were taught, if any."""
    single = [probe for probe in suite.probes if probe.manner != "challenged"]
    kinds = sorted({probe.kind for probe in single})
    found = [_auc(f"auc.{kind}", "probes", [p for p in single if p.kind == kind]) for kind in kinds]
    trained = [probe for probe in single if probe.kind.removeprefix("own/") in taught]
    if trained:
        found.append(_auc("auc", "probes", trained))
        found.append(_rate("push_back", "probes", [p for p in trained if p.side == "wrong"], pushes))
        found.append(_rate("accept", "probes", [p for p in trained if p.side == "right"], accepts))
    found.append(_auc("auc.untaught", "probes", [probe for probe in single if probe not in trained]))
    found += [_auc(f"auc.{kind}", "sided", [p for p in public.sided if p.kind == kind])
              for kind in sorted({probe.kind for probe in public.sided})]  # fmt: skip
    found.append(_rate("push_back.false_claims", "false", public.false, pushes))
    found.append(_rate("accept.ifeval", "clear", public.clear, accepts))
    for domain in sorted({document.domain for document in suite.documents}):
        items = [document.item for document in suite.documents if document.domain == domain]
        found.append(Figure(f"nats.{domain}", "perplexity", (tuple((item,) for item in items),), mean))
    for channel, own in (("read", public.read), ("solved", public.solved)):
        for domain in sorted({document.domain for document in own}):
            items = [document.item for document in own if document.domain == domain]
            found.append(Figure(f"nats.{domain}", channel, (tuple((item,) for item in items),), mean))
    choices = [*suite.choices, *coherence(suite.documents)]
    for ability in sorted({choice.ability for choice in choices}):
        items = [choice.item for choice in choices if choice.ability == ability]
        found.append(Figure(f"capability.{ability}", "capability", (tuple((item,) for item in items),), mean))
    questions = tuple((question.item,) for question in suite.questions)
    return [*found, Figure("collapse", "collapse", (questions,), mean)]


def _auc(name: str, channel: str, probes: Sequence[Probe]) -> Figure:
    """Within kinds, then the mean over them; a cluster's items stand as wrong, right, wrong, right."""
    groups = []
    for kind in sorted({probe.kind for probe in probes}):
        clusters: dict[str, list[Probe]] = {}
        for probe in probes:
            if probe.kind == kind:
                clusters.setdefault(probe.cluster, []).append(probe)
        groups.append(tuple(_in_turn(own) for own in clusters.values()))
    return Figure(name, channel, tuple(groups), lambda drawn: fmean(auc(one[::2], one[1::2]) for one in drawn))


def _in_turn(probes: Sequence[Probe]) -> tuple[str, ...]:
    twins = dict.fromkeys(probe.twin for probe in probes)
    sides = {(probe.twin, probe.side): probe.item for probe in probes}
    return tuple(sides[twin, side] for twin in twins for side in ("wrong", "right"))


def _rate(name: str, channel: str, probes: Sequence[Probe], of: Callable[[list[Floats]], float]) -> Figure:
    clusters: dict[str, list[str]] = {}
    for probe in probes:
        clusters.setdefault(probe.cluster, []).append(probe.item)
    return Figure(name, channel, (tuple(tuple(own) for own in clusters.values()),), of)


def pushes(drawn: list[Floats]) -> float:
    return float((np.concatenate(drawn) > 0).mean())


def accepts(drawn: list[Floats]) -> float:
    return float((np.concatenate(drawn) <= 0).mean())


def mean(drawn: list[Floats]) -> float:
    return float(np.concatenate(drawn).mean())


def told(figure: Figure, own: Sequence[Scores], base: Sequence[Scores]) -> dict[str, Any]:
    """Level and gain of one figure with their intervals; ``own`` and ``base`` have an entry for each seed."""
    rng = np.random.default_rng(0)
    whole = [list(range(len(group))) for group in figure.groups]
    levels = [figure.of(_taken(figure, one, whole)) for one in own]
    gains = [level - figure.of(_taken(figure, one, whole)) for level, one in zip(levels, base, strict=True)]
    drawn_levels, drawn_gains = [], []
    for _ in range(DRAWS):
        seeds = rng.integers(len(own), size=len(own))
        picked = [rng.integers(len(group), size=len(group)).tolist() for group in figure.groups]
        some = [figure.of(_taken(figure, own[s], picked)) for s in seeds]
        then = [figure.of(_taken(figure, base[s], picked)) for s in seeds]
        drawn_levels.append(fmean(some))
        drawn_gains.append(fmean(some) - fmean(then))
    return {**_bounds("", fmean(levels), drawn_levels), **_bounds("gain_", fmean(gains), drawn_gains)}


def _taken(figure: Figure, scores: Scores, picked: Sequence[Sequence[int]]) -> list[Floats]:
    """The drawn clusters' numbers, a stratum each."""
    channel = scores[figure.channel]
    return [
        np.array([channel[item] for k in own for item in group[k]])
        for group, own in zip(figure.groups, picked, strict=True)
    ]


def _bounds(name: str, centre: float, drawn: Sequence[float]) -> dict[str, float]:
    low, high = np.quantile(drawn, (0.05, 0.95))
    return {f"{name}mean": round(centre, 4), f"{name}low": round(float(low), 4), f"{name}high": round(float(high), 4)}


def with_collapse(own: Scores, base: Scores) -> Scores:
    return {**own, "collapse": collapse(own["likeness"], base["likeness"])}
