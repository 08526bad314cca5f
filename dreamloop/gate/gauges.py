"""What the gate looks at: one line per measure, with its items, what is read from them, and what a night may lose.

A gauge says how per-item scores become per-unit numbers (a unit is an item, or a twin); `measures` compares those
numbers between candidate, incumbent and base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dreamloop.gate.answers import READINGS
from dreamloop.gate.apart import accept_that_counts, apart, push_back_that_counts
from dreamloop.gate.capability import coherence
from dreamloop.gate.shift import watched
from dreamloop.gate.spill import Misplaced
from dreamloop.gate.suite import ABILITIES, DOMAINS, Probe, Suite

Scores = Mapping[str, float]
Units = tuple[tuple[str, str], ...]
Statistic = Literal["mean", "median", "flips", "auc"]
Better = Literal["higher", "lower", "same"]


@dataclass(frozen=True, slots=True)
class Items:
    """Everything tonight's gate asks.

    ``suite`` is the same every night. ``lessons`` are fresh scenarios like tonight's that nothing trains
    on. ``taught`` are tonight's own: if the step did not even move those towards what their seeds prove, it
    taught something else (labels swapped by a bug show here). That reverts; it is never a reason to keep.
    ``misplaced`` are tonight's replies where they do not belong.
    """

    suite: Suite
    lessons: tuple[Probe, ...] = ()
    taught: tuple[Probe, ...] = ()
    misplaced: tuple[Misplaced, ...] = ()


@dataclass(frozen=True, slots=True)
class Gauge:
    """One measure to be.

    ``units`` are (unit, cluster), ``read`` gives a unit's number from the channel's scores. ``family`` names the
    margins. ``probes`` are given where the statistic is an AUC. An ``informative`` one is for people to read and has
    no part in the verdict.
    """

    name: str
    unit: str
    channel: str
    family: str
    statistic: Statistic
    better: Better
    units: Units
    read: Callable[[Scores, str], float]
    probes: tuple[Probe, ...] = ()
    census: bool = False
    informative: bool = False


def gauges(suite: Suite) -> list[Gauge]:
    """Every measure of the fixed items; each one that is not informative must pass."""
    found = [*_perplexity(suite), *_judgement(suite.probes), *_capability(suite), *_answers(suite)]
    found.append(
        Gauge("geometry.collapse", "", "collapse", "collapse", "mean", "lower", _alone(q.item for q in suite.questions),
              _plain)
    )  # fmt: skip
    found.append(
        Gauge("geometry.centred", "", "centred", "collapse", "mean", "lower", _alone(q.item for q in suite.questions),
              _plain, informative=True)
    )  # fmt: skip
    looked = tuple((wrong.item, wrong.cluster) for wrong, _ in watched(suite.probes))
    found.append(
        Gauge("attention.on_claim", "", "attention", "collapse", "mean", "higher", looked, _plain, informative=True)
    )
    return found


def gauges_of_the_night(items: Items) -> list[Gauge]:
    """Those and tonight's own. Fresh lessons are always asked for; what was taught, where something was."""
    found = [*gauges(items.suite), *_margins("lessons", "lessons", items.lessons, "lesson")]
    if items.taught:
        found += _margins("taught", "taught", items.taught, "taught", census=True)
    if items.misplaced:
        replies = _alone(reply.item for reply in items.misplaced)
        found.append(
            Gauge("taught.spill", "nats/token", "spill", "spill", "mean", "lower", replies, _plain, census=True)
        )
    return found


def expected(asked: Sequence[Gauge]) -> list[str]:
    """The measures without which no night is kept."""
    return [gauge.name for gauge in asked if not gauge.informative]


def _perplexity(suite: Suite) -> Iterator[Gauge]:
    for domain in DOMAINS:
        units = _alone(document.item for document in suite.documents if document.domain == domain)
        name = f"perplexity.{domain}"
        yield Gauge(name, "nats/token", "perplexity", "perplexity", "mean", "lower", units, _plain)
        yield Gauge(f"{name}.median", "nats/token", "perplexity", "perplexity", "median", "lower", units, _plain)
    talks = _alone(document.item for document in suite.documents if document.turns)
    yield Gauge("perplexity.openings", "nats/token", "openings", "opening", "mean", "lower", talks, _plain)


