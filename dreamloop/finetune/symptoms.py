"""What goes wrong in a training, said in words: one pure function of the steps."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from dreamloop.records import Step

SPIKE = 10.0  # times the median gradient norm of the steps before; steps of two pairs vary by five
FALLING = 0.1  # nats per token that the chosen replies may lose in a phase before it is said
STILL = 1e-7  # a step's update_norm below which nothing moved


def symptoms(steps: Sequence[Step]) -> tuple[str, ...]:
    """Sentences, one a symptom, in the order of the steps; empty where the training looks healthy."""
    found: list[str] = []
    for phase, telling in _TELLING.items():
        own = [step for step in steps if step.phase == phase]
        found += [sentence for tell in telling for sentence in tell(own)]
    return tuple(found)


def _broken(steps: Sequence[Step]) -> list[str]:
    found = [step for step in steps if not (math.isfinite(step.loss) and math.isfinite(step.grad_norm))]
    return [f"{_name(step)}: loss or gradient is not finite; the learning rate is too high." for step in found]


def _spikes(steps: Sequence[Step]) -> list[str]:
    found = []
    for k, step in enumerate(steps):
        usual = statistics.median(s.grad_norm for s in steps[:k]) if k >= 3 else 0.0
        if usual and step.grad_norm > SPIKE * usual:
            found.append(
                f"{_name(step)}: gradient norm {step.grad_norm:.3g}, {step.grad_norm / usual:.0f} times the usual "
                f"{usual:.3g}; its examples may be wrong or the learning rate too high."
            )
    return found


def _empty(steps: Sequence[Step]) -> list[str]:
    # A step of general rows alone is none: a few mined replies do not go round all steps of a phase.
    empty = [step for step in steps if (step.rows and not step.tokens) or not step.tokens + step.replay_tokens]
    return [f"{_name(step)}: no token to learn from; the completion masks are empty." for step in empty]


def _still(steps: Sequence[Step]) -> list[str]:
    if not steps or any(step.update_norm > STILL for step in steps):
        return []
    return [f"{steps[0].phase.upper()}: no step moved the model; the learning rate or the gradients are zero."]


def _falling(steps: Sequence[Step]) -> list[str]:
    changes = [step.chosen_change for step in steps if step.chosen_change is not None]
    late = changes[-max(1, len(changes) // 3) :]
    if not late or statistics.fmean(late) > -FALLING:
        return []
    return [
        f"DPO: the chosen replies lost {-statistics.fmean(late):.2f} nats per token against the phase's start in the "
        "last steps; finetune.dpop_lambda holds them, a lower finetune.dpo_learning_rate slows it."
    ]


def _name(step: Step) -> str:
    return f"{step.phase.upper()} step {step.index + 1}"


_TELLING = {
    "sft": (_broken, _spikes, _empty, _still),
    "dpo": (_broken, _spikes, _empty, _still, _falling),
    "hold": (_broken, _empty, _still),  # its gradients end with what they take back, so an early one is no spike
}
