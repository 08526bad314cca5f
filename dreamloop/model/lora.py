"""PEFT's LoRA layer with one fused step per pass: y = xWᵀ + b + s·(xAᵀ)Bᵀ (arXiv 2106.09685, section 4.1).

Written as PEFT does, the sum makes three more passes over the layer's whole output, forward and backward, and
small models spend a tenth of a step on them. Here the low-rank product is added by the matrix product itself.
The layer stays PEFT's in everything else: weights, saving, merging, switching adapters.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.nn import functional


class _Fused(torch.autograd.Function):
    """y (N, out) from x (N, in), W (out, in), b, A (r, in), B (out, r) and the gain s.

    ``hidden`` are the places of x, counted through, that dropout hides from A; None without dropout. The gain then
    holds dropout's factor 1/(1-p) too.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, hidden: Tensor | None, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, s: float
    ) -> Tensor:
        low = _read(x, hidden).to(a.dtype) @ a.T  # (N, r)
        ctx.save_for_backward(x, hidden, low, weight, a, b)
        ctx.s = s
        # Adapter weights are float32 whatever the base is: their part is added before rounding, as PEFT does.
        return functional.linear(x, weight, bias).to(a.dtype).addmm_(low, b.T, alpha=s).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, hidden, low, weight, a, b = ctx.saved_tensors
        wide = grads[0].to(a.dtype)
        back = wide @ b  # (N, r)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = (grads[0] @ weight).to(a.dtype)
            if hidden is None:
                to_x.addmm_(back, a, alpha=ctx.s)
            else:
                to_x.add_((back @ a).view(-1).index_fill_(0, hidden, 0.0).view_as(x), alpha=ctx.s)
            to_x = to_x.to(x.dtype)
        to_a = (back.T @ _read(x, hidden).to(a.dtype)).mul_(ctx.s) if ctx.needs_input_grad[4] else None
        to_b = (wide.T @ low).mul_(ctx.s) if ctx.needs_input_grad[5] else None
        return to_x, None, None, None, to_a, to_b, None


def _read(x: Tensor, hidden: Tensor | None) -> Tensor:
    return x if hidden is None else x.clone().view(-1).index_fill_(0, hidden, 0.0).view_as(x)


def hidden_by_dropout(count: int, p: float, device: torch.device) -> Tensor:
    """Places among ``count`` that dropout hides: each with probability ``p``, from torch's seed.

    Drawn with replacement, k times where (1 - 1/count)^k = 1 - p. A yes or no for every place costs twenty times as
    many draws, and on a CPU the draws are what dropout costs.
    """
    draws = math.log1p(-p) / math.log1p(-1 / count) if count > 1 else 1.0
    return torch.empty(round(draws), dtype=torch.int64, device=device).random_(0, count)


class FusedLinear(Linear):  # peft
    """PEFT's `Linear` whose plain case, one adapter and nothing merged, is the fused step."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """As PEFT's: x (..., in) to (..., out)."""
        active = [name for name in self.active_adapters if name in self.lora_A]
        plain = len(active) == 1 and not (args or kwargs or self.disable_adapters or self.merged)
        if not plain or active[0] in self.lora_variant or self.lora_bias[active[0]]:
            return super().forward(x, *args, **kwargs)
        name = active[0]
        base = self.get_base_layer()
        a, b, gain = self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name]
        flat = x.reshape(-1, x.shape[-1])
        dropout = self.lora_dropout[name]
        p = float(getattr(dropout, "p", 0.0)) if dropout.training else 0.0
        hidden = hidden_by_dropout(flat.numel(), p, flat.device) if p else None
        y: Tensor = _Fused.apply(flat, hidden, base.weight, base.bias, a, b, gain / (1 - p))  # type: ignore[no-untyped-call] # torch
        return y.view(*x.shape[:-1], -1)


def fuse(model: nn.Module) -> None:
    """Let every plain LoRA layer of a PEFT model take the fused step; others stay as they are."""
    for module in model.modules():
        if type(module) is Linear and type(module.get_base_layer()) is nn.Linear:
            module.__class__ = FusedLinear
