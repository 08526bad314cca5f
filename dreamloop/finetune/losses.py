"""The losses, as pure functions of log-probs. Natural logarithms throughout.

Formulas are worked by hand in the tests and compared with TRL's on the same tiny model. The KL anchor is
computed beside the LM head (`model.head.TokenKL`), because its sum runs over the whole vocabulary:
KL(base ‖ policy) = Σ_v base(v)·(log base(v) - log policy(v)), per token.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

LossType = Literal["sigmoid", "ipo", "robust"]
Two = tuple[Tensor, Tensor]


def sft(token_logprobs: Tensor) -> Tensor:
    """Negative mean log-prob of one reply's tokens: scalar from (T,).

    The mean is per row and rows are averaged after it; a mean over all tokens would let long replay
    answers drown short replies. On a pair's chosen reply, weighted, it is the term that keeps DPO from lowering
    that reply's own log-prob (arXiv 2404.19733).
    """
    return -token_logprobs.mean()


def dpo_logit(chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor) -> Tensor:
    """(log π(y_w) - log π(y_l)) - (log ref(y_w) - log ref(y_l)); sums over tokens, or means for IPO."""
    return (chosen - rejected) - (reference_chosen - reference_rejected)


def sigmoid(logit: Tensor, beta: float) -> Tensor:
    """-log σ(β·logit), elementwise: DPO (arXiv 2305.18290, equation 7). At the reference it is ln 2."""
    return -functional.logsigmoid(beta * logit)


def robust(logit: Tensor, beta: float, label_smoothing: float) -> Tensor:
    """DPO when a share ε < 0.5 of the labels is wrong (arXiv 2403.00409); ln 2 at the reference.

    (-(1-ε)·log σ(βz) + ε·log σ(-βz)) / (1-2ε), which on average equals the loss on clean labels.
    """
    clean, flipped = functional.logsigmoid(beta * logit), functional.logsigmoid(-beta * logit)
    return (label_smoothing * flipped - (1 - label_smoothing) * clean) / (1 - 2 * label_smoothing)


def ipo(mean_logit: Tensor, beta: float) -> Tensor:
    """(z - 1/(2β))², elementwise, of a logit of per-token means (arXiv 2310.12036, equation 17).

    The paper's τ is β; means instead of sums, as TRL takes them, keep its meaning the same for all lengths.
    """
    return (mean_logit - 1 / (2 * beta)).square()


def held(logit: Tensor, chosen: Tensor, reference_chosen: Tensor, dpop_lambda: float) -> Tensor:
    """z - λ·max(0, log ref(y_w) - log π(y_w)): DPO-Positive (arXiv 2402.13228, equation 3).

    A preference is also met where both replies become less likely and the rejected one more so; what the chosen
    reply has lost counts against the pair here, and nothing pushes it up once it is where it was.
    """
    return logit - dpop_lambda * (reference_chosen - chosen).clamp(min=0)


def held_logit(kind: LossType, branches: Two, reference: Two, dpop_lambda: float) -> Tensor:
    """A pair's logit from its (T,) log-probs, chosen and rejected, under the policy and the reference."""
    sums = [t.mean() if kind == "ipo" else t.sum() for t in (*branches, *reference)]
    return held(dpo_logit(*sums), sums[0], sums[2], dpop_lambda)


def preference(kind: LossType, logit: Tensor, beta: float, smoothing: float) -> Tensor:
    """The loss of a `held_logit`."""
    if kind == "ipo":
        return ipo(logit, beta)
    return sigmoid(logit, beta) if kind == "sigmoid" else robust(logit, beta, smoothing)


def of_twins(
    kind: LossType, logits: Two, weights: tuple[float, float], beta: float, smoothing: float, pairwise_share: float
) -> Tensor:
    """(1 - s)·loss((z + z')/2) + s·(w·loss(z) + w'·loss(z'))/(w + w'), where s is ``pairwise_share``.

    Twins offer the same two replies with chosen and rejected exchanged. So (z + z')/2 is how much better they are told
    apart, and (z - z')/2 how much likelier one reply became on both sides, a bias. Pair by pair, IPO minds both alike:
    (z - t)² + (z' - t)² = 2·((z + z')/2 - t)² + 2·((z - z')/2)². But replies get likelier and less likely all the time
    for reasons of their own, and the gradients of the second term drown those of the first; s is what is left of it.
    """
    together = preference(kind, (logits[0] + logits[1]) / 2, beta, smoothing)
    by_pair = [weight * preference(kind, logit, beta, smoothing) for weight, logit in zip(weights, logits, strict=True)]
    return (1 - pairwise_share) * together + pairwise_share * (by_pair[0] + by_pair[1]) / sum(weights)


def shared_gain(logits: Two) -> Tensor:
    """(z - z')/2: by how much the first twin's chosen reply, which the second rejects, became likelier on both sides.

    From logits of per-token means, in nats. What it does not see is how far the twins are told apart, (z + z')/2, so
    twins that nothing is taught about may still come to be told apart.
    """
    return (logits[0] - logits[1]) / 2
