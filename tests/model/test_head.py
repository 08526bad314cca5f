"""The LM head in slices against the whole softmax and autograd through it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dreamloop.model import head

TOKENS, WIDTH = 7, 16


def given(words: int, with_bias: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    torch.manual_seed(0)
    hidden = torch.randn(TOKENS, WIDTH, requires_grad=True)
    weight = torch.randn(words, WIDTH, requires_grad=True)
    bias = torch.randn(words, requires_grad=True) if with_bias else None
    return hidden, torch.randint(0, words, (TOKENS,)), weight, bias


def whole(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    logits = hidden @ weight.T
    return (logits if bias is None else logits + bias).log_softmax(-1)


# One slice, several with a rest, and slices of one word.
SIZES = [(50, 4096), (10_000, 4096), (10, 1)]


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(("words", "slice_of"), SIZES)
def test_log_probs_entropy_and_gradients_equal_the_whole_softmax(
    words: int, slice_of: int, with_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_WORDS", slice_of)
    hidden, targets, weight, bias = given(words, with_bias)
    scale = torch.arange(TOKENS) - 2.0
    ours, entropy = head.TokenLogProbs.apply(hidden, targets, weight, bias)  # type: ignore[no-untyped-call]
    logprobs = whole(hidden, weight, bias)
    theirs = logprobs.gather(1, targets[:, None]).squeeze(1)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(entropy, -(logprobs.exp() * logprobs).sum(-1), atol=1e-4, rtol=1e-4)
    assert not entropy.requires_grad
    learned = (hidden, weight) if bias is None else (hidden, weight, bias)
    for mine, other in zip(
        torch.autograd.grad((ours * scale).sum(), learned),
        torch.autograd.grad((theirs * scale).sum(), learned),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(("words", "slice_of"), SIZES)
def test_the_kl_and_its_gradients_equal_the_whole_formula(
    words: int, slice_of: int, with_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "_WORDS", slice_of)
    hidden, _, weight, bias = given(words, with_bias)
    base_hidden, base_weight = hidden.detach() + 0.3, weight.detach() * 0.9
    ours = head.TokenKL.apply(hidden, weight, base_hidden, base_weight, bias)  # type: ignore[no-untyped-call]
    log_p, log_q = whole(hidden, weight, bias), whole(base_hidden, base_weight, bias)
    theirs = (log_q.exp() * (log_q - log_p)).sum(-1)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    for mine, other in zip(
        torch.autograd.grad(ours.sum(), (hidden, weight)),
        torch.autograd.grad(theirs.sum(), (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_the_kl_by_hand() -> None:
    # Two words; the policy says 1/2 and 1/2 (logits 0, 0), the base 3/4 and 1/4 (logits ln 3, 0):
    # KL = 3/4·ln(3/4 / 1/2) + 1/4·ln(1/4 / 1/2) = 0.75·0.405465 - 0.25·0.693147 = 0.130812
    hidden = torch.ones(1, 1)
    kl = head.TokenKL.apply(hidden, torch.zeros(2, 1), hidden, torch.tensor([[math.log(3)], [0.0]]), None)  # type: ignore[no-untyped-call]
    assert kl.item() == pytest.approx(0.130812, abs=1e-6)


def test_a_token_that_is_all_but_impossible_has_a_finite_exact_log_prob() -> None:
    hidden, weight = torch.ones(1, 1), torch.tensor([[0.0], [500.0]])
    logprob, _ = head.TokenLogProbs.apply(hidden, torch.tensor([0]), weight, None)  # type: ignore[no-untyped-call]
    assert logprob.item() == -500.0


def test_without_autograd_there_is_no_entropy_and_nothing_else_changes() -> None:
    hidden, targets, weight, bias = given(50, True)
    scored, entropy = head.TokenLogProbs.apply(
        hidden.detach(), targets, weight.detach(), None if bias is None else bias.detach()
    )  # type: ignore[no-untyped-call]
    assert entropy.isnan().all()
    torch.testing.assert_close(scored, head.TokenLogProbs.apply(hidden, targets, weight, bias)[0])  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("certain", [2.0, 6.0, 10.0])
def test_in_bfloat16_the_gradient_of_all_but_certain_tokens_is_right_too(certain: float) -> None:
    torch.manual_seed(1)
    weight = (torch.randn(300, 64) / 8).bfloat16()
    targets = torch.arange(20)
    hidden = (weight[targets].float() * certain * 2 + 0.1 * torch.randn(20, 64)).bfloat16().requires_grad_()
    logprobs, entropy = head.TokenLogProbs.apply(hidden, targets, weight, None)  # type: ignore[no-untyped-call]
    (ours,) = torch.autograd.grad(logprobs.sum(), hidden)
    exact = hidden.detach().double().requires_grad_()
    wanted = (exact @ weight.double().T).log_softmax(-1).gather(1, targets[:, None]).sum()
    (right,) = torch.autograd.grad(wanted, exact)
    plain = (hidden @ weight.T).float().log_softmax(-1).gather(1, targets[:, None]).sum()
    (torchs,) = torch.autograd.grad(plain, hidden)
    mine, theirs = (((g.double() - right).norm(dim=1) / right.norm(dim=1)).median() for g in (ours, torchs))
    # The logits' own rounding, which both share, is all that may be left.
    assert mine < 1.2 * theirs + 0.005
    assert entropy.min() > -1e-3
