"""One night's training: a small SFT phase, then DPO with a KL anchor, on one LoRA.

Every batch is split into packs by tokens; each pack's loss is already divided by the batch's rows,
so loss and gradients do not depend on packing. The reference of DPO is the policy at the start of the
DPO phase, scored once with dropout off, so training starts at ln 2.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dreamloop.errors import InvariantBroken
from dreamloop.finetune import losses
from dreamloop.finetune.mix import (
    CHOSEN,
    REJECTED,
    anchor_rows,
    chosen_only,
    encode_pairs,
    encode_replay,
    even_batches,
    twin_batches,
)
from dreamloop.finetune.recipe import batch_size, rate_factor
from dreamloop.log import Progress
from dreamloop.model.device import peak_memory_mb
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.load import Policy
from dreamloop.model.score import completion_logprobs, packs_for, token_kl_to_base, token_logprobs, whole_rows
from dreamloop.records import ChatRow, Pair, Recipe, Step, StepReport

LN2 = math.log(2)


@dataclass(slots=True)
class _Trainer:
    """What both phases share: the adapter being trained, the recipe, and what has happened so far."""

    policy: Policy
    recipe: Recipe
    progress: Progress
    steps: list[Step] = field(default_factory=list)
    paid_tokens: int = 0
    row_tokens: int = 0

    def optimizer(self, rate: float) -> torch.optim.AdamW:
        parameters = list(self.policy.trainable("candidate").values())
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=self.recipe.weight_decay)

    def backward(self, rows: Sequence[Row], loss_of: Callable[[list[list[Tensor]], list[int]], Tensor]) -> float:
        """Sum of ``loss_of`` over packs, with its gradient added; tensors come as [row][branch]."""
        total = 0.0
        for group in whole_rows(self.policy, rows, self.recipe.pack_tokens):
            pieces: dict[int, list[Tensor]] = {}
            for batch in group:
                logprobs = token_logprobs(self.policy, batch)
                for span in batch.spans:
                    pieces.setdefault(span.row, []).append(logprobs[span.start : span.end])
                self.paid_tokens += len(batch.tokens)
            loss = loss_of(list(pieces.values()), list(pieces))
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves this one untyped
            total += loss.item()
        self.row_tokens += sum(len(row) for row in rows)
        return total

    def backward_anchor(self, rows: Sequence[Row]) -> float:
        """Mean forward KL to the base over the rows' tokens in nats; its weighted gradient is added."""
        scored = sum(sum(row.branches[0].scored) for row in rows)
        if not scored or not self.recipe.anchor_weight:
            return 0.0
        total = 0.0
        for batch in packs_for(self.policy, rows, self.recipe.pack_tokens):
            kl = token_kl_to_base(self.policy, batch).sum() / scored
            (self.recipe.anchor_weight * kl).backward()  # type: ignore[no-untyped-call] # as above
            total += kl.item()
        return total

    def apply(self, optimizer: torch.optim.AdamW, rate: float, **done: Any) -> None:
        """Clip, step, and note it.

        Raises:
            InvariantBroken: the loss, the gradient or the weights stopped being finite.
        """
        parameters = list(self.policy.trainable("candidate").values())
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.recipe.max_grad_norm).item()
        if not (math.isfinite(norm) and math.isfinite(done["loss"]) and math.isfinite(done["anchor"])):
            raise InvariantBroken(
                f"Training broke in {done['phase']} step {done['index'] + 1}: loss {done['loss']:.3g}, gradient norm "
                f"{norm:.3g}; lower the learning rate."
            )
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if not all(bool(p.isfinite().all()) for p in parameters):
            raise InvariantBroken(f"An adapter weight is not finite after {done['phase']} step {done['index'] + 1}.")
        self.steps.append(Step(grad_norm=norm, learning_rate=rate, **done))


