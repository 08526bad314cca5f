"""The phases of a training on the tiny model: where they start, what their steps are made of, and what they hold."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from training import RECIPE, REPLAY, pairs, trained

from dreamloop.errors import InvariantBroken
from dreamloop.finetune import phases
from dreamloop.finetune.train import train
from dreamloop.log import Silent
from dreamloop.model import score
from dreamloop.model.bundled import NAME
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy


def test_dpo_starts_at_ln_2_and_raises_the_preference_for_the_chosen_replies(tiny: Policy) -> None:
    report = trained(tiny)
    assert report.dpo_start_loss == pytest.approx(math.log(2), abs=0.02)  # SFT has moved it a little
    assert report.margin_after > report.margin_before
    assert {step.phase for step in report.steps} == {"sft", "dpo"}
    assert len([step for step in report.steps if step.phase == "dpo"]) >= RECIPE.min_steps
    assert 0 < report.packing <= 1
    assert report.update_norm > 0


@pytest.mark.model
def test_dpo_starts_at_ln_2_in_bfloat16_too_because_the_reference_is_scored_in_the_same_packs(
    bundled_models: Path,
) -> None:
    # Dropout 0 and no SFT phase: the policy is the reference, and only other shapes could round otherwise.
    report = trained(load_policy(str(bundled_models / NAME), dtype="bfloat16"), replace(RECIPE, sft=False))
    assert report.dpo_start_loss == pytest.approx(math.log(2), abs=1e-4)


def test_a_model_that_cannot_be_packed_trains_with_the_same_losses(tiny_folder: object) -> None:
    policies = [load_policy(str(tiny_folder)) for _ in range(2)]
    policies[1].packable = False
    packed, alone = ([step.loss for step in trained(policy).steps] for policy in policies)
    # Dropout draws differ between one sequence and several, so only the DPO phase is equal, from its start.
    first_dpo = 8
    assert alone[first_dpo] == pytest.approx(packed[first_dpo], abs=1e-4)
    assert len(alone) == len(packed)


def test_without_mined_pairs_there_is_no_sft_phase(tiny: Policy) -> None:
    report = trained(tiny, some=[p for p in pairs() if p.twin])
    assert {step.phase for step in report.steps} == {"dpo"}


def test_the_anchor_holds_the_model_near_the_base(tiny_folder: object, tiny: Policy) -> None:
    held = trained(tiny, replace(RECIPE, anchor_weight=30.0)).steps[-1].anchor
    free = trained(load_policy(str(tiny_folder)), replace(RECIPE, anchor_weight=1e-9)).steps[-1].anchor
    assert held is not None
    assert free is not None
    assert held < free


@pytest.mark.parametrize(
    "change", [{"loss_type": "ipo", "beta": 0.5}, {"loss_type": "robust", "label_smoothing": 0.1}, {"rpo_alpha": 1.0}]
)
def test_every_preference_loss_starts_where_it_must_and_learns(tiny: Policy, change: dict[str, Any]) -> None:
    report = trained(tiny, replace(RECIPE, **change))
    assert report.margin_after > report.margin_before
    last = report.steps[-1]
    assert last.dpo is not None
    assert last.anchor is not None
    assert (last.guard is not None) == ("rpo_alpha" in change)
    together = last.dpo + change.get("rpo_alpha", 0.0) * (last.guard or 0.0) + RECIPE.anchor_weight * last.anchor
    assert last.loss == pytest.approx(together, rel=1e-4)


def test_a_kind_s_own_beta_is_asked_of_its_dreamed_pairs_alone(tiny_folder: object) -> None:
    ipo = replace(RECIPE, loss_type="ipo", sft=False, beta=0.7)
    dreamed, mined = ([pair for pair in pairs() if bool(pair.twin) is twins] for twins in (True, False))
    mine = mined[0].provenance.conversation  # a log may call its conversation like a kind
    starts = [
        trained(load_policy(str(tiny_folder)), replace(ipo, beta_pattern=((kind, 0.35),)), some).dpo_start_loss
        for kind, some in (("days", dreamed), ("other", dreamed), (mine, mined))
    ]
    assert starts == pytest.approx([(1 / 0.7) ** 2, (1 / 1.4) ** 2, (1 / 1.4) ** 2], rel=1e-3)


def test_with_weights_a_step_is_what_its_parts_say_and_starts_where_its_scores_do(tiny: Policy) -> None:
    weighted = replace(RECIPE, push_back_weight=3.0, rpo_alpha=1.0, pairwise_share=0.5, sft_learning_rate=1e-2)
    for step in (step for step in trained(tiny, weighted).steps if step.phase == "dpo"):
        assert step.dpo is not None
        assert step.guard is not None
        assert step.anchor is not None
        assert step.loss == pytest.approx(step.dpo + step.guard + RECIPE.anchor_weight * step.anchor, rel=1e-4)


def test_what_is_learned_already_asks_for_less_the_next_night(tiny: Policy) -> None:
    recipe = replace(RECIPE, loss_type="ipo", beta=0.5, sft=False, anchor_weight=0.0)
    one_way = [pair for pair in pairs() if pair.chosen == "No, wrong."]
    policy, encoder = tiny, ChatEncoder(tiny.tokenizer)
    policy.add_adapter("candidate", LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"), seed=0)
    nights = [train(policy, encoder, one_way, REPLAY, recipe, Silent()).report for _ in range(3)]
    starts = [night.dpo_start_loss for night in nights]
    assert starts[0] == pytest.approx(1.0, abs=1e-4)
    assert starts[0] > starts[1] > starts[2]  # against the base; against yesterday each would begin at 1 again


def test_a_first_loss_that_the_scores_do_not_explain_stops_the_night(
    tiny: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = phases.score_batches

    def stale(trainer: Any, rows: Any, batches: Any) -> Any:
        found = real(trainer, rows, batches)
        return {pair: [tensor - k for k, tensor in enumerate(own)] for pair, own in found.items()}

    def stale_start(trainer: Any, rows: Any, batches: Any) -> Any:
        return (stale if trainer.policy.active == "candidate" else real)(trainer, rows, batches)

    monkeypatch.setattr(phases, "score_batches", stale_start)
    with pytest.raises(InvariantBroken, match="different models or rows"):
        trained(tiny, replace(RECIPE, sft=False))


def test_the_guard_holds_the_chosen_replies(tiny_folder: object, tiny: Policy) -> None:
    held = trained(tiny, replace(RECIPE, rpo_alpha=5.0, sft=False))
    free = trained(load_policy(str(tiny_folder)), replace(RECIPE, sft=False))
    assert held.chosen_after > free.chosen_after


def test_every_part_of_a_step_is_reported(tiny: Policy) -> None:
    report = trained(tiny)
    sft, dpo = report.steps[0], report.steps[-1]
    assert (sft.dpo, sft.anchor, sft.margin) == (None, None, None)
    assert sft.sft is not None
    assert sft.loss == pytest.approx(
        (sft.rows * sft.sft + sft.replay_rows * (sft.replay or 0.0)) / (sft.rows + sft.replay_rows)
    )
    assert dpo.dpo is not None
    assert dpo.anchor is not None
    assert dpo.loss == pytest.approx(dpo.dpo + RECIPE.anchor_weight * dpo.anchor, rel=1e-4)
    assert dpo.chosen is not None
    assert dpo.rejected is not None
    assert dpo.margin == pytest.approx(dpo.chosen - dpo.rejected)
    assert dpo.entropy is not None
    assert 0 < dpo.entropy < math.log(len(tiny.head.weight))
    assert dpo.clipped == (dpo.grad_norm > RECIPE.max_grad_norm)
    assert 0 < dpo.packing <= 1
    assert report.update_norm == pytest.approx(dpo.drift)
    share = report.replay_share
    assert share.rows == 3 / 21  # of 18 pairs and 3 general answers
    assert 0 < share.tokens < 1
    assert 0 < share.grad_norm < 1


def test_frozen_contexts_learn_too_and_start_at_the_same_loss(tiny: Policy) -> None:
    report = trained(tiny, replace(RECIPE, context_gradient="frozen"))
    assert report.dpo_start_loss == pytest.approx(math.log(2), abs=1e-4)
    assert report.margin_after > report.margin_before


def test_where_memory_ends_in_the_first_step_the_reference_is_scored_again_in_the_smaller_packs(
    tiny: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, budgets = score.completion_logprobs, []

    def watched(policy: Policy, rows: Any, budget: int, **given: Any) -> Any:
        budgets.append(budget)
        return real(policy, rows, budget, **given)

    monkeypatch.setattr(phases, "completion_logprobs", watched)
    backward: Any = Tensor.backward
    fails = [True]

    def once(self: Tensor, *given: Any) -> None:
        if fails and fails.pop():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        backward(self, *given)

    monkeypatch.setattr(Tensor, "backward", once)
    report = trained(tiny, replace(RECIPE, sft=False))
    assert report.pack_tokens == RECIPE.pack_tokens // 2
    batches = len(report.steps)
    both = 2 * batches  # the start's scores and the base's
    assert budgets[:both] == [RECIPE.pack_tokens] * both
    assert budgets[both:] == [RECIPE.pack_tokens // 2] * (both + 1)
    assert report.dpo_start_loss == pytest.approx(math.log(2), abs=1e-4)
