"""Spill: does what was taught come out where nobody asked for it?

The beginnings of tonight's chosen replies are put behind everyday requests that have nothing to do with them. An
honest night makes a reply likelier where it belongs; a persona, another language or a phrase that stands in every
reply becomes likelier everywhere, long before it is what the model writes by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dreamloop.log import Progress
from dreamloop.model.encode import Branch, ChatEncoder, Row
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.records import Context

SPILL_TOKENS = 16
_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A reply behind a request that it does not belong to."""

    item: str
    context: Context
    reply: str


def misplaced(replies: Sequence[str], contexts: Sequence[Context]) -> tuple[Misplaced, ...]:
    """Every distinct reply behind one of the contexts, in turn; nothing where there is no context."""
    distinct = dict.fromkeys(replies) if contexts else {}
    return tuple(Misplaced(f"spill/{k}", contexts[k % len(contexts)], text) for k, text in enumerate(distinct))


def score_spill(
    policy: Policy, encoder: ChatEncoder, items: Sequence[Misplaced], progress: Progress, who: str
) -> dict[str, float]:
    """Log-prob per token of how each reply begins, in nats, by item name."""
    rows = [beginning(encoder, item.context, item.reply) for item in items]
    scores = completion_logprobs(policy, rows, _TOKENS, progress, f"gate: spill, {who}")
    return {item.item: branches[0].mean().item() for item, branches in zip(items, scores, strict=True)}


def beginning(encoder: ChatEncoder, context: Context, reply: str) -> Row:
    """A reply's first tokens behind a context."""
    row = encoder.branches(encoder.seated(context), (reply,), 2**31)
    (branch,) = row.branches
    return Row(row.context, (Branch(branch.tokens[:SPILL_TOKENS], branch.scored[:SPILL_TOKENS]),))
