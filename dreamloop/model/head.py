"""The LM head at completion positions, a slice of the vocabulary at a time.

No (P, V) tensor ever exists: logits are made for a few thousand words of the vocabulary, folded into running sums
as in flash attention (arXiv 2205.14135, section 3.1), and overwritten by the next. What stays in the cache is also
what is fast.

The gradient of a token's log-prob with respect to its hidden state h is one H-vector, W[y] - softmax(Wh)·W.
The forward pass saves that vector and the backward pass scales it, so while the head is frozen (LoRA never touches
it here) nothing is computed twice. With full weights the head learns too; then the backward pass makes the logits
once more for the head's own gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_WORDS = 4096  # of the vocabulary at one time


class TokenLogProbs(torch.autograd.Function):
    """log softmax(Wh)[target] per token, and the entropy of softmax(Wh): both (P,) float32 in nats.

    From hidden (P, H), targets (P,) and the head's weight (V, H) and bias (V,); the gradient of the log-probs
    flows to hidden and weight. The entropy is for reports: it has no gradient, and is NaN without autograd.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
        own = torch.zeros(len(hidden), dtype=torch.float32, device=hidden.device)
        # Over all words but the target: Σ e^(logit - top), and with it the sums of W's rows and of b.
        top, others, others_bias = torch.full_like(own, -torch.inf), torch.zeros_like(own), torch.zeros_like(own)
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[2]
        rows = torch.zeros_like(hidden, dtype=torch.float32) if wanted else None
        for words, logits in _logits(hidden, weight, bias):
            place, here = _place(targets, words)
            own = torch.where(here, logits.gather(1, place).squeeze(1), own)
            higher = torch.maximum(top, logits.amax(-1))
            shrink = (top - higher).exp_()
            # In place: logits relative to the highest so far, then their powers.
            e = logits.sub_(higher[:, None]).exp_()
            e.scatter_(1, place, e.gather(1, place).masked_fill(here[:, None], 0.0))
            others.mul_(shrink).add_(e.sum(-1))
            if rows is not None:
                rows.mul_(shrink[:, None]).add_(e.to(weight.dtype) @ weight[words])
                if bias is not None:
                    others_bias.mul_(shrink).add_(e @ bias[words].float())
            top = higher
        total = others + (own - top).exp()
        log_z = top + total.log()
        entropy, slopes = torch.full_like(log_z, torch.nan), None
        if rows is not None:
            rows.div_(total[:, None])
            # W[y] - Σ p·W would be the difference of two nearly equal vectors where the target is all but certain;
            # with the target left out of the sum it is (1 - p)·W[y] minus a small one, exact in any dtype.
            rest = others / total
            slopes = (rest[:, None] * weight[targets].float() - rows).to(hidden.dtype)
            # Entropy = log Z - Σ p·logit, and Σ p·(Wh) over the others is the row just computed times h.
            entropy = log_z - (rows * hidden.float()).sum(-1) - others_bias / total - (1 - rest) * own
        ctx.save_for_backward(slopes, hidden, targets, weight, bias, log_z)
        ctx.mark_non_differentiable(entropy)
        return own - log_z, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        slopes, hidden, targets, weight, bias, log_z = ctx.saved_tensors
        back = (grads[0][:, None] * slopes).to(hidden.dtype)
        if not ctx.needs_input_grad[2]:
            return back, None, None, None
        own = torch.zeros_like(weight)
        own_bias = None if bias is None else torch.zeros_like(bias)
        for words, logits in _logits(hidden, weight, bias):
            slope = logits.sub_(log_z[:, None]).exp_()
            place, here = _place(targets, words)
            slope.scatter_(1, place, slope.gather(1, place) - here[:, None].float())
            slope.mul_(-grads[0][:, None])
            own[words] = slope.to(weight.dtype).T @ hidden
            if own_bias is not None:
                own_bias[words] = slope.sum(0).to(own_bias.dtype)
        return back, None, own, own_bias


class TokenKL(torch.autograd.Function):
    """KL(base ‖ policy) over the whole vocabulary per token: (P,) float32 in nats.

    From the policy's hidden states, the base's, and both heads' weights; the gradient flows to the policy's.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, base_hidden: Tensor, base_weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        log_z, base_log_z = (_log_z(h, w, bias) for h, w in ((hidden, weight), (base_hidden, base_weight)))
        kl = torch.zeros_like(log_z)
        slopes = torch.zeros_like(hidden, dtype=torch.float32)
        for words, log_p, log_q in _both(hidden, weight, log_z, base_hidden, base_weight, base_log_z, bias):
            q = log_q.exp()
            kl += (log_q.sub_(log_p).mul_(q)).sum(-1)
            if ctx.needs_input_grad[0]:
                slopes += log_p.exp_().sub_(q).to(weight.dtype) @ weight[words]
        ctx.save_for_backward(slopes, hidden, weight, log_z, base_hidden, base_weight, base_log_z, bias)
        return kl

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        slopes, hidden, weight, *_ = ctx.saved_tensors
        back = (grads[0][:, None] * slopes).to(hidden.dtype)
        if not ctx.needs_input_grad[1]:
            return back, None, None, None, None
        own = torch.zeros_like(weight)
        bias = ctx.saved_tensors[-1]
        own_bias = None if bias is None else torch.zeros_like(bias)
        for words, log_p, log_q in _both(*ctx.saved_tensors[1:]):
            slope = log_p.exp_().sub_(log_q.exp_()).mul_(grads[0][:, None])
            own[words] = slope.to(weight.dtype).T @ hidden
            if own_bias is not None:
                own_bias[words] = slope.sum(0).to(own_bias.dtype)
        return back, own, None, None, own_bias


def _both(
    hidden: Tensor, weight: Tensor, log_z: Tensor,
    base_hidden: Tensor, base_weight: Tensor, base_log_z: Tensor, bias: Tensor | None,
) -> Iterator[tuple[slice, Tensor, Tensor]]:  # fmt: skip
    """Log-probs of the policy and of the base, (P, words) each, slice after slice."""
    both = zip(_logits(hidden, weight, bias), _logits(base_hidden, base_weight, bias), strict=True)
    for (words, logits), (_, base_logits) in both:
        yield words, logits.sub_(log_z[:, None]), base_logits.sub_(base_log_z[:, None])


def _log_z(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.stack([logits.logsumexp(-1) for _, logits in _logits(hidden, weight, bias)]).logsumexp(0)


def _place(targets: Tensor, words: slice) -> tuple[Tensor, Tensor]:
    """Where each token's target stands in a slice, (P, 1), and whether it is there at all, (P,)."""
    here = (targets >= words.start) & (targets < words.stop)
    return (targets - words.start).clamp(0, words.stop - words.start - 1)[:, None], here


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
    """Float32 logits (P, words), slice after slice, all in one buffer: fresh pages cost as much as the product."""
    product = torch.empty(len(hidden), _WORDS, dtype=hidden.dtype, device=hidden.device)
    wide = product if hidden.dtype == torch.float32 else torch.empty_like(product, dtype=torch.float32)
    for start in range(0, len(weight), _WORDS):
        words = slice(start, min(start + _WORDS, len(weight)))
        size = words.stop - start
        torch.mm(hidden.detach(), weight.detach()[words].T, out=product[:, :size])
        logits = product[:, :size] if wide is product else wide[:, :size].copy_(product[:, :size])
        yield words, logits if bias is None else logits.add_(bias.detach()[words])
