"""The hold on the tiny model: what learning shifted elsewhere is taken back."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest
from peft import LoraConfig
from training import RECIPE, REPLAY, pairs

from dreamloop.finetune.hold import UNNOTICED, share_to_zero
from dreamloop.finetune.train import train
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.records import Message, Pair, Provenance, Recipe, StepReport

HOLDING = replace(RECIPE, sft=False, dpo_batch=8, hold_batch=4, hold_learning_rate=2e-3)


def others(months: tuple[str, str] = ("June", "July"), count: int = 16) -> list[Pair]:
    """Twins that nothing is taught about, with other words for yes and no."""
    found = []
    for k in range(count):
        for month, side in zip(months, ("right", "wrong"), strict=True):
            good, bad = ("Yes, that agrees.", "No, that differs.")[:: 1 if side == "right" else -1]
            where = Provenance("dream", "months", 0, side, "strong")
            found.append(Pair((Message("user", f"look {k}: {month}"),), good, bad, where, f"aside{k}"))
    return found


def objecting(policy: Policy, recipe: Recipe, bystanders: list[Pair]) -> tuple[StepReport, float]:
    """Learn only ever to refuse; and by how much that became likelier elsewhere, in nats per token."""
    policy.add_adapter("candidate", LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"), seed=0)
    encoder = ChatEncoder(policy.tokenizer)
    refused = [pair for pair in pairs() if pair.provenance.signal == "wrong"]
    report = train(policy, encoder, refused, REPLAY, recipe, Silent(), bystanders=bystanders).report
    unseen = others(("March", "April"), 4)
    asked = [encoder.branches(pair.context, ("Yes, that agrees.", "No, that differs."), 64) for pair in unseen]
    now = completion_logprobs(policy, asked)
    with policy.using(None):
        before = completion_logprobs(policy, asked)
    moved = [
        (own[1].mean() - own[0].mean() - was[1].mean() + was[0].mean()).item()
        for own, was in zip(now, before, strict=True)
    ]
    return report, fmean(moved)


def test_what_learning_shifted_elsewhere_is_taken_back_and_what_was_learned_stays(tiny_folder: object) -> None:
    free, shifted = objecting(load_policy(str(tiny_folder)), HOLDING, [])
    held, back = objecting(load_policy(str(tiny_folder)), HOLDING, others())
    assert (free.held, free.shift_before, free.shift_after) == ((), None, None)
    assert {step.phase for step in free.steps} == {"dpo"}
    steps = [step for step in held.steps if step.shift is not None]
    assert {step.phase for step in steps} == {"hold"}
    assert len(steps) == 4  # 16 bystanders, 4 a step
    assert held.bystanders == 16
    assert set(held.held) == {pair.digest for pair in others()}
    assert held.shift_before is not None
    assert held.shift_after is not None
    assert steps[0].shift == pytest.approx(held.shift_before, rel=0.2)  # of some of them
    assert held.shift_after < held.shift_before / 2
    assert abs(back) < abs(shifted) / 2
    assert held.margin_after - held.margin_before > (free.margin_after - free.margin_before) / 2
    assert held.replay_share == free.replay_share


def lending(twins: list[Pair], words: list[Pair]) -> list[Pair]:
    """The same twins with these words beside their own."""
    both = zip(twins, words, strict=True)
    return [*twins, *(replace(one, chosen=other.chosen, rejected=other.rejected) for one, other in both)]


def test_what_learning_shifted_in_other_words_is_taken_back_where_bystanders_are_held_by_those_too(
    tiny_folder: object,
) -> None:
    words = {"Yes, that agrees.": "Hello there.", "No, that differs.": "Good night."}
    strange = [replace(one, chosen=words[one.chosen], rejected=words[one.rejected]) for one in others()]
    (own, shifted), (more, back) = (
        objecting(load_policy(str(tiny_folder)), HOLDING, aside) for aside in (strange, lending(strange, others()))
    )
    assert abs(back) < abs(shifted) / 2
    assert (own.bystanders, more.bystanders, len(more.held)) == (16, 16, 64)
    assert [sum(step.shift is not None for step in report.steps) for report in (own, more)] == [4, 4]


def test_a_shift_that_nobody_would_notice_is_left_alone(tiny: Policy) -> None:
    report, _ = objecting(tiny, replace(HOLDING, dpo_learning_rate=1e-7), others())
    assert {step.phase for step in report.steps} == {"dpo"}
    assert report.shift_before is not None
    assert report.shift_after == report.shift_before < UNNOTICED


def test_where_zero_is_on_the_way_a_pass_is_taken_until_there_by_hand() -> None:
    assert share_to_zero(0.3, -0.1) == pytest.approx(0.75)
    assert share_to_zero(-0.3, 0.3) == pytest.approx(0.5)
    elsewhere = ((0.3, 0.1), (0.3, 0.0), (0.0, -0.1), (0.3, 0.5), (0.3, math.nan))
    assert [share_to_zero(*way) for way in elsewhere] == [1.0] * 5


def test_a_pass_that_goes_past_where_the_replies_were_is_cut_short_there(tiny_folder: object) -> None:
    little = replace(HOLDING, dpo_learning_rate=3e-3)  # shifts so little that a long step goes past
    _, moved = objecting(load_policy(str(tiny_folder)), little, [])
    report, back = objecting(load_policy(str(tiny_folder)), replace(little, hold_learning_rate=0.01), others(count=1))
    assert report.hold_share is not None
    assert 0 < report.hold_share < 1
    assert report.shift_after is not None
    assert report.shift_before is not None
    assert report.shift_after < report.shift_before / 2
    assert abs(back) < abs(moved) / 2


@pytest.mark.parametrize(("rate", "count", "finite"), [(0.07, 1, True), (1e30, 1, True), (10.0, 16, False)])
def test_a_hold_that_makes_it_worse_or_breaks_is_undone(
    tiny_folder: object, rate: float, count: int, finite: bool
) -> None:
    little = replace(HOLDING, dpo_learning_rate=3e-3)  # shifts so little that a long step goes past where it was
    free, moved = objecting(load_policy(str(tiny_folder)), little, [])
    report, same = objecting(
        load_policy(str(tiny_folder)), replace(little, hold_learning_rate=rate), others(count=count)
    )
    assert "hold" in {step.phase for step in report.steps}
    assert (report.shift_after, report.hold_share) == (report.shift_before, 0.0)
    assert any(symptom.startswith("HOLD") for symptom in report.symptoms) is not finite
    assert (same, report.margin_after) == (moved, free.margin_after)


@pytest.mark.parametrize("knobs", [{"gradient_checkpointing": True}, {"pack_tokens": 64}])
def test_the_hold_does_not_depend_on_how_memory_is_saved(tiny_folder: object, knobs: dict[str, Any]) -> None:
    aside = lending(
        others(), [replace(one, chosen=f"{one.chosen} Well.", rejected=f"{one.rejected} Well.") for one in others()]
    )
    plain, _ = objecting(load_policy(str(tiny_folder)), HOLDING, aside)
    saving, _ = objecting(load_policy(str(tiny_folder)), replace(HOLDING, **knobs), aside)
    assert saving.shift_after == pytest.approx(plain.shift_after, rel=0.05)
