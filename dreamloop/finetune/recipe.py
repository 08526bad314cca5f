"""Knobs to numbers: the learning-rate schedule and the batch that gives a night enough steps."""

from __future__ import annotations

import math

from dreamloop.config import Finetune
from dreamloop.records import Recipe


def recipe_of(knobs: Finetune, seed: int) -> Recipe:
    """The configured knobs as a record."""
    same = {name: getattr(knobs, name) for name in Recipe.__slots__ if name in Finetune.model_fields}
    return Recipe(**{**same, "seed": seed, "lora_alpha": knobs.alpha})


def rate_factor(step: int, steps: int, warmup_ratio: float) -> float:
    """Factor on the learning rate at ``step`` (0-based) of ``steps``: warm-up, then cosine.

    Warm-up begins at 1/(w+1), never at 0: with four steps a zero first step is a quarter of the night.
    The cosine reaches 0 only after the last step.
    """
    warmup = math.ceil(warmup_ratio * steps) if steps > 1 else 0
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


def batch_size(examples: int, wanted: int, min_steps: int) -> int:
    """The wanted batch, lowered so that one pass over ``examples`` has at least ``min_steps`` steps."""
    return max(1, min(wanted, examples // min_steps))


def replay_count(behavioural: int, share: float) -> int:
    """Replay rows that make up ``share`` of a night with ``behavioural`` examples: 20 at 0.25 give 7."""
    return math.ceil(behavioural * share / (1 - share))
