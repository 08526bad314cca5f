from __future__ import annotations

from typing import Any

import pytest
import torch

from dreamloop.model.policy import Adapter, Policy


def adapter(policy: Policy, name: Adapter, a: float, b: float, r: int = 2) -> Any:
    """An adapter on q_proj whose weights are all the same: B·A is r·a·b everywhere, times the gain of alpha / r."""
    from peft import LoraConfig  # noqa: PLC0415 - heavy, only here

    policy.add_adapter(name, LoraConfig(r=r, lora_alpha=6, target_modules=["q_proj"], task_type="CAUSAL_LM"), seed=0)
    with torch.no_grad():
        for key, weight in policy.trainable(name).items():
            weight.fill_(a if ".lora_A." in key else b)


def q_norm(policy: Policy) -> tuple[int, float]:
    """How many weights the q_proj layers of the base have, and their norm."""
    weights = [w for key, w in policy.model.named_parameters() if "q_proj" in key and "lora" not in key]
    return sum(w.numel() for w in weights), sum(float(w.square().sum()) for w in weights) ** 0.5


def test_the_distance_from_the_base_is_the_norm_of_the_product_as_a_share(tiny: Policy) -> None:
    adapter(tiny, "candidate", a=0.5, b=0.1)
    count, norm = q_norm(tiny)
    assert tiny.distance("candidate", None) == pytest.approx(3 * 2 * 0.5 * 0.1 * count**0.5 / norm, rel=1e-5)


def test_the_distance_of_two_adapters_of_other_ranks_is_that_of_their_products(tiny: Policy) -> None:
    adapter(tiny, "incumbent", a=0.5, b=0.1)  # 0.30 everywhere
    adapter(tiny, "candidate", a=0.5, b=0.1, r=3)  # 2 * 3 * 0.05: 0.30 everywhere
    assert tiny.distance("candidate", "incumbent") == pytest.approx(0, abs=1e-6)
    adapter_b = next(weight for key, weight in tiny.trainable("candidate").items() if ".lora_B." in key)
    with torch.no_grad():
        adapter_b.mul_(2)  # 0.60 in one layer of two
    count, norm = q_norm(tiny)
    assert tiny.distance("candidate", "incumbent") == pytest.approx(0.3 * (count / 2) ** 0.5 / norm, rel=1e-5)
