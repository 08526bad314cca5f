"""The gate's measures: incumbent and candidate on the same items, paired, with intervals.

Every change is signed so that positive is better. Scores are functions from item to number for each
policy; this file only compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dreamloop.gate.perplexity import score_documents
from dreamloop.gate.probes import score_probes
from dreamloop.gate.statistics import Interval, auc, bootstrap_interval, mean_interval
from dreamloop.gate.suite import DOMAINS, Probe, Suite
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Adapter, Policy
from dreamloop.records import Evidence, Measure

Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Items:
    """Everything tonight's gate asks.

    ``suite`` is the same every night. ``lessons`` are fresh scenarios like tonight's that nothing trains
    on. ``taught`` are tonight's own: if the step did not even move those towards what their seeds prove, it
    taught something else (labels swapped by a bug show here). That reverts; it is never a reason to keep.
    """

    suite: Suite
    lessons: tuple[Probe, ...] = ()
    taught: tuple[Probe, ...] = ()


@dataclass(frozen=True, slots=True)
class Margins:
    """How much each kind of measure may lose in one night, and the intervals' confidence."""

    perplexity: float
    margin: float
    discrimination: float
    lesson: float
    auc: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Scored:
    """One policy's scores on all items."""

    documents: Scores
    probes: Scores
    lessons: Scores
    taught: Scores


def expected(items: Items) -> list[str]:
    """The measures without which no night is kept."""
    names = [f"perplexity.{domain}" for domain in DOMAINS]
    names += ["probes.push_back", "probes.accept", "probes.discrimination", "probes.auc"]
    names += ["lessons.push_back", "lessons.accept", "lessons.discrimination"] if items.lessons else []
    return names + (["taught.discrimination"] if items.taught else [])


def score(policy: Policy, encoder: ChatEncoder, items: Items, who: Adapter | None, progress: Progress) -> Scored:
    """Score all items with one adapter, or with the base model for None."""
    name = who or "base"
    with policy.using(who):
        return Scored(
            documents=score_documents(policy, encoder, items.suite.documents, progress, name),
            probes=score_probes(policy, encoder, items.suite.probes, progress, name),
            lessons=score_probes(policy, encoder, items.lessons, progress, f"{name}, fresh"),
            taught=score_probes(policy, encoder, items.taught, progress, f"{name}, tonight's"),
        )


def compare(items: Items, incumbent: Scored, candidate: Scored, margins: Margins, seed: int) -> list[Measure]:
    """All measures of the candidate against the incumbent. Pure: the same scores give the same measures."""
    suite = items.suite
    measures = []
    for domain in DOMAINS:
        names = [document.item for document in suite.documents if document.domain == domain]
        measures.append(
            _mean(f"perplexity.{domain}", "nats/token", names, names, incumbent.documents, candidate.documents,
                  "lower", margins.perplexity, margins.confidence)
        )  # fmt: skip
    measures += _two_sided("probes", suite.probes, incumbent.probes, candidate.probes, margins, margins.discrimination)
    measures.append(_auc(suite.probes, incumbent.probes, candidate.probes, margins, seed))
    if items.lessons:
        measures += _two_sided("lessons", items.lessons, incumbent.lessons, candidate.lessons, margins, margins.lesson)
    if items.taught:
        change = _two_sided("taught", items.taught, incumbent.taught, candidate.taught, margins, 0.0)[2]
        measures.append(replace(change, low=change.change, high=change.change, census=True))
    return measures


def _two_sided(
    group: str, probes: Sequence[Probe], incumbent: Scores, candidate: Scores, margins: Margins, discrimination: float
) -> list[Measure]:
    wrong = [probe for probe in probes if probe.side == "wrong"]
    right = [probe for probe in probes if probe.side == "right"]
    partner = {probe.twin: probe.item for probe in right}

    def judgement(scores: Scores) -> Scores:
        """How much more the model would push back on the wrong side than on the right, per twin."""
        return {probe.item: scores[probe.item] - scores[partner[probe.twin]] for probe in wrong}

    def of(
        name: str, some: Sequence[Probe], old: Scores, new: Scores, better: Literal["higher", "lower"], margin: float
    ) -> Measure:
        items, clusters = [probe.item for probe in some], [probe.cluster for probe in some]
        return _mean(f"{group}.{name}", "nats/token", items, clusters, old, new, better, margin, margins.confidence)

    return [
        of("push_back", wrong, incumbent, candidate, "higher", margins.margin),
        of("accept", right, incumbent, candidate, "lower", margins.margin),
        of("discrimination", wrong, judgement(incumbent), judgement(candidate), "higher", discrimination),
    ]


def _mean(
    name: str, unit: str, items: Sequence[str], clusters: Sequence[str], incumbent: Scores, candidate: Scores,
    better: Literal["higher", "lower"], margin: float, confidence: float,
) -> Measure:  # fmt: skip
    sign = 1.0 if better == "higher" else -1.0
    changes = [sign * (candidate[item] - incumbent[item]) for item in items]
    interval = mean_interval(changes, clusters, confidence)
    evidence = tuple(
        Evidence(item, cluster, incumbent[item], candidate[item]) for item, cluster in zip(items, clusters, strict=True)
    )
    old, new = (float(np.mean([scores[item] for item in items])) for scores in (incumbent, candidate))
    return _measure(name, unit, old, new, interval, margin, clusters, evidence)


def _auc(probes: Sequence[Probe], incumbent: Scores, candidate: Scores, margins: Margins, seed: int) -> Measure:
    """How often a wrong direction draws more push-back than a right one; 0.5 is no judgment."""
    names = list(dict.fromkeys(probe.cluster for probe in probes))
    members = {
        (name, side): [p.item for p in probes if p.cluster == name and p.side == side]
        for name in names
        for side in ("wrong", "right")
    }

    def area(scores: Scores, drawn: Sequence[int]) -> float:
        wrong, right = (
            np.array([scores[item] for k in drawn for item in members[names[k], side]]) for side in ("wrong", "right")
        )
        return auc(wrong, right)

    interval = bootstrap_interval(
        lambda drawn: area(candidate, drawn.tolist()) - area(incumbent, drawn.tolist()),
        len(names), seed, margins.confidence,
    )  # fmt: skip
    everything = range(len(names))
    evidence = tuple(Evidence(p.item, p.cluster, incumbent[p.item], candidate[p.item]) for p in probes)
    return _measure("probes.auc", "", area(incumbent, everything), area(candidate, everything), interval,
                    margins.auc, [p.cluster for p in probes], evidence)  # fmt: skip


def _measure(
    name: str, unit: str, old: float, new: float, interval: Interval, margin: float, clusters: Sequence[str],
    evidence: tuple[Evidence, ...],
) -> Measure:  # fmt: skip
    return Measure(
        name=name, unit=unit, incumbent=old, candidate=new, change=interval.estimate, low=interval.low,
        high=interval.high, margin=margin, items=len(clusters), clusters=len(set(clusters)), evidence=evidence,
    )  # fmt: skip
