"""A model made ready for a night: base, incumbent, and a candidate that starts as the incumbent.

The scores are checked against plain forward passes on the real weights before anything relies on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig

from dreamloop.config import Config, Finetune
from dreamloop.errors import ModelError
from dreamloop.log import Progress
from dreamloop.model.bundled import ensure_bundled
from dreamloop.model.copies import WholeWeights
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy, local_folder
from dreamloop.model.policy import Adapter, Policy
from dreamloop.model.score import check_exactness
from dreamloop.records import Generation

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.02}  # nats per token, invariant 3


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that answers tonight; ``serving`` is the adapter that served yesterday."""

    policy: Policy
    encoder: ChatEncoder
    serving: Adapter | None
    exactness: float


def wake(
    config: Config, models: Path, incumbent: Generation | None, start: Generation | None, seed: int, progress: Progress
) -> Model:  # fmt: skip
    """Load the base and the adapters, and check that packed scores are exact.

    Args:
        config: names the model and the shape of a new adapter.
        models: where the bundled model is kept.
        incumbent: yesterday's generation; None where the base serves.
        start: where the candidate begins, None for a fresh adapter.
        seed: of a new adapter's weights.
        progress: where to show long steps.

    Raises:
        ModelError: not loadable, not exact, or the incumbent belongs to another base.
    """
    policy = load_policy(
        base_folder(config, models, progress), config.device, _dtype(config),
        max(config.finetune.pack_tokens, config.finetune.max_length),
        WholeWeights if config.finetune.method == "full" else Policy,
    )  # fmt: skip
    if incumbent:
        _load_incumbent(policy, incumbent, config)
    if start:
        policy.load_adapter("candidate", Path(start.path))
    else:
        policy.add_adapter("candidate", new_adapter(config), seed)
        _check_names(policy, config.finetune)
    serving: Adapter | None = "incumbent" if incumbent else None
    policy.use(serving)
    encoder = ChatEncoder(policy.tokenizer)
    frozen = config.finetune.context_gradient == "frozen"
    if frozen and not policy.packable:
        raise ModelError(
            f"{config.model} cannot be packed, so contexts cannot run apart; set finetune.context_gradient to 'full'."
        )
    exactness = max(
        check_exactness(policy, encoder, TOLERANCE.get(policy.dtype, 0.02), contexts)
        for contexts in ((False, True) if frozen else (False,))
    )
    return Model(policy, encoder, serving, exactness)


def _load_incumbent(policy: Policy, incumbent: Generation, config: Config) -> None:
    if incumbent.base_digest != policy.digest:
        raise ModelError(
            f"Generation {incumbent.number} was trained on another base model than {config.model}; "
            "set 'model' back, or start again from this base with 'dreamloop revert --to 0'."
        )
    policy.load_adapter("incumbent", Path(incumbent.path))
    if config.serves and not policy.plain("incumbent"):
        raise ModelError(
            f"Generation {incumbent.number} is no plain LoRA (DoRA or a bias), which vLLM does not serve; set "
            "vllm.publish to false, or start again from the base by 'dreamloop revert --to 0'."
        )


def _dtype(config: Config) -> str:
    """Full weights learn by steps that bfloat16 would round away, so there 'auto' is float32 on a GPU too."""
    return "float32" if config.finetune.method == "full" and config.dtype == "auto" else config.dtype


def _check_names(policy: Policy, knobs: Finetune) -> None:
    """Every layer and pattern that the configuration names is in the new adapter; a typo would train less, silently."""
    listed = () if isinstance(knobs.target_modules, str) else knobs.target_modules
    adapted = policy.adapted("candidate")
    for name in (*listed, *knobs.rank_pattern, *knobs.alpha_pattern) if knobs.method == "lora" else ():
        if not any(re.search(rf"(^|\.)({name})$", layer) for layer in adapted):
            raise ModelError(
                f"finetune names the layer {name!r}, but no adapter stands there; this model has "
                f"{', '.join(sorted({layer.rpartition('.')[2] for layer in adapted}))}."
            )
    if any(layer.rpartition(".")[2] == policy.head_name for layer in adapted):
        raise ModelError(f"The LM head ({policy.head_name}) gets no adapter; take it out of finetune.target_modules.")


def base_folder(config: Config, models: Path, progress: Progress) -> str:
    """The base model's folder on this machine, fetched first where it is not here yet."""
    return str(ensure_bundled(models, progress)) if config.model == "bundled" else local_folder(config.model)


def new_adapter(config: Config) -> LoraConfig:
    """The PEFT configuration of a fresh adapter."""
    knobs = config.finetune
    modules = knobs.target_modules if isinstance(knobs.target_modules, str) else list(knobs.target_modules)
    return LoraConfig(
        r=knobs.r, lora_alpha=knobs.alpha, use_rslora=knobs.use_rslora, target_modules=modules,
        rank_pattern=dict(knobs.rank_pattern), alpha_pattern=dict(knobs.alpha_pattern), use_dora=knobs.use_dora,
        lora_bias=knobs.lora_bias, init_lora_weights=knobs.init_lora_weights,
        lora_dropout=knobs.sft_dropout, bias="none", task_type="CAUSAL_LM",
    )  # fmt: skip
