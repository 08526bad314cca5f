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

PROBE_TOKENS = 1024


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
