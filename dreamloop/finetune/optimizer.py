"""The optimizer of a phase, and its moments from one night to the next.

AdamW's second moments say how large each weight's gradients usually are; a night of ten steps spends half of itself
finding that out. They may go on from the generation that is continued. A reverted night's are gone with its candidate.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dreamloop.errors import ConfigError, StateError
from dreamloop.model.policy import Policy
from dreamloop.records import Recipe

FILE = "moments.safetensors"
_KEPT = ("exp_avg", "exp_avg_sq", "step")

Moments = dict[str, Tensor]
"""By phase, parameter and kind: "dpo/base_model.…lora_A.candidate.weight/exp_avg"."""


def make_optimizer(policy: Policy, recipe: Recipe, rate: float) -> torch.optim.Optimizer:
    """AdamW over the candidate's parameters, fused into one kernel where torch can; or APOLLO over full weights.

    Raises:
        ConfigError: APOLLO is asked for and not installed.
    """
    parameters = policy.trainable("candidate")
    if recipe.optim == "apollo_adamw":
        return _apollo(list(parameters.values()), recipe, rate)
    fused = policy.device.type in {"cpu", "cuda"}
    return torch.optim.AdamW(list(parameters.values()), lr=rate, weight_decay=recipe.weight_decay, fused=fused)


def _apollo(parameters: list[Any], recipe: Recipe, rate: float) -> torch.optim.Optimizer:
    """APOLLO (arXiv 2412.05270): one scale per channel, from moments in a random projection of rank 128.

    Matrices are projected, vectors get AdamW; the numbers are those of its paper and of transformers.
    """
    try:
        from apollo_torch import APOLLOAdamW  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise ConfigError(
            "finetune.optim 'apollo_adamw' needs the package apollo-torch: pip install 'dreamloop[apollo]' "
            "(its licence excludes commercial use), or set optim to 'adamw_torch'."
        ) from error
    matrices = [p for p in parameters if p.ndim == 2]
    vectors = [p for p in parameters if p.ndim != 2]
    projected = {"rank": 128, "proj": "random", "scale_type": "channel", "scale": 1.0, "update_proj_gap": 200,
                 "proj_type": "std"}  # fmt: skip
    optimizer: torch.optim.Optimizer = APOLLOAdamW(
        [{"params": matrices, **projected}, {"params": vectors}], lr=rate, weight_decay=recipe.weight_decay
    )
    return optimizer


def resume(optimizer: torch.optim.Optimizer, policy: Policy, phase: str, moments: Mapping[str, Tensor]) -> bool:
    """Put a phase's moments back; False, and nothing changed, where they do not fit this adapter.

    A parameter that had none, because no gradient ever reached it, has none again.
    """
    parameters = policy.trainable("candidate")
    keys = {name: {kind: f"{phase}/{name}/{kind}" for kind in _KEPT} for name in parameters}
    found = {name: {k: moments[key] for k, key in own.items() if key in moments} for name, own in keys.items()}
    known = {name: state for name, state in found.items() if state}
    if not known:
        return False
    for name, state in known.items():
        if len(state) < len(_KEPT) or any(state[kind].shape != parameters[name].shape for kind in _KEPT[:2]):
            return False
    for name, state in known.items():
        parameter = parameters[name]
        optimizer.state[parameter] = {kind: tensor.to(parameter.device).clone() for kind, tensor in state.items()}
    return True


def moments_of(optimizer: torch.optim.Optimizer, policy: Policy, phase: str) -> Moments:
    """A phase's moments as they stand, on the CPU."""
    return {
        f"{phase}/{name}/{kind}": optimizer.state[parameter][kind].detach().float().cpu().clone()
        for name, parameter in policy.trainable("candidate").items()
        if parameter in optimizer.state
        for kind in _KEPT
    }


def write_moments(moments: Moments, folder: Path) -> None:
    """Put them beside a candidate's weights, with their digest, flushed to disk.

    Raises:
        StateError: the disk is full or not writable.
    """
    path = folder / FILE
    try:
        save_file(moments, path, metadata={"sha256": _digest(moments)})
        with path.open("rb") as file:
            os.fsync(file.fileno())
    except (OSError, SafetensorError) as error:
        raise StateError(f"{path} cannot be written ({error}); free some disk space.") from error


def read_moments(folder: Path) -> Moments:
    """A generation's moments; empty where it has none or they are damaged, because they are only a head start."""
    try:
        with safe_open(folder / FILE, framework="pt") as file:
            moments = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            return moments if (file.metadata() or {}).get("sha256") == _digest(moments) else {}
    except (OSError, SafetensorError):
        return {}


def _digest(moments: Moments) -> str:
    total = hashlib.sha256()
    for name in sorted(moments):
        total.update(name.encode())
        total.update(moments[name].contiguous().numpy().tobytes())
    return total.hexdigest()