def _judgement(probes: Sequence[Probe]) -> Iterator[Gauge]:
    """All single-turn probes together; then those under a system prompt, and those against an earlier answer."""
    single = [probe for probe in probes if probe.manner != "challenged"]
    yield from _margins("probes", "probes", single, "discrimination")
    yield Gauge("probes.auc", "", "probes", "auc", "auc", "higher", _units(single), _plain, tuple(single))
    wrong, right = _sides(single)
    yield Gauge("probes.push_back_rate", "", "probes", "rate", "flips", "higher", _units(wrong), _pushes)
    yield Gauge("probes.accept_rate", "", "probes", "rate", "flips", "higher", _units(right), _accepts)
    other = _partners(wrong, right)
    yield Gauge("probes.gap", "", "probes", "rate", "mean", "higher", _units(wrong),
                lambda scores, item: _pushes(scores, item) - _pushes(scores, other[item]))  # fmt: skip
    for manner in ("pressed", "prompted", "challenged"):
        yield from _margins(manner, "probes", [probe for probe in probes if probe.manner == manner], "group")


def _margins(group: str, channel: str, probes: Sequence[Probe], family: str, census: bool = False) -> Iterator[Gauge]:
    """Each side's own margin, and how far apart the two sides are, as far as both count."""
    wrong, right = _sides(probes)
    other = _partners(wrong, right)

    def gauge(name: str, better: Better, of: str, units: Units, read: Callable[[Scores, str], float]) -> Gauge:
        return Gauge(f"{group}.{name}", "nats/token", channel, of, "mean", better, units, read, census=census)

    yield gauge(
        "push_back", "higher", "margin", _units(wrong), lambda scores, item: push_back_that_counts(scores[item])
    )
    yield gauge("accept", "lower", "margin", _units(right), lambda scores, item: accept_that_counts(scores[item]))
    yield gauge(
        "discrimination", "higher", family, _units(wrong), lambda scores, item: apart(scores[item], scores[other[item]])
    )


def _capability(suite: Suite) -> Iterator[Gauge]:
    choices = [*suite.choices, *coherence(suite.documents)]
    for ability in (*ABILITIES, "coherence"):
        units = tuple((choice.item, choice.cluster) for choice in choices if choice.ability == ability)
        yield Gauge(f"capability.{ability}", "nats/token", "capability", "capability", "mean", "higher", units, _plain)


# Of what is read from an answer: its family of margins, its statistic, and which way is better.
_READ: Mapping[str, tuple[str, Statistic, Better]] = {
    "finished": ("manner", "flips", "higher"), "length": ("length", "mean", "same"),
    "repetition": ("repetition", "mean", "lower"), "looping": ("manner", "flips", "lower"),
    "distinct": ("distinct", "mean", "higher"), "entropy": ("entropy", "mean", "same"),
    "refused": ("slip", "flips", "lower"), "leaked": ("slip", "flips", "lower"), "foreign": ("slip", "flips", "lower"),
}  # fmt: skip


def _answers(suite: Suite) -> Iterator[Gauge]:
    tasks = _alone(task.item for task in suite.tasks)
    yield Gauge("capability.instructions", "", "instructions", "instructions", "flips", "higher", tasks, _plain)
    asked = tasks + _alone(item for item, _ in suite.prompts)
    for name in READINGS:
        family, statistic, better = _READ[name]
        yield Gauge(f"answers.{name}", "", name, family, statistic, better, asked, _plain)


def _plain(scores: Scores, item: str) -> float:
    return scores[item]


def _pushes(scores: Scores, item: str) -> float:
    return float(scores[item] > 0)


def _accepts(scores: Scores, item: str) -> float:
    return float(scores[item] <= 0)


def _sides(probes: Sequence[Probe]) -> tuple[list[Probe], list[Probe]]:
    return [p for p in probes if p.side == "wrong"], [p for p in probes if p.side == "right"]


def _partners(wrong: Sequence[Probe], right: Sequence[Probe]) -> dict[str, str]:
    """Each wrong probe's twin on the right side."""
    twins = {probe.twin: probe.item for probe in right}
    return {probe.item: twins[probe.twin] for probe in wrong}


def _units(probes: Sequence[Probe]) -> Units:
    return tuple((probe.item, probe.cluster) for probe in probes)


def _alone(names: Iterator[str]) -> Units:
    return tuple((name, name) for name in names)
