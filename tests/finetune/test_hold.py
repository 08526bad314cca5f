"""The hold on the tiny model: what learning shifted elsewhere is taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from training import RECIPE, REPLAY, pairs

from dreamloop.finetune.hold import UNNOTICED
from dreamloop.finetune.parts import shared_shifts
from dreamloop.finetune.train import train
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.records import Bystander, Message, Pair, Provenance, Recipe, StepReport

HOLDING = replace(RECIPE, sft=False, dpo_batch=8, hold_batch=8, hold_learning_rate=2e-3)


def others(months: tuple[str, str] = ("June", "July"), count: int = 16) -> list[Bystander]:
    """Twins that nothing is taught about, with other words for yes and no."""
    found = []
    for k in range(count):
        for month, side in zip(months, ("right", "wrong"), strict=True):
            good, bad = ("Yes, that agrees.", "No, that differs.")[:: 1 if side == "right" else -1]
            where = Provenance("dream", "months", 0, side, "strong")
            found.append(Bystander(Pair((Message("user", f"look {k}: {month}"),), good, bad, where, f"aside{k}")))
    return found


def objecting(policy: Policy, recipe: Recipe, bystanders: Sequence[Bystander]) -> tuple[StepReport, float]:
    """Learn only ever to refuse; and by how much that became likelier elsewhere, in nats per token."""
    policy.add_adapter("candidate", LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"), seed=0)
    encoder = ChatEncoder(policy.tokenizer)
    refused = [pair for pair in pairs() if pair.provenance.signal == "wrong"]
    report = train(policy, encoder, refused, REPLAY, recipe, Silent(), bystanders=bystanders).report
    unseen = others(("March", "April"), 4)
    asked = [encoder.branches(one.pair.context, ("Yes, that agrees.", "No, that differs."), 64) for one in unseen]
    now = completion_logprobs(policy, asked)
    with policy.using(None):
        before = completion_logprobs(policy, asked)
    moved = [
        (own[1].mean() - own[0].mean() - was[1].mean() + was[0].mean()).item()
        for own, was in zip(now, before, strict=True)
    ]
    return report, fmean(moved)


def test_what_learning_shifted_elsewhere_is_taken_back_and_what_was_learned_stays(tiny_folder: object) -> None:
    free, shifted = objecting(load_policy(str(tiny_folder)), HOLDING, [])
    held, back = objecting(load_policy(str(tiny_folder)), HOLDING, others())
    assert (free.held, free.shift_before, free.shift_after) == ((), None, None)
    assert {step.phase for step in free.steps} == {"dpo"}
    steps = [step for step in held.steps if step.shift is not None]
    assert {step.phase for step in steps} == {"hold"}
    assert len(steps) == 4  # 32 pairs, 8 a step
    assert set(held.held) == {one.pair.digest for one in others()}
    assert held.shift_before is not None
    assert held.shift_after is not None
    assert steps[0].shift == pytest.approx(held.shift_before, rel=0.2)  # of some of them
    assert held.shift_after < held.shift_before / 2
    assert abs(back) < abs(shifted) / 2
    assert held.margin_after - held.margin_before > (free.margin_after - free.margin_before) / 2
    assert held.replay_share == free.replay_share


def test_a_twins_shift_is_the_mean_over_all_replies_it_is_held_by_by_hand() -> None:
    rows = [Row((1,), (), unit) for unit in ("a", "b", "a", "b")]
    nothing = [[torch.zeros(2)] * 4] * 4

    def gained(*means: float) -> list[Tensor]:
        return [torch.tensor([mean - 0.5, mean + 0.5]) for mean in means]

    scores = {
        0: gained(0.0, 0.4, 0.0, 0.1),  # the objecting reply, rejected here, gained by 0.4, and by 0.1 in other words
        2: gained(0.2, 0.0, 0.3, 0.0),  # chosen here, it gained by 0.2 and 0.3
        1: gained(0.3, 0.0, 0.5, 0.0),  # told apart better on both sides, which is no shift
        3: gained(0.3, 0.0, 0.5, 0.0),
    }
    # (((-0.4) - 0.2) / 2)² = 0.09 and (((-0.1) - 0.3) / 2)² = 0.04
    assert [s.item() for s in shared_shifts(rows, scores, nothing)] == pytest.approx([0.065, 0.0])
    only = {row: own for row, own in scores.items() if row in {0, 2}}
    assert [s.item() for s in shared_shifts(rows, only, nothing)] == pytest.approx([0.065])
    # Per-token means, whatever the lengths, and against the reference.
    longer = [torch.tensor([0.2, 0.2, 0.2]), torch.tensor([0.0])]
    was = [[torch.tensor([0.1, 0.1, 0.1]), torch.tensor([0.0])]] * 2
    pair = {0: longer, 1: longer[::-1]}
    (shift,) = shared_shifts([Row((1,), (), "a")] * 2, pair, [was[0], was[1][::-1]])
    assert shift.item() == pytest.approx(0.01)


def test_what_learning_shifted_in_other_words_is_taken_back_where_bystanders_are_held_by_them_too(
    tiny_folder: object,
) -> None:
    strange = [replace(one, pair=in_words(one.pair, ("Hello there.", "Good night."))) for one in others()]
    more = [
        replace(own, borrowed=((one.pair.chosen, one.pair.rejected),))
        for own, one in zip(strange, others(), strict=True)
    ]
    (_, own), (_, lent) = (objecting(load_policy(str(tiny_folder)), HOLDING, held) for held in (strange, more))
    assert abs(lent) < abs(own) / 2


def in_words(pair: Pair, replies: tuple[str, str]) -> Pair:
    """The same pair with these replies for yes and no."""
    good, bad = replies[:: 1 if pair.provenance.signal == "right" else -1]
    return replace(pair, chosen=good, rejected=bad)


def test_a_shift_that_nobody_would_notice_is_left_alone(tiny: Policy) -> None:
    report, _ = objecting(tiny, replace(HOLDING, dpo_learning_rate=1e-7), others())
    assert {step.phase for step in report.steps} == {"dpo"}
    assert report.shift_before is not None
    assert report.shift_after == report.shift_before < UNNOTICED


@pytest.mark.parametrize(("rate", "count", "finite"), [(0.07, 1, True), (1e30, 1, True), (10.0, 16, False)])
def test_a_hold_that_makes_it_worse_or_breaks_is_undone(
    tiny_folder: object, rate: float, count: int, finite: bool
) -> None:
    little = replace(HOLDING, dpo_learning_rate=3e-3)  # shifts so little that a long step goes past where it was
    free, moved = objecting(load_policy(str(tiny_folder)), little, [])
    report, same = objecting(
        load_policy(str(tiny_folder)), replace(little, hold_learning_rate=rate), others(count=count)
    )
    assert "hold" in {step.phase for step in report.steps}
    assert report.shift_after == report.shift_before
    assert any(symptom.startswith("HOLD") for symptom in report.symptoms) is not finite
    assert (same, report.margin_after) == (moved, free.margin_after)


@pytest.mark.parametrize("knobs", [{"gradient_checkpointing": True}, {"pack_tokens": 64}])
def test_the_hold_does_not_depend_on_how_memory_is_saved(tiny_folder: object, knobs: dict[str, Any]) -> None:
    plain, _ = objecting(load_policy(str(tiny_folder)), HOLDING, others())
    saving, _ = objecting(load_policy(str(tiny_folder)), replace(HOLDING, **knobs), others())
    assert saving.shift_after == pytest.approx(plain.shift_after, rel=0.05)
