"""Losses worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from dreamloop.finetune import losses


def test_sft_is_the_mean_over_the_replys_own_tokens() -> None:
    # -(-1 - 2 - 6) / 3 = 3
    assert losses.sft(torch.tensor([-1.0, -2.0, -6.0])).item() == pytest.approx(3.0)


def test_dpo_begins_at_ln_2() -> None:
    logit = losses.dpo_logit(torch.tensor(-5.0), torch.tensor(-7.0), torch.tensor(-5.0), torch.tensor(-7.0))
    assert losses.dpo(logit, 0.1).item() == pytest.approx(math.log(2))


def test_dpo_by_hand() -> None:
    # chosen gained 3 nats on its reference, rejected lost 1: logit 4, beta 0.5: -log σ(2) = ln(1 + e^-2)
    logit = losses.dpo_logit(torch.tensor(-2.0), torch.tensor(-8.0), torch.tensor(-5.0), torch.tensor(-7.0))
    assert logit.item() == pytest.approx(4.0)
    assert losses.dpo(logit, 0.5).item() == pytest.approx(math.log(1 + math.exp(-2)))


def test_a_step_towards_the_rejected_reply_costs_more_than_ln_2() -> None:
    assert losses.dpo(torch.tensor(-4.0), 0.5).item() == pytest.approx(math.log(1 + math.exp(2)))
