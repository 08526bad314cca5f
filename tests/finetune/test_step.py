"""Optimizer steps on the tiny model: numbers do not depend on how memory is saved, and nothing is left behind."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from peft import LoraConfig
from training import RECIPE, trained

from dreamloop.errors import ModelError
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.records import Recipe, StepReport


def test_the_first_gradient_does_not_depend_on_packing(tiny_folder: object) -> None:
    norms = [
        trained(load_policy(str(tiny_folder)), replace(RECIPE, pack_tokens=budget, sft=False)).steps[0].grad_norm
        for budget in (64, 128, 4096)
    ]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-4)


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


def test_training_leaves_evaluation_mode_and_no_checkpointing_behind(tiny: Policy) -> None:
    trained(tiny, replace(RECIPE, gradient_checkpointing=True))
    assert not tiny.model.training
    assert not tiny.model.is_gradient_checkpointing


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
