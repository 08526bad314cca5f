"""What can be taught: does the base tell the two sides of a kind apart, asked plainly, or after solved examples, or
without saying so: is what is right likelier to be said than what is wrong?

A model that shows no difference in any of them has nothing that a small step could route to its replies; training such
a kind teaches a bias. Asked once for each base model and kind, on dreams that nothing is ever trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dreamloop.gate.probes import PROBE_TOKENS, probes_of, score_probes
from dreamloop.gate.suite import Probe
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.records import Context, Message, Potential, Scenario, Twins

SHOWN = 1  # twins whose two sides are solved before a question; the shortest of their kind


def survey(
    policy: Policy, encoder: ChatEncoder, dreamed: Mapping[str, Sequence[Twins]], progress: Progress
) -> list[Potential]:
    """The potential of each kind, by fresh twins of it; of one with no more twins than are shown nothing was asked."""
    asked = {kind: sorted(own, key=_length)[SHOWN:] for kind, own in dreamed.items()}
    solved = {kind: examples(sorted(own, key=_length)[:SHOWN]) for kind, own in dreamed.items()}
    plain = [probe for own in asked.values() for probe in probes_of(own)]
    shown = [replace(probe, context=behind(solved[probe.kind], probe.context)) for probe in plain]
    with policy.using(None):
        once = score_probes(policy, encoder, plain, progress, "base, survey")
        again = score_probes(policy, encoder, shown, progress, "base, survey with examples")
        unlikely = _unlikely(policy, encoder, plain, progress)
    return [
        Potential(kind, len(own), *(_won(own, scores) for scores in (once, again, unlikely)))
        for kind, own in asked.items()
    ]


def _unlikely(policy: Policy, encoder: ChatEncoder, probes: Sequence[Probe], progress: Progress) -> dict[str, float]:
    """Minus the log-prob of what the user says, in nats, by item; twins differ in nothing but the claim."""
    said = ["\n".join(turn.content for turn in probe.context if turn.role == "user") for probe in probes]
    rows = [encoder.prose(text, PROBE_TOKENS) for text in said]
    scores = completion_logprobs(policy, rows, PROBE_TOKENS, progress, "survey: what is likely, base")
    return {probe.item: -branches[0].sum().item() for probe, branches in zip(probes, scores, strict=True)}


def examples(twins: Sequence[Twins]) -> Context:
    """Both sides of each, answered as they should be."""
    sides = [pair for one in twins for pair in ((one.right, one.right.accept), (one.wrong, one.wrong.push_back))]
    return tuple(turn for side, reply in sides for turn in (*_spoken(side), Message("assistant", reply)))


def behind(solved: Context, context: Context) -> Context:
    """The context after solved examples, its system turn still first."""
    systems = [turn for turn in context if turn.role == "system"]
    return (*systems, *solved, *(turn for turn in context if turn.role != "system"))


def _spoken(scenario: Scenario) -> Context:
    return tuple(turn for turn in scenario.context if turn.role != "system")


def _length(twins: Twins) -> int:
    return len(twins.text())


def _won(twins: Sequence[Twins], scores: Mapping[str, float]) -> int:
    """In how many the wrong side draws more push-back."""
    items: list[tuple[Probe, Probe]] = [(wrong, right) for right, wrong in map(_both, twins)]
    return sum(scores[wrong.item] > scores[right.item] for wrong, right in items)


def _both(twins: Twins) -> tuple[Probe, Probe]:
    right, wrong = probes_of([twins])
    return right, wrong
