"""Training on the tiny model: the invariants, and that it learns what it is shown."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import pytest
import torch
from peft import LoraConfig
from torch import Tensor

from dreamloop.config import Config, Finetune
from dreamloop.errors import InvariantBroken, ModelError
from dreamloop.finetune import phases
from dreamloop.finetune.hold import PASSES, UNNOTICED
from dreamloop.finetune.recipe import recipe_of
from dreamloop.finetune.symptoms import symptoms
from dreamloop.finetune.train import train
from dreamloop.log import Silent
from dreamloop.model import score
from dreamloop.model.bundled import NAME
from dreamloop.model.copies import WholeWeights
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.model.wake import new_adapter
from dreamloop.records import ChatRow, Message, Pair, Provenance, Recipe, ReplayShare, Step, StepReport

KNOBS = Finetune(loss_type="sigmoid", dpo_learning_rate=1e-2, sft_learning_rate=1e-3, chosen_floor=5.0)
RECIPE = recipe_of(KNOBS, seed=1)
REPLAY = [ChatRow((Message("user", f"hello {k}"),), "The lazy dog answers.", "test") for k in range(3)]


def pairs(count: int = 8) -> list[Pair]:
    """Twins by name: 'Monday' is confirmed, 'Friday' refused; and two mined pairs."""
    found = []
    for k in range(count):
        for day, good, bad in (("Monday", "Yes, correct.", "No, wrong."), ("Friday", "No, wrong.", "Yes, correct.")):
            where = Provenance("dream", "days", 0, "right" if day == "Monday" else "wrong", "strong")
            found.append(Pair((Message("user", f"check {k}: {day}"),), good, bad, where, f"twin{k}"))
    mined = Provenance("log", "c", 0, "ranked siblings", "strong")
    return [*found, *(Pair((Message("user", f"ask {k}"),), "Yes, please.", "quick", mined) for k in range(2))]


def trained(policy: Policy, recipe: Recipe = RECIPE, some: list[Pair] | None = None) -> StepReport:
    policy.add_adapter("candidate", LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"), seed=0)
    return train(policy, ChatEncoder(policy.tokenizer), some or pairs(), REPLAY, recipe, Silent()).report


def test_dpo_starts_at_ln_2_and_raises_the_preference_for_the_chosen_replies(tiny: Policy) -> None:
    report = trained(tiny)
    assert report.dpo_start_loss == pytest.approx(math.log(2), abs=0.02)  # SFT has moved it a little
    assert report.margin_after > report.margin_before
    assert {step.phase for step in report.steps} == {"sft", "dpo"}
    assert len([step for step in report.steps if step.phase == "dpo"]) >= RECIPE.min_steps
    assert 0 < report.packing <= 1
    assert report.update_norm > 0


def others(months: tuple[str, str] = ("June", "July"), count: int = 16) -> list[Pair]:
    """Twins that nothing is taught about, with other words for yes and no."""
    found = []
    for k in range(count):
        for month, side in zip(months, ("right", "wrong"), strict=True):
            good, bad = ("Yes, that agrees.", "No, that differs.")[:: 1 if side == "right" else -1]
            where = Provenance("dream", "months", 0, side, "strong")
            found.append(Pair((Message("user", f"look {k}: {month}"),), good, bad, where, f"aside{k}"))
    return found


def objecting(policy: Policy, recipe: Recipe, bystanders: list[Pair]) -> tuple[StepReport, float]:
    """Learn only ever to refuse; and by how much that became likelier elsewhere, in nats per token."""
    policy.add_adapter("candidate", LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"), seed=0)
    encoder = ChatEncoder(policy.tokenizer)
    refused = [pair for pair in pairs() if pair.provenance.signal == "wrong"]
    report = train(policy, encoder, refused, REPLAY, recipe, Silent(), bystanders=bystanders).report
    unseen = others(("March", "April"), 4)
    asked = [encoder.branches(pair.context, ("Yes, that agrees.", "No, that differs."), 64) for pair in unseen]
    now = completion_logprobs(policy, asked)
    with policy.using(None):
        before = completion_logprobs(policy, asked)
    moved = [
        (own[1].mean() - own[0].mean() - was[1].mean() + was[0].mean()).item()
        for own, was in zip(now, before, strict=True)
    ]
    return report, fmean(moved)


HOLDING = replace(RECIPE, sft=False, dpo_batch=8, hold_batch=8, hold_learning_rate=2e-3)


def test_what_learning_shifted_elsewhere_is_taken_back_and_what_was_learned_stays(tiny_folder: object) -> None:
    free, shifted = objecting(load_policy(str(tiny_folder)), HOLDING, [])
    held, back = objecting(load_policy(str(tiny_folder)), HOLDING, others())
    assert (free.held, free.shift_before, free.shift_after) == ((), None, None)
    assert {step.phase for step in free.steps} == {"dpo"}
    steps = [step for step in held.steps if step.shift is not None]
    assert {step.phase for step in steps} == {"hold"}
    assert len(steps) in {4 * passes for passes in range(1, PASSES + 1)}  # 32 pairs, 8 a step
    assert set(held.held) == {pair.digest for pair in others()}
    assert held.shift_before is not None
    assert held.shift_after is not None
    assert steps[0].shift == pytest.approx(held.shift_before, rel=0.2)  # of some of them
    assert held.shift_after < held.shift_before / 2
    assert abs(back) < abs(shifted) / 2
    assert held.margin_after - held.margin_before > (free.margin_after - free.margin_before) / 2
    assert held.replay_share == free.replay_share


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


@pytest.mark.model
def test_dpo_starts_at_ln_2_in_bfloat16_too_because_the_reference_is_scored_in_the_same_packs(
    bundled_models: Path,
) -> None:
    # Dropout 0 and no SFT phase: the policy is the reference, and only other shapes could round otherwise.
    report = trained(load_policy(str(bundled_models / NAME), dtype="bfloat16"), replace(RECIPE, sft=False))
    assert report.dpo_start_loss == pytest.approx(math.log(2), abs=1e-4)


def test_the_same_seed_trains_the_same_adapter(tiny_folder: object, tiny: Policy) -> None:
    first = trained(tiny)
    second = trained(load_policy(str(tiny_folder)))
    assert [step.loss for step in first.steps] == [step.loss for step in second.steps]


def test_the_first_gradient_does_not_depend_on_packing(tiny_folder: object) -> None:
    norms = [
        trained(load_policy(str(tiny_folder)), replace(RECIPE, pack_tokens=budget, sft=False)).steps[0].grad_norm
        for budget in (64, 128, 4096)
    ]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-4)


def test_a_model_that_cannot_be_packed_trains_with_the_same_losses(tiny_folder: object) -> None:
    policies = [load_policy(str(tiny_folder)) for _ in range(2)]
    policies[1].packable = False
    packed, alone = ([step.loss for step in trained(policy).steps] for policy in policies)
    # Dropout draws differ between one sequence and several, so only the DPO phase is equal, from its start.
    first_dpo = 8
    assert alone[first_dpo] == pytest.approx(packed[first_dpo], abs=1e-4)
    assert len(alone) == len(packed)


def test_the_base_and_the_incumbent_are_untouched(tiny: Policy) -> None:
    tiny.add_adapter("incumbent", LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"), seed=3)
    before = {name: p.detach().clone() for name, p in tiny.peft.named_parameters() if ".candidate." not in name}
    trained(tiny)
    for name, parameter in tiny.peft.named_parameters():
        if ".candidate." not in name:
            assert torch.equal(parameter, before[name]), name


def test_without_mined_pairs_there_is_no_sft_phase(tiny: Policy) -> None:
    report = trained(tiny, some=[p for p in pairs() if p.twin])
    assert {step.phase for step in report.steps} == {"dpo"}


def test_the_anchor_holds_the_model_near_the_base(tiny_folder: object, tiny: Policy) -> None:
    held = trained(tiny, replace(RECIPE, anchor_weight=30.0)).steps[-1].anchor
    free = trained(load_policy(str(tiny_folder)), replace(RECIPE, anchor_weight=1e-9)).steps[-1].anchor
    assert held is not None
    assert free is not None
    assert held < free


def test_a_diverging_step_ends_loudly(tiny: Policy) -> None:
    with pytest.raises(InvariantBroken, match=r"lower|not finite"):
        trained(tiny, replace(RECIPE, dpo_learning_rate=1e4, sft_learning_rate=1e4, chosen_floor=0.5))


def test_a_night_without_a_usable_pair_ends_loudly(tiny: Policy) -> None:
    with pytest.raises(InvariantBroken, match="None of tonight's pairs"):
        trained(tiny, replace(RECIPE, max_length=3))


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


def test_how_far_the_model_moved_equals_the_distance_of_the_full_matrices(tiny: Policy) -> None:
    report = trained(tiny)
    modules = [m for m in tiny.peft.modules() if hasattr(m, "lora_A")]
    # A fresh adapter starts as the base, so the way from there is all of gain·B·A.
    far = math.sqrt(sum(float(m.get_delta_weight("candidate").detach().double().square().sum()) for m in modules))
    assert report.update_norm == pytest.approx(far, rel=1e-5)


@pytest.mark.parametrize("context_gradient", ["full", "frozen"])
def test_gradient_checkpointing_changes_no_number(
    tiny_folder: object, tiny: Policy, context_gradient: Literal["full", "frozen"]
) -> None:
    recipe = replace(RECIPE, sft=False, context_gradient=context_gradient)
    calls: list[int] = []

    def counted(policy: Policy, recipe: Recipe) -> StepReport:
        calls.append(0)

        def count(
            *_: Any,
        ) -> None:  # before a layer, because its second run ends as soon as it has given what is needed
            calls[-1] += 1

        policy.model.get_submodule("model.layers.0.mlp").register_forward_pre_hook(count)
        return trained(policy, recipe)

    plain = counted(tiny, recipe)
    saved = counted(load_policy(str(tiny_folder)), replace(recipe, gradient_checkpointing=True))
    assert calls[1] > 1.15 * calls[0]  # layers really run again; scoring and contexts do not
    assert [s.loss for s in saved.steps] == pytest.approx([s.loss for s in plain.steps], rel=1e-5)
    assert [s.grad_norm for s in saved.steps] == pytest.approx([s.grad_norm for s in plain.steps], rel=1e-3)


def test_frozen_contexts_learn_too_and_start_at_the_same_loss(tiny: Policy) -> None:
    report = trained(tiny, replace(RECIPE, context_gradient="frozen"))
    assert report.dpo_start_loss == pytest.approx(math.log(2), abs=1e-4)
    assert report.margin_after > report.margin_before


def test_training_leaves_evaluation_mode_and_no_checkpointing_behind(tiny: Policy) -> None:
    trained(tiny, replace(RECIPE, gradient_checkpointing=True))
    assert not tiny.model.training
    assert not tiny.model.is_gradient_checkpointing


@pytest.mark.parametrize("optim", ["adamw_torch", pytest.param("apollo_adamw", marks=pytest.mark.apollo)])
def test_full_weights_are_trained_end_to_end(tiny_folder: Path, optim: str) -> None:
    policy = load_policy(str(tiny_folder), kind=WholeWeights)
    policy.add_adapter("candidate", None, 0)
    knobs = {
        "method": "full",
        "optim": optim,
        "loss_type": "sigmoid",
        "sft_learning_rate": 1e-4,
        "dpo_learning_rate": 1e-3,
        "beta": 0.1,
    }
    recipe = replace(recipe_of(Finetune.model_validate(knobs), seed=1), chosen_floor=5.0)
    with policy.using(None):
        base = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    report = train(policy, ChatEncoder(policy.tokenizer), pairs(), REPLAY, recipe, Silent()).report
    assert report.dpo_start_loss == pytest.approx(math.log(2), abs=0.02)
    assert report.margin_after > report.margin_before
    assert report.gains == ()
    assert report.trainable_parameters == sum(tensor.numel() for tensor in base.values())
    with policy.using(None):
        assert all(torch.equal(p, base[name]) for name, p in policy.model.named_parameters())


@pytest.mark.parametrize("knobs", [{"use_dora": True}, {"lora_bias": True}, {"init_lora_weights": "orthogonal"}])
def test_other_kinds_of_lora_train_too(tiny: Policy, knobs: dict[str, Any]) -> None:
    tiny.add_adapter("candidate", new_adapter(Config(finetune=Finetune(**knobs))), seed=0)
    report = train(tiny, ChatEncoder(tiny.tokenizer), pairs(), REPLAY, RECIPE, Silent()).report
    assert report.margin_after > report.margin_before


def test_patterns_give_layers_their_own_rank_and_gain(tiny: Policy) -> None:
    knobs = Finetune(r=4, rank_pattern={"down_proj": 16}, alpha_pattern={"q_proj": 8})
    tiny.add_adapter("candidate", new_adapter(Config(finetune=knobs)), seed=0)
    layers = {name.rpartition(".")[2]: m for name, m in tiny.model.named_modules() if hasattr(m, "lora_A")}
    assert layers["down_proj"].lora_A["candidate"].weight.shape[0] == 16
    assert layers["o_proj"].lora_A["candidate"].weight.shape[0] == 4
    # rsLoRA: alpha 4 over √4 and √16, alpha 8 over √4
    assert tiny.gains("candidate") == pytest.approx((1.0, 2.0, 4.0))


def test_moments_go_on_only_where_the_recipe_carries_them(tiny_folder: object, tiny: Policy) -> None:
    carrying = replace(RECIPE, carry_optimizer=True)
    tiny.add_adapter("candidate", LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"), seed=0)
    first = train(tiny, ChatEncoder(tiny.tokenizer), pairs(), REPLAY, carrying, Silent())
    assert {name.partition("/")[0] for name in first.moments} == {"sft", "dpo"}
    again = train(tiny, ChatEncoder(tiny.tokenizer), pairs(), REPLAY, carrying, Silent(), first.moments)
    steps = next(tensor for name, tensor in again.moments.items() if name.startswith("dpo/") and name.endswith("/step"))
    assert steps.item() == 2 * len([step for step in first.report.steps if step.phase == "dpo"])
    assert (
        train(tiny, ChatEncoder(tiny.tokenizer), pairs(), REPLAY, RECIPE, Silent(), first.moments).moments
        == first.moments
    )


def test_an_ordinary_training_shows_no_symptom(tiny: Policy) -> None:
    report = trained(tiny, replace(RECIPE, dpo_learning_rate=1e-3))
    assert any(step.phase == "sft" and not step.rows for step in report.steps)  # general rows alone are no empty mask
    assert report.symptoms == ()


def test_only_general_rows_that_a_step_used_count_as_replayed(tiny: Policy) -> None:
    report = trained(tiny, replace(RECIPE, sft=False, anchor_weight=0.0))
    assert report.replayed == ()
    assert report.replay_share == ReplayShare(0.0, 0.0, 0.0)


def test_a_broken_training_tells_its_steps_and_the_broken_one_too(tiny: Policy) -> None:
    with pytest.raises(InvariantBroken) as caught:
        trained(tiny, replace(RECIPE, dpo_learning_rate=1e30, sft=False, chosen_floor=1e9))
    steps = [step for step in caught.value.steps if isinstance(step, Step)]
    assert steps
    assert "not finite" in str(caught.value) or any("not finite" in told for told in symptoms(steps))


def test_a_models_own_dropout_stays_off_in_training(tiny: Policy) -> None:
    own = torch.nn.Dropout(0.5)
    tiny.model.get_submodule("model.layers.0.mlp").add_module("own", own)
    tiny.add_adapter("candidate", LoraConfig(r=4, target_modules="all-linear", lora_dropout=0.1), seed=0)
    with tiny.training():
        drops = [m for m in tiny.model.modules() if isinstance(m, torch.nn.Dropout)]
        assert [drop.training for drop in drops if drop is own] == [False]
        assert {drop.training for drop in drops if drop is not own} == {True}


def test_memory_that_ends_in_the_optimizer_ends_the_night_with_the_way_out(
    tiny: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(torch.optim.AdamW, "step", full)
    with pytest.raises(ModelError, match="Memory is not enough"):
        trained(tiny)


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
