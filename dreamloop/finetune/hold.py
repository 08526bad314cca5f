"""The night's last phase: what learning has shifted elsewhere is taken back.

What learns to object where it should also objects a little more everywhere else: that nothing like the claim stands
before it is the first thing found, and where nothing stands before, that is no reason. Bystanders show it: twins of
other kinds, on whose two sides no reply should gain on the other. Held beside the pairs, in DPO's own steps, they
stopped the learning before the shift (weights of 1 and 4 were tried): replies get likelier and less likely for many
reasons, and those gradients drown the others. Behind them, few slow steps are enough. They see much, and once: over a
few bystanders four times, their own shift was halved as well, and elsewhere there was hardly less of it. And each is
held by several pairs of replies: what is found is to object, in any words, and of bystanders that were held by the two
replies of their own book alone, a night kept half of the shift in other words. Held by four, half as many do as well.

AdamW's steps are as long as their rate, so a pass moves about as far whatever there is to take back. Where it went past
the place where no reply has gained on the other, on average over all, it is cut short there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from dreamloop.errors import InvariantBroken
from dreamloop.finetune.mix import twin_batches
from dreamloop.finetune.optimizer import make_optimizer
from dreamloop.finetune.parts import Bystanders, Part, shared_gains
from dreamloop.finetune.phases import Scores, pushes_back, score_batches, score_both
from dreamloop.finetune.recipe import rate_factor
from dreamloop.finetune.step import Trainer
from dreamloop.model.encode import Row
from dreamloop.model.policy import Snapshot
from dreamloop.records import Pair

# Nats per token. AdamW's steps are as long as their rate however small the gradient, so what nobody would notice is
# left alone: held at 0.03 by two steps, it was seen to be 0.04 behind them.
UNNOTICED = 0.05


class Shift(NamedTuple):
    """By how much bystanders' replies have gained on each other, on both sides alike, against the base.

    Nats per token, root mean square over twins and what they are held by, before and after they were held. ``share`` is
    how much of the pass was taken; none where the shift was left alone, or where the pass did not help and was undone.
    """

    before: float
    after: float
    share: float


def hold_phase(trainer: Trainer, rows: Mapping[Pair, Row]) -> Shift:
    """One pass over bystanders, with an optimizer of its own.

    One that does not help, or breaks, is undone: what was there before it stands.

    Raises:
        ModelError: out of memory twice.
    """
    recipe, policy = trainer.recipe, trainer.policy
    policy.set_dropout("candidate", 0.0)
    pairs_each = math.ceil(len(rows) / len({pair.twin for pair in rows}))
    batches = twin_batches(rows, recipe.hold_batch * pairs_each, recipe.seed)
    start, reference = score_both(trainer, rows, batches)
    gains = _gains(rows, start, reference)
    before = _size(gains)
    if before < UNNOTICED:
        return Shift(before, before, 0.0)
    unheld = policy.snapshot("candidate")
    after, share = _held(trainer, rows, reference, batches, unheld, fmean(gains))
    if after < before:
        return Shift(before, after, share)
    policy.place(unheld, unheld, 0.0)
    return Shift(before, before, 0.0)


def share_to_zero(before: float, after: float) -> float:
    """How much of a straight way from one value to another is gone at zero; all of it where zero is not on the way."""
    return before / (before - after) if before * after < 0 else 1.0


def _held(
    trainer: Trainer, rows: Mapping[Pair, Row], reference: Scores, batches: Sequence[Sequence[Pair]], unheld: Snapshot,
    gained: float,
) -> tuple[float, float]:  # fmt: skip
    """The shift that the pass leaves, without end where it breaks, and how much of the pass was taken."""
    try:
        _pass(trainer, rows, reference, batches)
        gains = _gains(rows, score_batches(trainer, rows, batches), reference)
        share = share_to_zero(gained, fmean(gains))
        if share < 1:
            trainer.policy.place(unheld, trainer.policy.snapshot("candidate"), share)
            gains = _gains(rows, score_batches(trainer, rows, batches), reference)
        return _size(gains), share
    except InvariantBroken:  # the step that broke is among the steps, and the symptoms tell of it
        return math.inf, 0.0


def _pass(trainer: Trainer, rows: Mapping[Pair, Row], reference: Scores, batches: Sequence[Sequence[Pair]]) -> None:
    recipe = trainer.recipe
    optimizer = make_optimizer(trainer.policy, recipe, recipe.hold_learning_rate)
    with trainer.without_dropout(), trainer.progress.track("training: hold", len(batches), "steps") as advance:
        for index, batch in enumerate(batches):

            def parts(batch: Sequence[Pair] = batch) -> list[Part]:
                return [Bystanders([rows[pair] for pair in batch], [reference[pair] for pair in batch])]

            rate = recipe.hold_learning_rate * rate_factor(index, len(batches), recipe.warmup_ratio, recipe.decay_ratio)
            trainer.step(parts, optimizer, rate, "hold", index)
            advance(1)


def _gains(rows: Mapping[Pair, Row], scores: Scores, reference: Scores) -> list[float]:
    """By how much accepting gained on pushing back, of each bystander and two replies."""
    pairs = sorted(rows, key=pushes_back)  # right sides first
    own = {number: scores[pair] for number, pair in enumerate(pairs)}
    gains = shared_gains([rows[pair] for pair in pairs], own, [reference[pair] for pair in pairs])
    return [gain.item() for gain in gains]


def _size(gains: Sequence[float]) -> float:
    return math.sqrt(fmean(gain * gain for gain in gains))
