"""What tests of a training train on: the same few pairs, general rows and recipe."""

from __future__ import annotations

from peft import LoraConfig

from dreamloop.config import Finetune
from dreamloop.finetune.recipe import recipe_of
from dreamloop.finetune.train import train
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.records import ChatRow, Message, Pair, Provenance, Recipe, StepReport

KNOBS = Finetune(loss_type="sigmoid", dpo_learning_rate=1e-2, sft_learning_rate=1e-3, chosen_floor=5.0)
RECIPE = recipe_of(KNOBS, seed=1)
REPLAY = [ChatRow((Message("user", f"hello {k}"),), "The lazy dog answers.", "test") for k in range(3)]


def pairs(count: int = 8) -> list[Pair]:
    """Twins by name: 'Monday' is confirmed, 'Friday' refused; and two mined pairs."""
    found = []
    for k in range(count):
        for day, good, bad in (("Monday", "Yes, correct.", "No, wrong."), ("Friday", "No, wrong.", "Yes, correct.")):
            where = Provenance("dream", "days", 0, "right" if day == "Monday" else "wrong", "strong")
            found.append(Pair((Message("user", f"check {k}: {day}"),), good, bad, where, f"twin{k}"))
    mined = Provenance("log", "c", 0, "ranked siblings", "strong")
    return [*found, *(Pair((Message("user", f"ask {k}"),), "Yes, please.", "quick", mined) for k in range(2))]


def trained(policy: Policy, recipe: Recipe = RECIPE, some: list[Pair] | None = None) -> StepReport:
    policy.add_adapter("candidate", LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"), seed=0)
    return train(policy, ChatEncoder(policy.tokenizer), some or pairs(), REPLAY, recipe, Silent()).report
