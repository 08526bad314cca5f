"""The gate's trial of tonight's candidate: measured, compared, judged; and judged smaller where only its size is wrong.

What base and incumbent score on the fixed items is looked up in the ledger, under a key of everything it depends
on, and measured only where it is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from statistics import fmean

from dreamloop.config import Gate
from dreamloop.errors import first_line
from dreamloop.gate.bias import NAME as BIAS
from dreamloop.gate.bias import taught_bias
from dreamloop.gate.capability import score_choices
from dreamloop.gate.diagnosis import READS, Fall, explain, instructed, shown
from dreamloop.gate.distance import NAME as WEIGHTS
from dreamloop.gate.distance import weights_moved
from dreamloop.gate.gauges import Gauge, Items, expected, gauges_of_the_night
from dreamloop.gate.measures import Margins, Trio, compare, evidence
from dreamloop.gate.scores import Scored, cache_key, score_fresh, score_suite
from dreamloop.gate.suite import Choice
from dreamloop.gate.verdict import decide, too_large
from dreamloop.ledger.store import Ledger
from dreamloop.log import Progress
from dreamloop.model.policy import Adapter, Snapshot
from dreamloop.model.wake import Model
from dreamloop.records import Generation, Measure, Trial

# Of the step, where the whole one is too large. Learning comes late and at once: half of a night's step was seen to
# tell fresh twins apart by 0.14 nats per token where the whole told them apart by 0.63.
SHARES = (0.75, 0.5, 0.25)

_COMPUTE = ("torch", "transformers", "peft", "tokenizers", "py3langid")


@dataclass(frozen=True, slots=True)
class Judge:
    """What a trial needs to know of the night.

    ``incumbent`` is the generation that serves, None for the base.
    """

    night: int
    knobs: Gate
    ledger: Ledger
    model: Model
    incumbent: Generation | None
    progress: Progress

    def __call__(self, items: Items, start: Snapshot | None) -> tuple[Trial, Scored]:
        """Judge the candidate as it stands and, where only its size is to blame, less of its step (`SHARES`).

        Args:
            items: everything that is asked.
            start: the candidate before tonight's training; None where no smaller step is to be tried.

        Returns:
            The last trial, with the candidate's weights as they were judged in it, and its scores of the fixed items.
            Every trial is in the ledger.
        """
        asked = gauges_of_the_night(items)
        base = self._known(items, None)
        incumbent = self._known(items, self.model.serving) if self.model.serving else base
        trained = self.model.policy.snapshot("candidate") if start else None
        trial, scored = self._trial(0, 1.0, items, asked, base, incumbent)
        for attempt, share in enumerate(SHARES, 1):
            if not start or not trained or not too_large(trial.measures, trial.verdict, _expected(asked, items)):
                break
            self.model.policy.place(start, trained, share)
            trial, scored = self._trial(attempt, share, items, asked, base, incumbent)
        return trial, scored

    def remember(self, items: Items, scored: Scored, weights: str) -> None:
        """Keep the scores of what will serve, under its weights' digest, so that tomorrow need not measure it."""
        if scored.whole():
            self.ledger.record_suite_scores(self.night, self._key(items, weights), scored.to_json())

    def _trial(
        self, attempt: int, scale: float, items: Items, asked: list[Gauge], base: Scored, incumbent: Scored
    ) -> tuple[Trial, Scored]:
        fixed = self._suite(items, "candidate")
        trio = Trio(base, incumbent, fixed.joined(self._fresh(items, "candidate")))
        margins = Margins(self.knobs.tonight.model_dump(), self.knobs.since_base.model_dump(), self.knobs.confidence)
        measures = [
            *compare(asked, trio, margins),
            *(taught_bias(items.taught, trio, margins) if items.taught else ()),
            weights_moved(self.model.policy, "candidate", self.model.serving, margins),
        ]
        faults = dict.fromkeys(fault for one in (base, incumbent, trio.candidate) for fault in one.faults.values())
        verdict = decide(measures, _expected(asked, items), faults)
        verdict = replace(verdict, reasons=(*verdict.reasons, *self._told(items, measures)))
        trial = Trial(attempt, scale, items.suite.digest, tuple(measures), tuple(evidence(asked, trio)), verdict)
        self.ledger.record_trial(self.night, trial)
        return trial, fixed

    def _told(self, items: Items, measures: Sequence[Measure]) -> list[str]:
        """The diagnoses; what stands in their way must not cost the night its verdict."""
        try:
            return list(self._diagnoses(items, measures))
        except Exception as error:  # noqa: BLE001 - whatever it is, the verdict stands and this is told
            return [f"Why an ability fell could not be found out ({type(error).__name__}: {first_line(error)})."]

    def _diagnoses(self, items: Items, measures: Sequence[Measure]) -> Iterator[str]:
        """For every ability that fell tonight: whether it was forgotten or is only no longer done unasked."""
        found = {measure.name: measure.tonight for measure in measures}
        for ability, domain in READS.items():
            fell, reading = found.get(f"capability.{ability}"), found.get(f"perplexity.{domain}")
            if fell is None or reading is None or not fell.change < -fell.margin:
                continue
            choices = [choice for choice in items.suite.choices if choice.ability == ability]
            yield explain(Fall(
                ability, fell.change, self._change(shown(choices), "shown"), self._change(instructed(choices), "told"),
                reading.change, fell.margin, reading.margin,
            ))  # fmt: skip

    def _change(self, choices: Sequence[Choice], how: str) -> float:
        """Mean change of the margins from incumbent to candidate, asked in another way."""
        policy, means = self.model.policy, []
        for who in (self.model.serving, "candidate"):
            with policy.using(who):
                scores = score_choices(policy, self.model.encoder, choices, self.progress, f"{who or 'base'}, {how}")
            means.append(fmean(scores.values()))
        return means[1] - means[0]

    def _known(self, items: Items, who: Adapter | None) -> Scored:
        """Scores of the base or the incumbent, looked up as far as they are known."""
        digest = self.incumbent.digest if who and self.incumbent else ""
        key = self._key(items, digest)
        stored = self.ledger.suite_scores(key)
        fixed = Scored.from_json(stored) if stored else self._suite(items, who)
        if not stored and fixed.whole():
            self.ledger.record_suite_scores(self.night, key, fixed.to_json())
        return fixed.joined(self._fresh(items, who))

    def _suite(self, items: Items, who: Adapter | None) -> Scored:
        return score_suite(self.model.policy, self.model.encoder, items.suite, who, self.progress)

    def _fresh(self, items: Items, who: Adapter | None) -> Scored:
        return score_fresh(self.model.policy, self.model.encoder, items, who, self.progress)

    def _key(self, items: Items, weights: str) -> str:
        policy = self.model.policy
        return cache_key(items.suite, policy.digest, weights, f"{policy.dtype} on {policy.device}", _versions())


def _expected(asked: Sequence[Gauge], items: Items) -> list[str]:
    return [*expected(asked), WEIGHTS, *([BIAS] if items.taught else [])]


def _versions() -> Mapping[str, str]:
    return {package: version(package) for package in _COMPUTE}
