"""The losses, as pure functions of log-probs. Natural logarithms throughout; sums over a reply's tokens.

Formulas are worked by hand in the tests and compared with TRL's on the same tiny model.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def sft(token_logprobs: Tensor) -> Tensor:
    """Negative mean log-prob of one reply's tokens: scalar from (T,).

    The mean is per row and rows are averaged after it; a mean over all tokens would let long replay
    answers drown short replies.
    """
    return -token_logprobs.mean()


def dpo_logit(chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor) -> Tensor:
    """(log π(y_w) - log π(y_l)) - (log ref(y_w) - log ref(y_l)), each a sum over a reply's tokens."""
    return (chosen - rejected) - (reference_chosen - reference_rejected)


def dpo(logit: Tensor, beta: float) -> Tensor:
    """-log σ(β·logit), elementwise: the sigmoid loss of DPO (arXiv 2305.18290, equation 7).

    At the reference the logit is 0 and the loss ln 2.
    """
    return -functional.logsigmoid(beta * logit)
