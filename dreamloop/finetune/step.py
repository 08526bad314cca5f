"""One optimizer step: gradients of its parts, clipped, applied, and written down."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

import torch

from dreamloop.errors import InvariantBroken
from dreamloop.finetune.accumulate import Accumulator, norm
from dreamloop.finetune.optimizer import Moments, make_optimizer, moments_of, resume
from dreamloop.finetune.parts import Done, Facts, Part
from dreamloop.log import Progress
from dreamloop.model.policy import Policy, Snapshot
from dreamloop.records import Recipe, Step

Phase = Literal["sft", "dpo", "hold"]


@dataclass(slots=True)
class Trainer:
    """The candidate being trained, the recipe, and what has happened so far.

    ``moments`` are those of the generation that is continued, and after a phase its own; ``resumed`` the phases that
    went on with them. ``replayed`` are the replay rows that any step has used, by source and number.
    """

    policy: Policy
    recipe: Recipe
    progress: Progress
    moments: Moments = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    resumed: list[Phase] = field(default_factory=list)
    replayed: set[tuple[int, int]] = field(default_factory=set)
    accumulator: Accumulator = field(init=False)
    start: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        frozen = self.recipe.context_gradient == "frozen"
        self.accumulator = Accumulator(self.policy, self.recipe.pack_tokens, frozen)
        self.start = self.policy.snapshot("candidate")

    def optimizer(self, phase: Phase, rate: float) -> torch.optim.Optimizer:
        """A fresh optimizer, or one that goes on with the moments of the generation that is continued."""
        made = make_optimizer(self.policy, self.recipe, rate)
        if self.recipe.carry_optimizer and resume(made, self.policy, phase, self.moments):
            self.resumed.append(phase)
        return made

    def without_dropout(self) -> AbstractContextManager[None]:
        """The mode to take steps in where dropout is 0.

        There evaluation mode changes no number and keeps cached kernels, but it silently switches gradient
        checkpointing off.
        """
        return self.policy.training() if self.recipe.gradient_checkpointing else nullcontext()

    def keep_moments(self, optimizer: torch.optim.Optimizer, phase: Phase) -> None:
        """Remember a phase's moments for the next night, where the recipe carries them."""
        if self.recipe.carry_optimizer:
            self.moments = {**self.moments, **moments_of(optimizer, self.policy, phase)}

    def step(
        self, make_parts: Callable[[], Sequence[Part]], optimizer: torch.optim.Optimizer, rate: float,
        phase: Phase, index: int,
    ) -> Step:  # fmt: skip
        """Behaviour first, replay second: gradients, clipping, one step at ``rate``, a record of it.

        Raises:
            InvariantBroken: the loss, the gradient or the weights stopped being finite.
            ModelError: out of memory twice.
        """
        started, trunk, room = time.monotonic(), self.accumulator.trunk_tokens, self.accumulator.room
        parts: Sequence[Part] = ()

        def made() -> Sequence[Part]:
            nonlocal parts
            parts = make_parts()
            return parts

        done = self.accumulator.gradients(made)
        before = self.policy.snapshot("candidate")
        grad_norm = norm(list(self.policy.trainable("candidate").values()))
        behaviour, replay = done[0], _all_of(done[1:])
        loss = behaviour.loss + replay.loss
        name = f"{phase.upper()} step {index + 1}"
        broken = None if math.isfinite(grad_norm) and math.isfinite(loss) else (
            f"Training broke in {name}: loss {loss:.3g}, gradient norm {grad_norm:.3g}; lower the learning rate."
        )  # fmt: skip
        if not broken and not self._apply(optimizer, rate, grad_norm):
            broken = f"A weight is not finite after {name}; lower the learning rate."
        seconds = time.monotonic() - started
        paid = self.accumulator.trunk_tokens - trunk
        step = Step(
            phase=phase, index=index, rows=behaviour.rows, replay_rows=replay.rows, tokens=behaviour.tokens,
            replay_tokens=replay.tokens, loss=loss, grad_norm=grad_norm,
            behaviour_grad_norm=behaviour.grad_norm, replay_grad_norm=replay.grad_norm,
            clipped=grad_norm > self.recipe.max_grad_norm, learning_rate=rate,
            update_norm=self.policy.moved_since(before), drift=self.policy.moved_since(self.start),
            packing=paid / max(self.accumulator.room - room, 1),
            seconds=seconds, tokens_per_s=paid / max(seconds, 1e-9),
            **asdict(_merged([part.facts(d) for part, d in zip(parts, done, strict=True)])),
        )  # fmt: skip
        self.steps.append(step)
        if broken:
            raise InvariantBroken(broken)
        return step

    def _apply(self, optimizer: torch.optim.Optimizer, rate: float, grad_norm: float) -> bool:
        """Clip and step; False where a weight stopped being finite."""
        parameters = list(self.policy.trainable("candidate").values())
        torch.nn.utils.clip_grads_with_norm_(parameters, self.recipe.max_grad_norm, torch.tensor(grad_norm))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return bool(torch.stack([parameter.isfinite().all() for parameter in parameters]).all())


def _all_of(done: Sequence[Done]) -> Done:
    return Done(
        sum(d.loss for d in done), math.hypot(*(d.grad_norm for d in done)),
        sum(d.rows for d in done), sum(d.tokens for d in done),
    )  # fmt: skip


def _merged(facts: Sequence[Facts]) -> Facts:
    """Every part tells its own; where two tell the same, the behavioural one, which comes first, stands."""

    def first(name: str) -> float | None:
        return next((value for told in facts if (value := getattr(told, name)) is not None), None)

    return Facts(**{field.name: first(field.name) for field in fields(Facts)})
