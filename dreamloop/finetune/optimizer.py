"""The optimizer of a phase."""

from __future__ import annotations

import torch

from dreamloop.model.load import Policy
from dreamloop.records import Recipe


def make_optimizer(policy: Policy, recipe: Recipe, rate: float) -> torch.optim.Optimizer:
    """AdamW over the candidate's parameters, fused into one kernel where torch can."""
    parameters = list(policy.trainable("candidate").values())
    fused = policy.device.type in {"cpu", "cuda"}
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=recipe.weight_decay, fused=fused)
