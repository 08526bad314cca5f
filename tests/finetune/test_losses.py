"""Losses worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dreamloop.finetune import losses

Both = tuple[Tensor, Tensor]


def test_sft_is_the_mean_over_the_replys_own_tokens() -> None:
    # -(-1 - 2 - 6) / 3 = 3
    assert losses.sft(torch.tensor([-1.0, -2.0, -6.0])).item() == pytest.approx(3.0)


def test_dpo_by_hand() -> None:
    # chosen gained 3 nats on its reference, rejected lost 1: logit 4, beta 0.5: -log σ(2) = ln(1 + e^-2)
    logit = losses.dpo_logit(torch.tensor(-2.0), torch.tensor(-8.0), torch.tensor(-5.0), torch.tensor(-7.0))
    assert logit.item() == pytest.approx(4.0)
    assert losses.sigmoid(logit, 0.5).item() == pytest.approx(math.log(1 + math.exp(-2)))


def test_a_step_towards_the_rejected_reply_costs_more_than_ln_2() -> None:
    assert losses.sigmoid(torch.tensor(-4.0), 0.5).item() == pytest.approx(math.log(1 + math.exp(2)))


def test_robust_dpo_by_hand() -> None:
    # βz = 2, ε = 0.1: (0.9·ln(1+e^-2) - 0.1·ln(1+e^2)) / 0.8 = (0.9·0.126928 - 0.1·2.126928) / 0.8
    assert losses.robust(torch.tensor(4.0), 0.5, 0.1).item() == pytest.approx(-0.123072, abs=1e-5)


@given(st.floats(-20, 20), st.floats(0, 0.45))
def test_robust_dpo_on_noisy_labels_is_on_average_dpo_on_clean_ones(logit: float, noise: float) -> None:
    # A label is flipped with probability ε, which turns the logit's sign.
    z = torch.tensor(logit, dtype=torch.float64)
    noisy = (1 - noise) * losses.robust(z, 0.1, noise) + noise * losses.robust(-z, 0.1, noise)
    assert noisy.item() == pytest.approx(losses.sigmoid(z, 0.1).item(), abs=1e-9)


def preference(
    kind: losses.LossType, branches: Both, reference: Both, beta: float, smoothing: float, dpop_lambda: float = 0.0
) -> Tensor:
    """A pair's loss from its log-probs."""
    return losses.preference(kind, losses.held_logit(kind, branches, reference, dpop_lambda), beta, smoothing)


def test_ipo_by_hand() -> None:
    # per-token means: chosen -1 against -2, rejected -3 against -2.5: z = (-1 + 3) - (-2 + 2.5) = 1.5
    branches = (torch.tensor([-0.5, -1.5]), torch.tensor([-3.0]))
    reference = (torch.tensor([-2.0, -2.0]), torch.tensor([-2.5]))
    # β = 0.5: (1.5 - 1)² = 0.25
    assert preference("ipo", branches, reference, 0.5, 0.0).item() == pytest.approx(0.25)


def test_what_the_chosen_reply_lost_counts_against_its_pair_and_what_it_gained_does_not() -> None:
    # chosen -2 against -1.5: it lost 0.5; rejected -4 against -2: z = (-2 + 4) - (-1.5 + 2) = 1.5
    branches = (torch.tensor([-1.5, -2.5]), torch.tensor([-4.0]))
    reference = (torch.tensor([-1.5, -1.5]), torch.tensor([-2.0]))
    # λ = 0.4: 1.5 - 0.4 · 0.5 = 1.3, and (1.3 - 1)² = 0.09
    assert preference("ipo", branches, reference, 0.5, 0.0, 0.4).item() == pytest.approx(0.09)
    gained = (torch.tensor([-1.0, -1.0]), branches[1])
    assert preference("ipo", gained, reference, 0.5, 0.0, 0.4) == preference("ipo", gained, reference, 0.5, 0.0)


