"""What a step learns from: rows with one loss each, the behavioural part first, general replay after it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

import torch
from torch import Tensor

from dreamloop.finetune import losses
from dreamloop.finetune.rows import CHOSEN, REJECTED, scored_tokens
from dreamloop.model.encode import Row
from dreamloop.model.pack import Pack, units
from dreamloop.model.policy import Policy
from dreamloop.model.score import token_kl_to_base, token_scores
from dreamloop.records import Recipe


@dataclass(frozen=True, slots=True)
class Done:
    """What one part came to: its weighted loss, its gradient's norm, its rows and their scored tokens."""

    loss: float
    grad_norm: float
    rows: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a part has to tell of a step; `records.Step` explains the names."""

    sft: float | None = None
    replay: float | None = None
    dpo: float | None = None
    guard: float | None = None
    anchor: float | None = None
    accuracy: float | None = None
    chosen: float | None = None
    rejected: float | None = None
    margin: float | None = None
    chosen_change: float | None = None
    shift: float | None = None
    entropy: float | None = None


class Part(Protocol):
    """Rows with one loss; used for one step and then done."""

    rows: Sequence[Row]

    def loss(self, policy: Policy, packs: Sequence[Pack]) -> Tensor:
        """The packs' share of the part's weighted loss, with autograd. A unit's rows come in one call."""
        ...

    def facts(self, done: Done) -> Facts:
        """What it saw, told after its gradient is done."""
        ...


class SftRows:
    """Negative log-prob of replies: mean over the ``batch`` rows of a step, of which these are some."""

    def __init__(self, rows: Sequence[Row], batch: int, is_replay: bool) -> None:
        self.rows, self.batch, self.is_replay = rows, batch, is_replay
        self.entropy = 0.0

    def loss(self, policy: Policy, packs: Sequence[Pack]) -> Tensor:
        """See `losses.sft`."""
        pieces, entropy = _by_row(policy, packs)
        self.entropy += entropy
        return torch.stack([losses.sft(branches[0]) / self.batch for branches in pieces.values()]).sum()

    def facts(self, done: Done) -> Facts:
        """The mean over its own rows; nothing where there are none."""
        if not self.rows:
            return Facts()
        mean, entropy = done.loss * self.batch / done.rows, self.entropy / done.tokens
        return Facts(replay=mean, entropy=entropy) if self.is_replay else Facts(sft=mean, entropy=entropy)


class Pairs:
    """Weighted mean over pairs of the preference loss and of the guard of the chosen reply.

    ``references`` and ``starts`` are each row's branches as the reference and the policy before the phase score them.
    """

    def __init__(
        self, rows: Sequence[Row], references: Sequence[Sequence[Tensor]], starts: Sequence[Sequence[Tensor]],
        weights: Sequence[float], betas: Sequence[float], recipe: Recipe,
    ) -> None:  # fmt: skip
        self.rows, self.references, self.starts = rows, references, starts
        self.weights, self.betas, self.recipe = weights, betas, recipe
        self.entropy = 0.0
        self.told: list[tuple[float, ...]] = []

    def loss(self, policy: Policy, packs: Sequence[Pack]) -> Tensor:
        """See `preference_losses` and `losses.sft`."""
        pieces, entropy = _by_row(policy, packs)
        self.entropy += entropy
        preferences = preference_losses(self.rows, pieces, self.references, self.weights, self.betas, self.recipe)
        weighted = [self.weights[row] * self._pair(row, pieces[row], own) for row, own in preferences.items()]
        return torch.stack(weighted).sum() / sum(self.weights)

    def _pair(self, row: int, branches: Sequence[Tensor], preference: Tensor) -> Tensor:
        chosen, rejected = branches
        was = [t.to(chosen.device) for t in self.references[row]]
        guard = losses.sft(chosen)
        logit = losses.dpo_logit(chosen.sum(), rejected.sum(), was[CHOSEN].sum(), was[REJECTED].sum())
        change = chosen.mean() - self.starts[row][CHOSEN].mean().to(chosen.device)
        weight = self.weights[row] / fmean(self.weights)
        values = (weight * preference, weight * guard, logit, chosen.mean(), rejected.mean(), change)
        self.told.append(tuple(torch.stack(values).detach().tolist()))
        return preference + self.recipe.rpo_alpha * guard

    def facts(self, done: Done) -> Facts:
        """Means over the pairs; those of the losses are weighted as the losses are."""
        dpo, guard, _, chosen, rejected, change = (fmean(column) for column in zip(*self.told, strict=True))
        return Facts(
            dpo=dpo, guard=guard if self.recipe.rpo_alpha else None, chosen=chosen, rejected=rejected,
            margin=chosen - rejected, chosen_change=change, entropy=self.entropy / max(done.tokens, 1),
            accuracy=fmean(told[2] > 0 for told in self.told),
        )  # fmt: skip


