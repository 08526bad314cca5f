"""Two-sided probes: does the model tell a right direction from a wrong one?

The same two replies are offered in both situations, so what a reply is worth by itself cancels and a
mere taste for agreeing, or for refusing, shows as what it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamloop.gate.suite import Probe
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.records import Scenario, Twins

PROBE_TOKENS = 1024


def probes_of(dreamed: Sequence[Twins]) -> list[Probe]:
    """Scenarios as probes, right and wrong in turn. The side is the one that the seed proves, whatever a pair says."""
    return [_probe(scenario) for twins in dreamed for scenario in (twins.right, twins.wrong)]


def _probe(scenario: Scenario) -> Probe:
    return Probe(
        item=f"{scenario.kind}/{scenario.twin}/{scenario.side}",
        kind=scenario.kind,
        cluster=scenario.template,
        twin=scenario.twin,
        side=scenario.side,
        context=scenario.context,
        replies=((scenario.accept, scenario.push_back),),
    )


def score_probes(
    policy: Policy, encoder: ChatEncoder, probes: Sequence[Probe], progress: Progress, who: str
) -> dict[str, float]:
    """The push-back margin of each probe in nats per token, by item name.

    Margin = log-prob per token of pushing back minus that of accepting, averaged over the probe's reply
    pairs. Positive: the model would rather push back.
    """
    rows = [
        encoder.branches(encoder.seated(probe.context), [text for pair in probe.replies for text in pair], PROBE_TOKENS)
        for probe in probes
    ]
    scores = completion_logprobs(policy, rows, PROBE_TOKENS, progress, f"gate: probes, {who}")
    margins = {}
    for probe, branches in zip(probes, scores, strict=True):
        means = [tokens.mean().item() for tokens in branches]  # accept, push, accept, push, ...
        margins[probe.item] = sum(means[1::2]) / len(probe.replies) - sum(means[0::2]) / len(probe.replies)
    return margins
