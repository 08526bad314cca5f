from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig

from dreamloop.config import Finetune
from dreamloop.errors import ConfigError
from dreamloop.finetune.optimizer import FILE, make_optimizer, moments_of, read_moments, resume, write_moments
from dreamloop.finetune.recipe import recipe_of
from dreamloop.model.copies import WholeWeights
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy

RECIPE = recipe_of(Finetune(), seed=0)


def lora(r: int = 4) -> LoraConfig:
    return LoraConfig(r=r, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)


def stepped(policy: Policy, optimizer: torch.optim.Optimizer, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in policy.trainable("candidate").values():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()


def weights(policy: Policy) -> list[torch.Tensor]:
    return [p.detach().clone() for p in policy.trainable("candidate").values()]


def test_moments_written_and_read_go_on_as_if_there_had_been_no_break(tiny: Policy, tmp_path: Path) -> None:
    tiny.add_adapter("candidate", lora(), seed=0)
    whole = make_optimizer(tiny, RECIPE, 1e-3)
    stepped(tiny, whole, 1)
    between = weights(tiny)
    write_moments(moments_of(whole, tiny, "dpo"), tmp_path)
    stepped(tiny, whole, 2)
    expected = weights(tiny)
    for parameter, value in zip(tiny.trainable("candidate").values(), between, strict=True):
        parameter.data = value.clone()
    resumed = make_optimizer(tiny, RECIPE, 1e-3)
    assert resume(resumed, tiny, "dpo", read_moments(tmp_path))
    stepped(tiny, resumed, 2)
    for ours, theirs in zip(weights(tiny), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_moments_of_another_phase_or_shape_are_left_alone(tiny: Policy) -> None:
    tiny.add_adapter("candidate", lora(), seed=0)
    optimizer = make_optimizer(tiny, RECIPE, 1e-3)
    stepped(tiny, optimizer, 1)
    moments = moments_of(optimizer, tiny, "dpo")
    fresh = make_optimizer(tiny, RECIPE, 1e-3)
    assert not resume(fresh, tiny, "sft", moments)
    assert not resume(fresh, tiny, "dpo", {name: tensor[..., :1] for name, tensor in moments.items() if tensor.ndim})
    assert not fresh.state


def test_damaged_or_missing_moments_are_only_a_lost_head_start(tmp_path: Path) -> None:
    assert read_moments(tmp_path) == {}
    (tmp_path / FILE).write_bytes(b"no safetensors")
    assert read_moments(tmp_path) == {}
    write_moments({"dpo/x/exp_avg_sq": torch.ones(100)}, tmp_path)
    assert read_moments(tmp_path).keys() == {"dpo/x/exp_avg_sq"}
    raw = bytearray((tmp_path / FILE).read_bytes())
    raw[-200:] = bytes(200)  # what a crash leaves of a block: still safetensors, and AdamW would divide by it
    (tmp_path / FILE).write_bytes(raw)
    assert read_moments(tmp_path) == {}


OPTIMS = ["adamw_torch", pytest.param("apollo_adamw", marks=pytest.mark.apollo)]


@pytest.mark.parametrize("optim", OPTIMS)
def test_full_weights_move_with_either_optimizer(tiny_folder: Path, optim: str) -> None:
    policy = load_policy(str(tiny_folder), kind=WholeWeights)
    policy.add_adapter("candidate", None, 0)
    recipe = recipe_of(Finetune.model_validate({"method": "full", "optim": optim}), seed=0)
    before = weights(policy)
    stepped(policy, make_optimizer(policy, recipe, 1e-3), 1)
    moved = [float((a - b).abs().max()) for a, b in zip(weights(policy), before, strict=True)]
    assert min(moved) > 0
    assert max(moved) < 1


@pytest.mark.apollo
def test_apollo_keeps_less_than_adamw_where_matrices_are_larger_than_its_rank() -> None:
    kept = []
    for optim in ("adamw_torch", "apollo_adamw"):
        weight = torch.nn.Parameter(torch.randn(512, 1024))
        policy: Any = SimpleNamespace(trainable=lambda _, weight=weight: {"w": weight}, device=weight.device)
        optimizer = make_optimizer(
            policy, recipe_of(Finetune.model_validate({"method": "full", "optim": optim}), 0), 1e-3
        )
        weight.grad = torch.randn_like(weight)
        optimizer.step()
        kept.append(sum(t.numel() for t in optimizer.state[weight].values() if torch.is_tensor(t)))
    assert kept[1] < kept[0] / 3


def test_without_the_package_apollo_says_how_to_get_it(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apollo_torch", None)
    policy = load_policy(str(tiny_folder), kind=WholeWeights)
    policy.add_adapter("candidate", None, 0)
    recipe = recipe_of(Finetune(method="full", optim="apollo_adamw"), seed=0)
    with pytest.raises(ConfigError, match="pip install"):
        make_optimizer(policy, recipe, 1e-3)
