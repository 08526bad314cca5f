"""Knobs to numbers: the learning-rate schedule and the batch that gives a night enough steps."""

from __future__ import annotations

import math

from dreamloop.config import Finetune
from dreamloop.records import Recipe

_UNSET = {
    "lora": {"sft_learning_rate": 2e-5, "dpo_learning_rate": 1e-4, "beta": 0.1},
    "full": {"sft_learning_rate": 1e-5, "dpo_learning_rate": 5e-7, "beta": 0.01},
}
_HOLD = 1 / 4  # of DPO's rate: what is held moves far by small steps, and what was learned should stay
_IPO = {"beta": 0.7}  # is a distance to go, 1/(2β) nats per token, and the same for all methods


def recipe_of(knobs: Finetune, seed: int) -> Recipe:
    """The configured knobs as a record; what is unset depends on whether LoRA or all weights are trained."""
    same = {name: getattr(knobs, name) for name in Recipe.__slots__ if name in Finetune.model_fields}
    usual = _UNSET[knobs.method] | (_IPO if knobs.loss_type == "ipo" else {})
    unset = {name: value for name, value in usual.items() if same[name] is None}
    if same["hold_learning_rate"] is None:
        unset["hold_learning_rate"] = _HOLD * (same | unset)["dpo_learning_rate"]
    patterns = {name: tuple(sorted(same[name].items())) for name in ("rank_pattern", "alpha_pattern", "beta_pattern")}
    return Recipe(**{**same, **unset, **patterns, "seed": seed, "lora_alpha": knobs.alpha})


def rate_factor(step: int, steps: int, warmup_ratio: float, decay_ratio: float) -> float:
    """Factor on the learning rate at ``step`` (0-based) of ``steps``: warm-up, the whole rate, down to 0 at the end.

    What a night learns is found late in it, where a cosine has left little to find it with (for long runs both are as
    good: arXiv 2405.18392). Neither end is at 0: with four steps a zero step is a quarter of the night.
    """
    warmup, decay = (math.ceil(ratio * steps) if steps > 1 else 0 for ratio in (warmup_ratio, decay_ratio))
    return min(1.0, (step + 1) / (warmup + 1), (steps - step) / (decay + 1))


def batch_size(examples: int, wanted: int, min_steps: int) -> int:
    """The wanted batch, lowered so that one pass over ``examples`` has at least ``min_steps`` steps."""
    return max(1, min(wanted, examples // min_steps))


def replay_count(behavioural: int, share: float) -> int:
    """Replay rows that make up ``share`` of a night with ``behavioural`` examples: 20 at 0.25 give 7."""
    return math.ceil(behavioural * share / (1 - share))


def suggested_rank(examples: int) -> int:
    """The LoRA rank that holds what so many examples can tell, as a power of two from 8 to 64.

    A preference tells about one bit and an answer some hundred; weights keep about two bits each (arXiv 2404.05405),
    and one rank of even a small model has 10^5 weights. Capacity is therefore not what binds a night: eight, the
    smallest that vLLM has a step for above one, holds a thousand examples, and what follows is a wide margin for
    many nights' worth trained at once, where low ranks were seen to fall behind (arXiv 2405.09673).
    """
    return min(64, max(8, 1 << math.ceil(math.log2(max(examples, 128) / 128))))