def preference_losses(
    rows: Sequence[Row], scores: Mapping[int, Sequence[Tensor]], references: Sequence[Sequence[Tensor]],
    weights: Sequence[float], betas: Sequence[float], recipe: Recipe,
) -> dict[int, Tensor]:  # fmt: skip
    """Each scored pair's loss by its row's number; twins, which are units of two rows, have one together.

    Args:
        rows: of the step. scores: of some of them, whole units, their branches' log-probs.
        references: of all of them, the same under the reference. weights, betas: of all of them, twins having one beta.
        recipe: which loss.
    """
    kind, smoothing = recipe.loss_type, recipe.label_smoothing
    logits = {row: _logit(own, references[row], recipe) for row, own in scores.items()}
    found = {row: losses.preference(kind, logit, betas[row], smoothing) for row, logit in logits.items()}
    for one, other in (unit for unit in units(rows) if len(unit) == 2 and unit[0] in scores):
        both, sides = (logits[one], logits[other]), (weights[one], weights[other])
        together = losses.of_twins(kind, both, sides, betas[one], smoothing, recipe.pairwise_share)
        found[one] = found[other] = together
    return found


def _logit(branches: Sequence[Tensor], reference: Sequence[Tensor], recipe: Recipe) -> Tensor:
    return losses.held_logit(recipe.loss_type, _two(branches), _two(reference, branches), recipe.dpop_lambda)


class KlAnchor:
    """Forward KL to the base, mean over all scored tokens of replay rows, times a weight."""

    def __init__(self, rows: Sequence[Row], weight: float) -> None:
        self.rows, self.weight = rows, weight

    def loss(self, policy: Policy, packs: Sequence[Pack]) -> Tensor:
        """Summed over the packs' tokens, divided by all."""
        kl = torch.stack([token_kl_to_base(policy, batch).sum() for batch in packs]).sum()
        return self.weight * kl / scored_tokens(self.rows)

    def facts(self, done: Done) -> Facts:
        """Nats per token, without the weight."""
        return Facts(anchor=done.loss / self.weight)


class Bystanders:
    """Twins that are not taught, whose replies may not both shift one way: mean square of `losses.shared_gain`.

    It is over units: both sides of one twin with one of the pairs of replies that it is held by. ``references`` are the
    rows' branches as the base scores them.
    """

    def __init__(self, rows: Sequence[Row], references: Sequence[Sequence[Tensor]]) -> None:
        self.rows, self.references = rows, references

    def loss(self, policy: Policy, packs: Sequence[Pack]) -> Tensor:
        """Summed over the packs' units, divided by all."""
        pieces, _ = _by_row(policy, packs)
        return torch.stack(shared_gains(self.rows, pieces, self.references)).square().sum() / len(units(self.rows))

    def facts(self, done: Done) -> Facts:
        """Nats per token, root mean square."""
        return Facts(shift=math.sqrt(done.loss))


def shared_gains(
    rows: Sequence[Row], scores: Mapping[int, Sequence[Tensor]], references: Sequence[Sequence[Tensor]]
) -> list[Tensor]:
    """`losses.shared_gain` of each scored unit of two rows, from per-token means.

    Args:
        rows: whole units. scores: of some of them, whole units, their branches' log-probs by the row's number.
        references: of all of them, the same under the reference.
    """
    logits = {
        row: losses.held_logit("ipo", _two(own), _two(references[row], own), dpop_lambda=0.0)
        for row, own in scores.items()
    }
    return [losses.shared_gain((logits[one], logits[other])) for one, other in units(rows) if one in logits]


def _two(branches: Sequence[Tensor], like: Sequence[Tensor] = ()) -> losses.Two:
    """Chosen and rejected, on the device of others."""
    chosen, rejected = (branches[k] for k in (CHOSEN, REJECTED))
    return (chosen.to(like[0].device), rejected.to(like[0].device)) if like else (chosen, rejected)


def _by_row(policy: Policy, packs: Sequence[Pack]) -> tuple[dict[int, list[Tensor]], float]:
    """Log-probs of each row's branches, (T,) each, by the row's number, and the sum of entropies."""
    pieces: dict[int, list[Tensor]] = {}
    entropy = 0.0
    for batch in packs:
        scores = token_scores(policy, batch)
        entropy += float(scores.entropy.sum())
        for span in batch.spans:
            pieces.setdefault(span.row, []).append(scores.logprobs[span.start : span.end])
    return pieces, entropy