def train(
    policy: Policy,
    encoder: ChatEncoder,
    pairs: Sequence[Pair],
    replay: Sequence[ChatRow],
    recipe: Recipe,
    progress: Progress,
) -> StepReport:
    """Train the policy's ``candidate`` adapter by one pass over the night's examples.

    Args:
        policy: has the candidate adapter loaded, a copy of the incumbent or fresh.
        encoder: the policy's chat encoder.
        pairs: preference pairs; twins carry the same ``twin``.
        replay: general answers, for SFT rows and for the KL anchor.
        recipe: every knob, and the seed.
        progress: where to show the steps.

    Raises:
        InvariantBroken: one of the promises 1, 2, 4 or 6 of the training step does not hold.
    """
    started = time.monotonic()
    _check_trainable(policy)
    rows, pair_skips = encode_pairs(encoder, pairs, recipe.max_length)
    replay_rows, replay_skips = encode_replay(encoder, replay, recipe.max_length)
    if not rows:
        raise InvariantBroken("None of tonight's pairs fits the model; raise finetune.max_length or look at the skips.")
    before = _weights(policy)
    trainer = _Trainer(policy, recipe, progress)
    policy.use("candidate")
    with torch.random.fork_rng(devices=[policy.device] if policy.device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        mined = [chosen_only(row) for pair, row in rows.items() if pair.twin is None]
        if recipe.sft and mined:
            _sft_phase(trainer, [*mined, *replay_rows.values()])
        dpo = _dpo_phase(trainer, rows, list(replay_rows.values()))
    return StepReport(
        steps=tuple(trainer.steps),
        trained=tuple(pair.digest for pair in rows),
        replayed=tuple(item.digest for item in replay_rows),
        skips=(*pair_skips, *replay_skips),
        trainable_parameters=sum(p.numel() for p in policy.trainable("candidate").values()),
        packing=trainer.row_tokens / max(trainer.paid_tokens, 1),
        dpo_start_loss=dpo.start_loss,
        chosen_before=dpo.before[0],
        chosen_after=dpo.after[0],
        margin_before=dpo.before[1],
        margin_after=dpo.after[1],
        update_norm=_distance(before, _weights(policy)),
        seconds=time.monotonic() - started,
        peak_memory_mb=peak_memory_mb(policy.device),
    )


def _sft_phase(trainer: _Trainer, rows: Sequence[Row]) -> None:
    recipe = trainer.recipe
    trainer.policy.set_dropout("candidate", recipe.sft_dropout)
    trainer.policy.model.train()
    batches = even_batches(rows, batch_size(len(rows), recipe.sft_batch, recipe.min_steps), recipe.seed)
    optimizer = trainer.optimizer(recipe.sft_learning_rate)
    with trainer.progress.track("training: SFT", len(batches), "steps") as advance:
        for index, batch in enumerate(batches):
            size = len(batch)

            def loss_of(pieces: list[list[Tensor]], _: list[int], size: int = size) -> Tensor:
                return torch.stack([losses.sft(branches[0]) for branches in pieces]).sum() / size

            loss = trainer.backward(batch, loss_of)
            rate = recipe.sft_learning_rate * rate_factor(index, len(batches), recipe.warmup_ratio)
            trainer.apply(optimizer, rate, phase="sft", index=index, rows=size, tokens=_scored(batch),
                          loss=loss, anchor=0.0, accuracy=None)  # fmt: skip
            advance(1)
    trainer.policy.model.eval()


@dataclass(frozen=True, slots=True)
class _DpoResult:
    """The first step's loss, and (chosen log-prob, margin) per token before and after."""

    start_loss: float
    before: tuple[float, float]
    after: tuple[float, float]


def _dpo_phase(trainer: _Trainer, rows: dict[Pair, Row], replay: Sequence[Row]) -> _DpoResult:
    recipe, policy = trainer.recipe, trainer.policy
    policy.set_dropout("candidate", 0.0)
    policy.model.eval()  # with dropout at 0 this changes no number, and keeps cached kernels
    batches = twin_batches(rows, batch_size(len(rows), recipe.dpo_batch, recipe.min_steps), recipe.seed)
    reference = _score(policy, rows, batches, recipe.pack_tokens)
    optimizer = trainer.optimizer(recipe.dpo_learning_rate)
    start_loss = math.nan
    with trainer.progress.track("training: DPO", len(batches), "steps") as advance:
        for index, batch in enumerate(batches):
            logits: list[float] = []

            def loss_of(
                pieces: list[list[Tensor]], inside: list[int],
                batch: list[Pair] = batch, logits: list[float] = logits,
            ) -> Tensor:  # fmt: skip
                loss = torch.zeros((), device=policy.device)
                for branches, i in zip(pieces, inside, strict=True):
                    ref = [t.to(policy.device).sum() for t in reference[batch[i]]]
                    logit = losses.dpo_logit(branches[CHOSEN].sum(), branches[REJECTED].sum(),
                                             ref[CHOSEN], ref[REJECTED])  # fmt: skip
                    logits.append(logit.item())
                    loss = loss + losses.dpo(logit, recipe.beta)
                return loss / len(batch)

            packed = [rows[pair] for pair in batch]
            loss = trainer.backward(packed, loss_of)
            if index == 0:
                start_loss = loss
                _check_start(start_loss, policy.dtype)
            anchor = trainer.backward_anchor(anchor_rows(replay, recipe.anchor_tokens, index))
            rate = recipe.dpo_learning_rate * rate_factor(index, len(batches), recipe.warmup_ratio)
            accuracy = sum(logit > 0 for logit in logits) / len(logits) if index else None
            trainer.apply(optimizer, rate, phase="dpo", index=index, rows=len(batch), tokens=_scored(packed),
                          loss=loss, anchor=anchor, accuracy=accuracy)  # fmt: skip
            advance(1)
    after = _score(policy, rows, batches, recipe.pack_tokens)
    result = _DpoResult(start_loss, _summary(reference), _summary(after))
    _check_floor(result, recipe.chosen_floor)
    return result


def _score(
    policy: Policy, rows: dict[Pair, Row], batches: Sequence[Sequence[Pair]], pack_tokens: int
) -> dict[Pair, list[Tensor]]:
    """Scores in the packs that training uses, because in bfloat16 another shape rounds otherwise."""
    found: dict[Pair, list[Tensor]] = {}
    for batch in batches:
        scores = completion_logprobs(policy, [rows[pair] for pair in batch], pack_tokens)
        found.update(zip(batch, scores, strict=True))
    return found


def _summary(scores: dict[Pair, list[Tensor]]) -> tuple[float, float]:
    chosen = [branches[CHOSEN].mean().item() for branches in scores.values()]
    margin = [branches[CHOSEN].mean().item() - branches[REJECTED].mean().item() for branches in scores.values()]
    return sum(chosen) / len(chosen), sum(margin) / len(margin)


def _scored(rows: Sequence[Row]) -> int:
    return sum(sum(branch.scored) for row in rows for branch in row.branches)


def _weights(policy: Policy) -> dict[str, Tensor]:
    return policy.deltas("candidate")


def _distance(before: dict[str, Tensor], after: dict[str, Tensor]) -> float:
    """Frobenius norm over all weights of what the night changed in W + gain·B·A."""
    return math.sqrt(sum(float((after[key] - before[key]).square().sum()) for key in after))


def _check_trainable(policy: Policy) -> None:
    if not policy.trainable("candidate"):
        raise InvariantBroken("The recipe's target_modules name no layer of this model; use 'all-linear'.")


def _check_start(loss: float, dtype: torch.dtype) -> None:
    tolerance: float = 1e-4 if dtype == torch.float32 else 0.02
    if not abs(loss - LN2) <= tolerance:
        raise InvariantBroken(
            f"DPO started at {loss:.5f} instead of ln 2 = {LN2:.5f}: the reference is not the starting policy."
        )


def _check_floor(result: _DpoResult, floor: float) -> None:
    fallen: float = result.before[0] - result.after[0]
    if not fallen <= floor:
        raise InvariantBroken(
            f"The chosen replies lost {fallen:.2f} nats per token (allowed {floor:g}): the step was too large; "
            "lower finetune.dpo_learning_rate."
        )
