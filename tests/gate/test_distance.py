from __future__ import annotations

import math

import torch
from peft import LoraConfig

from dreamloop.gate.distance import NAME, weights_moved
from dreamloop.gate.measures import Margins
from dreamloop.gate.verdict import decide
from dreamloop.model.policy import Policy

MARGINS = Margins({"weights": 0.1}, {"weights": 0.2}, 0.90)


def trained(policy: Policy, b: float) -> None:
    """A candidate, all of whose B are one number."""
    policy.add_adapter("candidate", LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"), seed=0)
    with torch.no_grad():
        for key, weight in policy.trainable("candidate").items():
            if ".lora_B." in key:
                weight.fill_(b)


def test_what_moved_too_far_in_one_night_is_not_kept(tiny: Policy) -> None:
    trained(tiny, 1e-4)
    near = weights_moved(tiny, "candidate", None, MARGINS)
    assert 0 < near.candidate < 0.1
    assert near.tonight.change == near.since_base.change == -near.candidate
    assert decide([near], [NAME]).outcome == "keep"
    tiny.peft.delete_adapter("candidate")
    trained(tiny, 10.0)
    assert decide([weights_moved(tiny, "candidate", None, MARGINS)], [NAME]).outcome == "revert"


def test_weights_that_are_not_finite_are_no_distance(tiny: Policy) -> None:
    trained(tiny, math.nan)
    verdict = decide([weights_moved(tiny, "candidate", None, MARGINS)], [NAME])
    assert verdict.outcome == "revert"
    assert "not finite" in verdict.reasons[0]


def test_the_base_itself_has_not_moved(tiny: Policy) -> None:
    assert weights_moved(tiny, None, None, MARGINS).candidate == 0
