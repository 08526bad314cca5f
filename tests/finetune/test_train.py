"""A whole training on the tiny model: the invariants, and that it learns what it is shown."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from training import RECIPE, REPLAY, pairs, trained

from dreamloop.config import Config, Finetune
from dreamloop.errors import InvariantBroken
from dreamloop.finetune.recipe import recipe_of
from dreamloop.finetune.symptoms import symptoms
from dreamloop.finetune.train import train
from dreamloop.log import Silent
from dreamloop.model.copies import WholeWeights
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.wake import new_adapter
from dreamloop.records import ReplayShare, Step


def test_the_same_seed_trains_the_same_adapter(tiny_folder: object, tiny: Policy) -> None:
    first = trained(tiny)
    second = trained(load_policy(str(tiny_folder)))
    assert [step.loss for step in first.steps] == [step.loss for step in second.steps]


def test_the_base_and_the_incumbent_are_untouched(tiny: Policy) -> None:
    tiny.add_adapter("incumbent", LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"), seed=3)
    before = {name: p.detach().clone() for name, p in tiny.peft.named_parameters() if ".candidate." not in name}
    trained(tiny)
    for name, parameter in tiny.peft.named_parameters():
        if ".candidate." not in name:
            assert torch.equal(parameter, before[name]), name


def test_a_diverging_step_ends_loudly(tiny: Policy) -> None:
    with pytest.raises(InvariantBroken, match=r"lower|not finite"):
        trained(tiny, replace(RECIPE, dpo_learning_rate=1e4, sft_learning_rate=1e4, chosen_floor=0.5))


def test_a_night_without_a_usable_pair_ends_loudly(tiny: Policy) -> None:
    with pytest.raises(InvariantBroken, match="None of tonight's pairs"):
        trained(tiny, replace(RECIPE, max_length=3))


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
