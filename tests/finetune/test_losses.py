"""Losses worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.finetune import losses


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


def test_ipo_by_hand() -> None:
    # per-token means: chosen -1 against -2, rejected -3 against -2.5: z = (-1 + 3) - (-2 + 2.5) = 1.5
    branches = (torch.tensor([-0.5, -1.5]), torch.tensor([-3.0]))
    reference = (torch.tensor([-2.0, -2.0]), torch.tensor([-2.5]))
    # β = 0.5: (1.5 - 1)² = 0.25
    assert losses.preference("ipo", branches, reference, 0.5, 0.0).item() == pytest.approx(0.25)


@pytest.mark.parametrize("kind", ["sigmoid", "ipo", "robust"])
def test_every_preference_loss_begins_where_it_is_said_to(kind: losses.LossType) -> None:
    same = (torch.tensor([-1.0, -2.0]), torch.tensor([-4.0]))
    loss = losses.preference(kind, same, same, 0.2, 0.1)
    assert loss.item() == pytest.approx(losses.at_reference(kind, 0.2))


def test_the_start_of_dpo_is_ln_2_and_that_of_ipo_follows_from_beta() -> None:
    assert losses.at_reference("sigmoid", 0.1) == math.log(2)
    assert losses.at_reference("ipo", 0.1) == pytest.approx(25.0)
