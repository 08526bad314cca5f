from __future__ import annotations

from dataclasses import replace

from dreamloop.finetune.symptoms import symptoms
from dreamloop.records import Step

HEALTHY = Step(
    phase="dpo", index=0, rows=4, replay_rows=2, tokens=40, replay_tokens=20, loss=0.7, sft=None, replay=None, dpo=0.7,
    guard=None, anchor=0.0, accuracy=0.5, chosen=-2.0, rejected=-3.0, margin=1.0, chosen_change=0.0,
    shift=None, entropy=2.0, grad_norm=1.0, behaviour_grad_norm=1.0, replay_grad_norm=0.1, clipped=False,
    learning_rate=1e-4, update_norm=0.1, drift=0.1, packing=0.9, seconds=1.0, tokens_per_s=60.0,
)  # fmt: skip
STEPS = [replace(HEALTHY, index=k) for k in range(8)]


def test_a_healthy_training_has_no_symptoms() -> None:
    assert symptoms(STEPS) == ()
    assert symptoms([]) == ()


def test_a_spike_is_told_with_its_step_and_size() -> None:
    (told,) = symptoms([*STEPS[:5], replace(STEPS[5], grad_norm=12.0)])
    assert told.startswith("DPO step 6: gradient norm 12, 12 times the usual 1;")


def test_the_first_steps_have_no_usual_to_spike_from() -> None:
    assert symptoms([replace(HEALTHY, grad_norm=9.0), HEALTHY]) == ()


def test_each_phase_has_its_own_usual() -> None:
    sft = [replace(HEALTHY, phase="sft", index=k, grad_norm=0.01) for k in range(4)]
    assert symptoms([*sft, *STEPS]) == ()


def test_empty_masks_are_told() -> None:
    (told,) = symptoms([replace(HEALTHY, tokens=0), *STEPS[1:]])
    assert "no token to learn from" in told


def test_a_training_that_moves_nothing_is_told_once() -> None:
    (told,) = symptoms([replace(step, update_norm=0.0) for step in STEPS])
    assert "no step moved the model" in told


def test_falling_chosen_replies_are_told_with_what_helps() -> None:
    falling = [replace(step, chosen_change=-0.1 * k) for k, step in enumerate(STEPS)]
    (told,) = symptoms(falling)
    assert "lost 0.65 nats per token" in told  # the mean of the last two of eight: 0.6 and 0.7
    assert "dpop_lambda" in told
