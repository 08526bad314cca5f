"""Attention shift: do replies look more at what makes the direction right or wrong?

A continuous sign of learning that moves before any choice flips. It is for people to read: attending to something is
not judging it, so it never keeps a night and never reverts one.
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamloop.gate.suite import Probe
from dreamloop.model.encode import ChatEncoder, Tokens
from dreamloop.model.gaze import attention_on
from dreamloop.model.policy import Policy

TEMPLATES = 2  # of each kind
_TOKENS = 1024


def watched(probes: Sequence[Probe]) -> list[tuple[Probe, Probe]]:
    """Twins (wrong, right) that stand alone: one for each of the first templates of each kind."""
    right = {probe.twin: probe for probe in probes if probe.side == "right"}
    found: dict[str, dict[str, tuple[Probe, Probe]]] = {}
    for probe in probes:
        if probe.side == "wrong" and probe.manner == "alone" and len(probe.context) == 1:
            found.setdefault(probe.kind, {}).setdefault(probe.cluster, (probe, right[probe.twin]))
    return [twins for clusters in found.values() for twins in list(clusters.values())[:TEMPLATES]]


def score_attention(policy: Policy, encoder: ChatEncoder, probes: Sequence[Probe]) -> dict[str, float]:
    """Share of the push-back reply's attention on the claim, mean over both sides, by the wrong side's item name."""
    found = {}
    for wrong, right in watched(probes):
        reply = (wrong.replies[0][1],)
        rows = [encoder.branches(probe.context, reply, _TOKENS) for probe in (wrong, right)]
        spans = differing(rows[0].context, rows[1].context)
        found[wrong.item] = sum(attention_on(policy, rows, spans)) / 2
    return found


def differing(one: Tokens, other: Tokens) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where two sequences differ: what lies between their common beginning and their common end."""
    shorter = min(len(one), len(other))
    start = next((k for k in range(shorter) if one[k] != other[k]), shorter)
    end = next((k for k in range(shorter - start) if one[-1 - k] != other[-1 - k]), shorter - start)
    return (start, len(one) - end), (start, len(other) - end)
