"""The two phases that teach: a small SFT on mined replies, then DPO on pairs with a KL anchor on general answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dreamloop.errors import InvariantBroken
from dreamloop.finetune.mix import anchor_rows, stratified_batches, twin_batches
from dreamloop.finetune.parts import KlAnchor, Pairs, Part, SftRows, preference_losses
from dreamloop.finetune.recipe import batch_size, rate_factor
from dreamloop.finetune.step import Trainer
from dreamloop.model.encode import Row
from dreamloop.model.score import completion_logprobs
from dreamloop.records import Pair, Recipe

Scores = dict[Pair, list[Tensor]]


def sft_phase(trainer: Trainer, rows: Sequence[Row], replay: Sequence[Sequence[Row]]) -> None:
    """One pass over chosen replies and general rows by source, the same share of each in every step."""
    recipe, policy = trainer.recipe, trainer.policy
    policy.set_dropout("candidate", recipe.sft_dropout)
    size = batch_size(len(rows) + sum(map(len, replay)), recipe.sft_batch, recipe.min_steps)
    batches = stratified_batches((rows, *replay), size, recipe.seed)
    trainer.replayed |= {(source, number) for source, own in enumerate(replay) for number in range(len(own))}
    optimizer = trainer.optimizer("sft", recipe.sft_learning_rate)
    with policy.training(), trainer.progress.track("training: SFT", len(batches), "steps") as advance:
        for index, (own, *others) in enumerate(batches):
            general = [row for source in others for row in source]
            count = len(own) + len(general)

            def parts(own: list[Row] = own, general: list[Row] = general, count: int = count) -> list[Part]:
                return [SftRows(own, count, is_replay=False), SftRows(general, count, is_replay=True)]

            rate = recipe.sft_learning_rate * rate_factor(index, len(batches), recipe.warmup_ratio, recipe.decay_ratio)
            trainer.step(parts, optimizer, rate, "sft", index)
            advance(1)
    trainer.keep_moments(optimizer, "sft")


def dpo_phase(trainer: Trainer, rows: Mapping[Pair, Row], replay: Sequence[Sequence[Row]]) -> Scores:
    """One pass over the pairs with the anchor on replay rows by source; returns their scores at its start.

    The reference is the base model, as TRL takes it for an adapter. Were it last night's adapter, every night would
    ask for the whole distance once more, and what is learned already would be pushed on for ever; so a pair that is
    far enough apart asks for nothing. Reference and start are scored once with dropout off, in the very packs that
    training uses, because in bfloat16 another shape rounds otherwise.

    Raises:
        InvariantBroken: the first loss is not what follows from the scores of reference and start.
    """
    recipe, policy = trainer.recipe, trainer.policy
    policy.set_dropout("candidate", 0.0)
    batches = twin_batches(rows, batch_size(len(rows), recipe.dpo_batch, recipe.min_steps), recipe.seed)
    start, reference = score_both(trainer, rows, batches)
    budget = trainer.accumulator.pack_tokens
    optimizer = trainer.optimizer("dpo", recipe.dpo_learning_rate)
    with trainer.without_dropout(), trainer.progress.track("training: DPO", len(batches), "steps") as advance:
        for index, batch in enumerate(batches):
            picked = anchor_rows(replay, recipe.anchor_tokens if recipe.anchor_weight else 0, index, len(batches))
            trainer.replayed |= {(pick.source, pick.number) for pick in picked}
            general = [pick.row for pick in picked]

            def parts(batch: list[Pair] = batch, general: list[Row] = general, index: int = index) -> list[Part]:
                # Where memory ended in the first step, the packs are smaller now and so must be the reference's.
                if index == 0 and trainer.accumulator.pack_tokens != budget:
                    for old, new in zip((start, reference), score_both(trainer, rows, batches), strict=True):
                        old.update(new)
                pairs = Pairs(
                    [rows[pair] for pair in batch], [reference[pair] for pair in batch],
                    [start[pair] for pair in batch], _weights(batch, recipe), _betas(batch, recipe), recipe,
                )  # fmt: skip
                return [pairs, KlAnchor(general, recipe.anchor_weight)] if general else [pairs]

            rate = recipe.dpo_learning_rate * rate_factor(index, len(batches), recipe.warmup_ratio, recipe.decay_ratio)
            step = trainer.step(parts, optimizer, rate, "dpo", index)
            if index == 0:
                _check_start(step.dpo, _first_loss(rows, batch, start, reference, recipe), policy.dtype)
            advance(1)
    trainer.keep_moments(optimizer, "dpo")
    return start


def pushes_back(pair: Pair) -> bool:
    """Whether it is the wrong side of dreamed twins, whose chosen reply pushes back."""
    return pair.provenance.source == "dream" and pair.provenance.signal == "wrong"


def _weights(batch: Sequence[Pair], recipe: Recipe) -> list[float]:
    return [recipe.push_back_weight if pushes_back(pair) else 1.0 for pair in batch]


def _betas(batch: Sequence[Pair], recipe: Recipe) -> list[float]:
    """Of dreamed pairs their kind's own, where it has one."""
    own = dict(recipe.beta_pattern)
    kinds = [pair.provenance.conversation if pair.provenance.source == "dream" else "" for pair in batch]
    return [own.get(kind, recipe.beta) for kind in kinds]


def score_both(trainer: Trainer, rows: Mapping[Pair, Row], batches: Sequence[Sequence[Pair]]) -> tuple[Scores, Scores]:
    """Every pair under the candidate as it is now, and under the base; without autograd."""
    start = score_batches(trainer, rows, batches)
    with trainer.policy.using(None):
        return start, score_batches(trainer, rows, batches)


def score_batches(trainer: Trainer, rows: Mapping[Pair, Row], batches: Sequence[Sequence[Pair]]) -> Scores:
    """Both replies of every pair as the adapter in use finds them now, without autograd."""
    found: Scores = {}
    for batch in batches:
        some = [rows[pair] for pair in batch]

        def scored(budget: int, some: list[Row] = some) -> list[list[Tensor]]:
            frozen = trainer.accumulator.frozen_contexts
            return completion_logprobs(trainer.policy, some, budget, frozen_contexts=frozen)

        found.update(zip(batch, trainer.accumulator.within_memory(scored), strict=True))
    return found


def _first_loss(
    rows: Mapping[Pair, Row], batch: Sequence[Pair], start: Scores, reference: Scores, recipe: Recipe
) -> float:
    """The first step's loss as the scores of its pairs say it: ln 2 for 'sigmoid' where nothing was learned yet."""
    weights = _weights(batch, recipe)
    own, scores = [rows[pair] for pair in batch], dict(enumerate(start[pair] for pair in batch))
    told = preference_losses(own, scores, [reference[pair] for pair in batch], weights, _betas(batch, recipe), recipe)
    return sum(weights[row] * one.item() for row, one in told.items()) / sum(weights)


def _check_start(loss: float | None, expected: float, dtype: torch.dtype) -> None:
    started = math.nan if loss is None else loss
    tolerance = (1e-4 if dtype == torch.float32 else 0.02) * max(1.0, expected)
    if not abs(started - expected) <= tolerance:
        raise InvariantBroken(
            f"DPO started at {started:.5f} instead of {expected:.5f}, which its scores before the first step say: "
            "training and scoring see different models or rows."
        )
