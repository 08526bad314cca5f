"""Where a reply looks: the share of its attention that falls on some tokens of its context.

Computed beside the model's own attention, from the same queries and keys, for one short row at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dreamloop.model.attention import Layout, Slice
from dreamloop.model.encode import Row
from dreamloop.model.pack import alone
from dreamloop.model.policy import Policy
from dreamloop.model.score import run_trunk


@dataclass(slots=True)
class Gaze:
    """Watches tokens ``queries`` of a plain causal sequence and how much of their attention ``span`` gets, by layer."""

    queries: Slice
    span: Slice
    shares: list[float] = field(default_factory=list)

    def look(self, query: Tensor, key: Tensor, scaling: float | None) -> None:
        """One layer's query (1, heads, T, D) and key (1, kv heads, T, D)."""
        start, end = self.queries
        own = query[0, :, start:end].float()
        seen = key[0].float().repeat_interleave(query.shape[1] // key.shape[1], dim=0)
        logits = own @ seen.transpose(1, 2) * (scaling or query.shape[-1] ** -0.5)
        place = torch.arange(seen.shape[1], device=query.device)
        later = place > place[start:end, None]
        attention = logits.masked_fill(later, -torch.inf).softmax(-1)
        self.shares.append(attention[:, :, slice(*self.span)].sum(-1).mean().item())


@torch.no_grad()
def attention_on(policy: Policy, rows: Sequence[Row], spans: Sequence[Slice]) -> list[float]:
    """Share of a reply's attention on a span of its context, mean over layers, heads and the reply's tokens.

    Args:
        policy: packable, because only then its attention passes through this project's hands.
        rows: one branch each.
        spans: (start, end) within each row's context.
    """
    found = []
    for batch, row, span in zip(alone(rows), rows, spans, strict=True):
        gaze = Gaze((len(row.context), len(row)), span)
        run_trunk(policy, batch.strip, Layout(batch.strip.segments, gaze=gaze))
        found.append(sum(gaze.shares) / len(gaze.shares))
    return found
