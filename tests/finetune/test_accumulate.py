"""Rows to gradients: nothing about packing may show in the numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from torch import Tensor

from dreamloop.config import Finetune
from dreamloop.errors import ModelError
from dreamloop.finetune.accumulate import Accumulator
from dreamloop.finetune.parts import Done, KlAnchor, Pairs, Part, SftRows
from dreamloop.finetune.recipe import recipe_of
from dreamloop.model.encode import Branch, Row
from dreamloop.model.load import load_policy
from dreamloop.model.policy import Policy

LORA = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
RECIPE = replace(recipe_of(Finetune(), seed=0), beta=0.5, rpo_alpha=0.7)

tokens = st.lists(st.integers(2, 300), min_size=1, max_size=12).map(tuple)
branches = tokens.map(lambda found: Branch(found, (True,) * len(found)))
pairs = st.builds(lambda context, a, b: Row(context, (a, b)), tokens, branches, branches)


@pytest.fixture(scope="module")
def policy(tiny_folder: Path) -> Policy:
    loaded = load_policy(str(tiny_folder))
    loaded.add_adapter("candidate", LORA, seed=0)
    return loaded


def three_parts(rows: Sequence[Row]) -> list[Part]:
    """SFT, DPO with its guard, and the anchor over the same pairs."""
    alone = [Row(row.context, row.branches[:1]) for row in rows]
    references = [[torch.full((len(b.tokens),), -5.0) for b in row.branches] for row in rows]
    pairs = Pairs(rows, references, references, [1.0] * len(rows), [RECIPE.beta] * len(rows), RECIPE)
    return [SftRows(alone, len(alone), is_replay=False), pairs, KlAnchor(alone, 2.0)]


def gradients(policy: Policy, rows: Sequence[Row], budget: int) -> tuple[list[Done], dict[str, Tensor]]:
    done = Accumulator(policy, budget, frozen_contexts=False).gradients(lambda: three_parts(rows))
    found = {name: p.grad.clone() for name, p in policy.trainable("candidate").items() if p.grad is not None}
    return done, found


@given(st.lists(pairs, min_size=1, max_size=6), st.integers(8, 200), st.randoms(use_true_random=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_loss_and_gradient_depend_on_neither_packing_nor_order_nor_the_number_of_micro_batches(
    policy: Policy, rows: list[Row], budget: int, draw: random.Random
) -> None:
    plain = [gradients(policy, [row], 1) for row in rows]  # every row alone: the mean over rows by hand
    shuffled = list(rows)
    draw.shuffle(shuffled)
    done, found = gradients(policy, shuffled, budget)
    scored = [len(row.branches[0].tokens) for row in rows]
    by_rows, by_tokens = [1 / len(rows)] * len(rows), [tokens / sum(scored) for tokens in scored]
    for part, weights in enumerate((by_rows, by_rows, by_tokens)):
        by_hand = sum(w * one[part].loss for w, (one, _) in zip(weights, plain, strict=True))
        assert done[part].loss == pytest.approx(by_hand, rel=1e-3, abs=1e-5)
    _, again = gradients(policy, rows, 10_000)
    for name, gradient in again.items():
        torch.testing.assert_close(found[name], gradient, atol=2e-5, rtol=1e-3)


@given(st.lists(pairs, min_size=1, max_size=5), st.integers(8, 200), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
def test_the_gradient_is_the_mean_of_those_of_single_rows_also_where_nothing_can_be_packed(
    policy: Policy, rows: list[Row], budget: int, packable: bool
) -> None:
    def sft_and_dpo(some: Sequence[Row], budget: int) -> dict[str, Tensor]:
        Accumulator(policy, budget, frozen_contexts=False).gradients(lambda: three_parts(some)[:2])
        return {name: p.grad.clone() for name, p in policy.trainable("candidate").items() if p.grad is not None}

    alone = [sft_and_dpo([row], 1) for row in rows]
    policy.packable = packable
    try:
        together = sft_and_dpo(rows, budget)
    finally:
        policy.packable = True
    for name, gradient in together.items():
        by_hand = torch.stack([one[name] for one in alone]).mean(0)
        torch.testing.assert_close(gradient, by_hand, atol=2e-5, rtol=1e-3)


TWINS = [
    Row((3, context, 4), (Branch((5, 6), (True, True)), Branch((7, 8, 9), (True,) * 3))[::order], unit)
    for unit, context in (("a", 10), ("b", 30))
    for order in (1, -1)
]


def of_twins(policy: Policy, rows: Sequence[Row], budget: int, share: float) -> tuple[float, dict[str, Tensor]]:
    # Each row has a reference and a weight of its own.
    of = {row.context: k for k, row in enumerate(TWINS)}
    places = [2 * of[row.context] + (row.branches[0].tokens == (5, 6)) for row in rows]
    references = [
        [torch.full((len(b.tokens),), -5.0 - 0.3 * k) for b in row.branches]
        for k, row in zip(places, rows, strict=True)
    ]
    weights = [1.0 + 0.5 * k for k in places]
    recipe = replace(RECIPE, pairwise_share=share)
    part = Pairs(rows, references, references, weights, [recipe.beta] * len(rows), recipe)
    (done,) = Accumulator(policy, budget, frozen_contexts=False).gradients(lambda: [part])
    return done.loss, {n: p.grad.clone() for n, p in policy.trainable("candidate").items() if p.grad is not None}


def assert_equal(found: tuple[float, dict[str, Tensor]], known: tuple[float, dict[str, Tensor]]) -> None:
    assert found[0] == pytest.approx(known[0], rel=1e-4)
    for name, one in found[1].items():
        torch.testing.assert_close(one, known[1][name], atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("packable", [True, False])
def test_twins_are_judged_together_in_any_packing(policy: Policy, packable: bool) -> None:
    known = of_twins(policy, TWINS, 1000, 0.1)
    policy.packable = packable
    try:
        for rows, budget in ((TWINS, 1), ([TWINS[k] for k in (2, 0, 3, 1)], 1), ([TWINS[k] for k in (2, 0, 3, 1)], 20)):
            assert_equal(of_twins(policy, rows, budget, 0.1), known)
    finally:
        policy.packable = True


def test_with_all_of_what_they_moved_alike_twins_are_pairs_by_themselves(policy: Policy) -> None:
    apart = of_twins(policy, [replace(row, unit="") for row in TWINS], 1000, 0.1)
    assert_equal(of_twins(policy, TWINS, 1000, 1.0), apart)
    assert of_twins(policy, TWINS, 1000, 0.1)[0] < apart[0] - 1e-3


def test_a_pair_counts_as_much_as_its_weight(policy: Policy) -> None:
    rows = [Row((3, 4), (Branch((5, k), (True, True)), Branch((7,), (True,)))) for k in (6, 90)]
    references = [[torch.full((len(b.tokens),), -5.0) for b in row.branches] for row in rows]

    def loss(which: Sequence[int], weights: Sequence[float]) -> float:
        known = [references[k] for k in which]
        part = Pairs([rows[k] for k in which], known, known, weights, [RECIPE.beta] * len(which), RECIPE)
        return Accumulator(policy, 64, frozen_contexts=False).gradients(lambda: [part])[0].loss

    first, second = loss([0], [1.0]), loss([1], [1.0])
    assert abs(first - second) > 1e-3
    assert loss([0, 1], [3.0, 1.0]) == pytest.approx((3 * first + second) / 4, rel=1e-5)
    assert loss([0], [3.0]) == pytest.approx(first, rel=1e-5)


def test_each_parts_gradient_is_measured_before_they_are_added(policy: Policy) -> None:
    rows = [Row((3, 4), (Branch((5, 6), (True, True)), Branch((7,), (True,)))) for _ in range(2)]
    done, found = gradients(policy, rows, 64)
    for k, part in enumerate(three_parts(rows)):
        Accumulator(policy, 64, frozen_contexts=False).gradients(lambda part=part: [part])  # type: ignore[misc]
        own = sum(
            float(p.grad.double().square().sum()) for p in policy.trainable("candidate").values() if p.grad is not None
        )
        assert done[k].grad_norm == pytest.approx(own**0.5, rel=1e-5)
    together = sum(float(g.double().square().sum()) for g in found.values()) ** 0.5
    assert together <= sum(d.grad_norm for d in done) + 1e-6


class Tight:
    """A trunk with memory for so many tokens: beyond, it ends as torch does."""

    def __init__(self, policy: Policy, tokens: int) -> None:
        self.real, self.tokens, self.largest = policy.trunk, tokens, 0

    def __call__(self, **given: Tensor) -> object:
        size = given["input_ids"].shape[1]
        self.largest = max(self.largest, size)
        if size > self.tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return self.real(**given)


ROWS = [Row((3, 4), (Branch((5, 6, 7), (True,) * 3), Branch((8, 9, 2), (True,) * 3))) for _ in range(8)]


def test_where_memory_ends_the_budget_is_halved_once_and_the_gradient_is_the_same(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, plain = gradients(policy, ROWS, 64)
    monkeypatch.setattr(policy, "trunk", Tight(policy, 40))
    accumulator = Accumulator(policy, 64, frozen_contexts=False)
    done = accumulator.gradients(lambda: three_parts(ROWS))
    assert (accumulator.halved, accumulator.pack_tokens) == (True, 32)
    assert done[1].rows == 8
    for name, parameter in policy.trainable("candidate").items():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, plain[name], atol=1e-5, rtol=1e-3)


def test_where_memory_ends_again_the_night_ends_with_the_way_out(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "trunk", Tight(policy, 7))
    with pytest.raises(ModelError, match="lower finetune"):
        Accumulator(policy, 64, frozen_contexts=False).gradients(lambda: three_parts(ROWS))


def test_other_failures_are_not_taken_for_a_lack_of_memory(policy: Policy) -> None:
    def broken(_: int) -> None:
        raise RuntimeError("expected scalar type Float but found Half")

    with pytest.raises(RuntimeError, match="scalar type"):
        Accumulator(policy, 64, frozen_contexts=False).within_memory(broken)


def test_a_cpus_words_for_it_are_understood(policy: Policy) -> None:
    def asks(budget: int) -> int:
        if budget > 40:
            torch.empty(1 << 60, dtype=torch.uint8)
        return budget

    assert Accumulator(policy, 64, frozen_contexts=False).within_memory(asks) == 32
