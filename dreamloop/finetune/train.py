"""One night's training: a small SFT phase, DPO with a KL anchor, and the hold, on one adapter or all weights."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import fmean

import torch

from dreamloop.errors import InvariantBroken
from dreamloop.finetune.accumulate import not_enough, out_of_memory
from dreamloop.finetune.hold import Shift, hold_phase
from dreamloop.finetune.optimizer import Moments
from dreamloop.finetune.phases import Scores, dpo_phase, score_batches, sft_phase
from dreamloop.finetune.recipe import suggested_rank
from dreamloop.finetune.rows import (
    CHOSEN,
    REJECTED,
    chosen_only,
    encode_bystanders,
    encode_pairs,
    encode_replay,
    words_only,
)
from dreamloop.finetune.step import Trainer
from dreamloop.finetune.symptoms import symptoms
from dreamloop.log import Progress
from dreamloop.model.device import peak_memory_mb
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.policy import Policy
from dreamloop.records import ChatRow, Pair, Recipe, ReplayShare, Step, StepReport


@dataclass(frozen=True, slots=True)
class Trained:
    """How it went, and the optimizer's moments for the next night; empty unless the recipe carries them."""

    report: StepReport
    moments: Moments


def train(
    policy: Policy,
    encoder: ChatEncoder,
    pairs: Sequence[Pair],
    replay: Sequence[ChatRow],
    recipe: Recipe,
    progress: Progress,
    moments: Moments | None = None,
    bystanders: Sequence[Pair] = (),
) -> Trained:
    """Train the policy's ``candidate`` adapter by one pass over the night's examples.

    Args:
        policy: has the candidate adapter loaded, a copy of the incumbent or fresh.
        encoder: the policy's chat encoder.
        pairs: preference pairs; twins carry the same ``twin``.
        replay: general answers, for SFT rows and for the KL anchor.
        recipe: every knob, and the seed.
        progress: where to show the steps.
        moments: those of the generation that is continued.
        bystanders: twins that nothing is taught about, each with several pairs of replies; what was shifted between
            these is taken back.

    Raises:
        InvariantBroken: one of the promises 1, 2, 4 or 6 of the training step does not hold.
        ModelError: out of memory, and again with half the tokens per pass.
    """
    started = time.monotonic()
    policy.use("candidate")
    _check_trainable(policy)
    rows, pair_skips = encode_pairs(encoder, pairs, recipe.max_length)
    replay_rows, replay_skips = encode_replay(encoder, replay, recipe.max_length)
    aside, aside_skips = encode_bystanders(encoder, bystanders, recipe.max_length)
    if not rows:
        raise InvariantBroken("None of tonight's pairs fits the model; raise finetune.max_length or look at the skips.")
    by_source = _by_source(replay_rows)
    trainer = Trainer(policy, recipe, progress, moments or {})
    try:
        with _own_randomness(policy, recipe.seed), policy.checkpointing(recipe.gradient_checkpointing):
            before, after, shift = _phases(trainer, rows, [list(own.values()) for own in by_source], aside)
        _check_floor(_chosen(before) - _chosen(after), recipe.chosen_floor)
    except InvariantBroken as error:
        error.steps = tuple(trainer.steps)
        raise
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise not_enough(trainer.accumulator.pack_tokens) from None  # in the optimizer, or in a copy of the weights
    used = [item.digest for s, own in enumerate(by_source) for n, item in enumerate(own) if (s, n) in trainer.replayed]
    report = StepReport(
        steps=tuple(trainer.steps),
        symptoms=symptoms(trainer.steps),
        trained=tuple(pair.digest for pair in rows),
        replayed=tuple(used),
        held=tuple(pair.digest for pair in aside),
        bystanders=len({pair.twin for pair in aside}),
        skips=(
            *pair_skips,
            *replay_skips,
            *(replace(skip, reason=f"bystander: {skip.reason}") for skip in aside_skips),
        ),
        replay_share=_replay_share(len(rows), len(used), [step for step in trainer.steps if step.phase != "hold"]),
        trainable_parameters=sum(p.numel() for p in policy.trainable("candidate").values()),
        ranks=policy.ranks("candidate"),
        gains=policy.gains("candidate"),
        suggested_rank=suggested_rank(len(rows) + len(used)),
        resumed=tuple(trainer.resumed),
        packing=trainer.accumulator.trunk_tokens / max(trainer.accumulator.room, 1),
        pack_tokens=trainer.accumulator.pack_tokens,
        dpo_start_loss=next(step.dpo for step in trainer.steps if step.dpo is not None),
        chosen_before=_chosen(before),
        chosen_after=_chosen(after),
        margin_before=_margin(before),
        margin_after=_margin(after),
        shift_before=shift.before if shift else None,
        shift_after=shift.after if shift else None,
        hold_share=shift.share if shift else None,
        update_norm=policy.moved_since(trainer.start),
        seconds=time.monotonic() - started,
        tokens_per_s=trainer.accumulator.trunk_tokens / max(sum(step.seconds for step in trainer.steps), 1e-9),
        peak_memory_mb=peak_memory_mb(policy.device),
    )
    return Trained(report, trainer.moments)


def _by_source(rows: Mapping[ChatRow, Row]) -> list[dict[ChatRow, Row]]:
    found: dict[str, dict[ChatRow, Row]] = {}
    for item, row in rows.items():
        found.setdefault(item.source, {})[item] = row
    return list(found.values())


def _phases(
    trainer: Trainer, rows: Mapping[Pair, Row], replay: Sequence[Sequence[Row]], bystanders: Mapping[Pair, Row]
) -> tuple[Scores, Scores, Shift | None]:
    """Scores of the pairs at the start of DPO and at the end of the night, and what bystanders had shifted."""
    mined = [chosen_only(row) for pair, row in rows.items() if pair.twin is None]
    if trainer.recipe.sft and mined:
        sft_phase(trainer, mined, replay)
    words = {pair: words_only(row) for pair, row in rows.items()}
    before = dpo_phase(trainer, words, replay)
    aside = {pair: words_only(row) for pair, row in bystanders.items()}
    shift = hold_phase(trainer, aside) if aside else None
    return before, score_batches(trainer, words, [list(words)]), shift


@contextmanager
def _own_randomness(policy: Policy, seed: int) -> Iterator[None]:
    """Dropout follows the seed, and nobody else's draws are touched."""
    with torch.random.fork_rng(devices=[policy.device] if policy.device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _replay_share(pairs: int, general: int, steps: Sequence[Step]) -> ReplayShare:
    def share(own: float, general: float) -> float:
        return general / (own + general) if own + general else 0.0

    return ReplayShare(
        rows=share(pairs, general),
        tokens=share(sum(s.tokens for s in steps), sum(s.replay_tokens for s in steps)),
        grad_norm=share(sum(s.behaviour_grad_norm for s in steps), sum(s.replay_grad_norm for s in steps)),
    )


def _chosen(scores: Scores) -> float:
    return fmean(branches[CHOSEN].mean().item() for branches in scores.values())


def _margin(scores: Scores) -> float:
    return fmean(branches[CHOSEN].mean().item() - branches[REJECTED].mean().item() for branches in scores.values())


def _check_trainable(policy: Policy) -> None:
    if not policy.trainable("candidate"):
        raise InvariantBroken("The recipe's target_modules name no layer of this model; use 'all-linear'.")


def _check_floor(fallen: float, floor: float) -> None:
    if not fallen <= floor:
        raise InvariantBroken(
            f"The chosen replies lost {fallen:.2f} nats per token (allowed {floor:g}): the step was too large; "
            "lower finetune.dpo_learning_rate."
        )