def test_a_chosen_reply_that_lost_as_much_as_the_rejected_one_is_pulled_up() -> None:
    chosen, rejected = torch.tensor([-2.0], requires_grad=True), torch.tensor([-3.0], requires_grad=True)
    loss = preference("ipo", (chosen, rejected), (torch.tensor([-1.0]), torch.tensor([-2.0])), 0.5, 0.0, 0.5)
    pulls = torch.autograd.grad(loss, (chosen, rejected))
    # z = 0 - 0.5·1; slope 2·(-0.5 - 1) = -3 for the rejected side's pull, times 1 + λ for the chosen one's
    assert [pull.item() for pull in pulls] == pytest.approx([-4.5, 3.0])


def of_twins(z: float, other: float, share: float, weights: tuple[float, float] = (1.0, 1.0)) -> float:
    """IPO's loss of twins with β = 0.5, which ends at t = 1."""
    logits = (torch.tensor(z, dtype=torch.float64), torch.tensor(other, dtype=torch.float64))
    return losses.of_twins("ipo", logits, weights, 0.5, 0.0, share).item()


@pytest.mark.parametrize(
    ("z", "other", "loss"),
    [
        (0.4, 0.4, 0.36),  # told apart: (0.4 - 1)²
        (0.4, -0.4, 1.0 + 0.1 * 0.16),  # the objecting reply gained on both sides: (0 - 1)² and a tenth of 0.4²
        (0.5, 0.1, 0.49 + 0.1 * 0.04),  # (0.3 - 1)² and a tenth of 0.2²
    ],
)
def test_ipo_of_twins_by_hand(z: float, other: float, loss: float) -> None:
    assert of_twins(z, other, share=0.1) == pytest.approx(loss)


def test_weights_say_what_a_side_counts_where_pairs_are_judged_by_themselves_by_hand() -> None:
    # 0.8 · (0.3 - 1)² + 0.2 · (3 · (0.5 - 1)² + (0.1 - 1)²) / 4
    assert of_twins(0.5, 0.1, share=0.2, weights=(3.0, 1.0)) == pytest.approx(0.8 * 0.49 + 0.2 * (0.75 + 0.81) / 4)
    assert of_twins(0.5, 0.1, share=0.0, weights=(3.0, 1.0)) == of_twins(0.5, 0.1, share=0.0)


@pytest.mark.parametrize("kind", ["sigmoid", "ipo", "robust"])
def test_with_a_share_of_one_twins_are_pairs_by_themselves(kind: losses.LossType) -> None:
    both = (torch.tensor(0.7), torch.tensor(-0.3))
    alone = [losses.preference(kind, logit, 0.5, 0.1) for logit in both]
    assert losses.of_twins(kind, both, (3.0, 1.0), 0.5, 0.1, 1.0) == (3 * alone[0] + alone[1]) / 4
    same = (both[0], both[0])
    assert losses.of_twins(kind, same, (3.0, 1.0), 0.5, 0.1, 0.3).item() == pytest.approx(alone[0].item())


@given(st.floats(-3, 3), st.floats(-1, 1))
def test_with_no_share_a_bias_costs_and_gains_nothing(told_apart: float, bias: float) -> None:
    assert of_twins(told_apart + bias, told_apart - bias, 0.0) == pytest.approx(of_twins(told_apart, told_apart, 0.0))


@pytest.mark.parametrize(
    ("logits", "gain"),
    [((0.4, -0.2), 0.3), ((-0.2, 0.4), -0.3), ((0.5, 0.5), 0.0), ((0.3, 0.0), 0.15)],
)
def test_what_one_reply_of_twins_gains_on_both_sides_by_hand(logits: tuple[float, float], gain: float) -> None:
    # (0.4 - -0.2) / 2 = 0.3: with chosen and rejected exchanged, one reply became likelier by 0.3 on both sides.
    one, other = logits
    assert losses.shared_gain((torch.tensor(one), torch.tensor(other))).item() == pytest.approx(gain)


@pytest.mark.parametrize(("kind", "first"), [("sigmoid", math.log(2)), ("robust", math.log(2)), ("ipo", 6.25)])
def test_at_the_reference_a_loss_is_ln_2_and_that_of_ipo_follows_from_beta(kind: losses.LossType, first: float) -> None:
    same = (torch.tensor([-1.0, -2.0]), torch.tensor([-4.0]))
    assert preference(kind, same, same, 0.2, 0.1).item() == pytest.approx(first)  # (1 / (2 · 0.2))² = 6.25
