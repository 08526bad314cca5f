"""The scoring primitive: how likely is this reply after this context?

Everything that touches the model asks this one question. Rows are packed, the trunk runs once per
pack, and the LM head is applied only where a completion token is predicted, a chunk at a time, so
no (T, V) float32 tensor is ever held whole.

The LM head is frozen (LoRA never touches it here), so the gradient of a token's log-prob with respect
to its hidden state h is one H-vector, W[y] - softmax(Wh)·W. The forward pass saves that vector and the
backward pass scales it: no logits are kept and none are computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from dreamloop.errors import ModelError
from dreamloop.log import Progress, Silent
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.load import Policy
from dreamloop.model.pack import Pack, alone, pack
from dreamloop.records import Message

HEAD_CHUNK = 256  # completion tokens whose (chunk, V) logits exist at one time
_MOST_NOISE = 0.2  # nats per token


class _TokenLogProbs(torch.autograd.Function):
    """log softmax(head(h))[target] per token; the gradient flows to the hidden states only."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: nn.Linear) -> Tensor:
        logprobs = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), HEAD_CHUNK):
            part = slice(start, start + HEAD_CHUNK)
            logits = head(hidden[part]).float()  # (chunk, V)
            log_z = logits.logsumexp(-1)
            logprobs[part] = logits.gather(1, targets[part, None]).squeeze(1) - log_z
            if slopes is not None:
                p = logits.sub_(log_z[:, None]).exp_().to(hidden.dtype)
                slopes[part] = head.weight[targets[part]] - p @ head.weight
        ctx.save_for_backward(slopes)
        return logprobs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return grads[0][:, None].to(slopes.dtype) * slopes, None, None


class _TokenKL(torch.autograd.Function):
    """KL(base ‖ policy) per token over the whole vocabulary; the gradient flows to the policy."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, base_hidden: Tensor, head: nn.Linear) -> Tensor:
        kl = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        slopes = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(hidden), HEAD_CHUNK):
            part = slice(start, start + HEAD_CHUNK)
            log_p = head(hidden[part]).float().log_softmax(-1)  # (chunk, V)
            log_q = head(base_hidden[part]).float().log_softmax(-1)
            q = log_q.exp()
            kl[part] = (q * (log_q - log_p)).sum(-1)
            if slopes is not None:
                slopes[part] = (log_p.exp_() - q).to(hidden.dtype) @ head.weight
        ctx.save_for_backward(slopes)
        return kl

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return grads[0][:, None].to(slopes.dtype) * slopes, None, None


def hidden_states(policy: Policy, batch: Pack) -> Tensor:
    """The trunk's output at the positions that predict a completion token: (P, H)."""
    # (1, 1, T, T); a model that cannot be packed gets one plain sequence and its own causal mask.
    visible = batch.visible[None, None].to(policy.device) if policy.packable else None
    output = policy.trunk(
        input_ids=batch.tokens[None].to(policy.device),
        position_ids=batch.positions[None].to(policy.device),
        attention_mask=visible,
        use_cache=False,
    )
    hidden: Tensor = output.last_hidden_state[0]
    return hidden[batch.predictors.to(policy.device)]


def token_logprobs(policy: Policy, batch: Pack) -> Tensor:
    """Log-probs of every scored token of a pack: (P,) float32, with autograd where it is on."""
    hidden = hidden_states(policy, batch)
    result: Tensor = _TokenLogProbs.apply(hidden, batch.targets.to(policy.device), policy.head)  # type: ignore[no-untyped-call] # torch
    return result


def token_kl_to_base(policy: Policy, batch: Pack) -> Tensor:
    """Forward KL per scored token from the base model to the active adapter: (P,) float32, nats."""
    with torch.no_grad(), policy.using(None):
        base_hidden = hidden_states(policy, batch)
    result: Tensor = _TokenKL.apply(hidden_states(policy, batch), base_hidden, policy.head)  # type: ignore[no-untyped-call] # torch
    return result


def packs_for(policy: Policy, rows: Sequence[Row], budget: int) -> list[Pack]:
    """Packs where the model keeps packed rows apart exactly, single completions elsewhere."""
    return pack(rows, budget) if policy.packable else alone(rows)


def whole_rows(policy: Policy, rows: Sequence[Row], budget: int) -> list[list[Pack]]:
    """The same packs, grouped so that no row's branches are split over groups: a pair's loss needs both."""
    packs = packs_for(policy, rows, budget)
    if policy.packable:
        return [[batch] for batch in packs]
    return [list(group) for _, group in groupby(packs, key=lambda batch: batch.spans[0].row)]


@torch.no_grad()
def completion_logprobs(
    policy: Policy, rows: Sequence[Row], budget: int = 512, progress: Progress | None = None, what: str = "scoring"
) -> list[list[Tensor]]:
    """One (T_i,) float32 CPU tensor per completion: ``result[row][branch]``, without autograd."""
    return _collect(policy, rows, packs_for(policy, rows, budget), progress or Silent(), what)


def _collect(
    policy: Policy, rows: Sequence[Row], packs: Sequence[Pack], progress: Progress, what: str
) -> list[list[Tensor]]:
    result: list[list[Tensor]] = [[torch.empty(0)] * len(row.branches) for row in rows]
    total = sum(len(batch.tokens) for batch in packs)
    with progress.track(what, total, "tokens") as advance:
        for batch in packs:
            logprobs = token_logprobs(policy, batch).cpu()
            for span in batch.spans:
                result[span.row][span.branch] = logprobs[span.start : span.end]
            advance(len(batch.tokens))
    return result


def check_exactness(policy: Policy, encoder: ChatEncoder, tolerance: float) -> float:
    """Invariant 3 on the real model: packed and branched scores equal plain forward passes.

    The yardstick is the model's own ``forward`` on one completion at a time, so a family that changes
    its logits after the LM head (soft caps, scales) is caught here too. In bfloat16 that yardstick differs
    from itself as soon as other tokens follow, though no causal model may care: kernels are chosen by shape.
    So there a reply may be off by twice that, or by the tolerance where that is more.

    Args:
        policy: the model with whatever adapter is active.
        encoder: its chat encoder.
        tolerance: largest mean absolute difference per token in nats: 1e-4 fp32, 0.02 bf16.

    Returns:
        The largest difference found.

    Raises:
        ModelError: a difference exceeds what is allowed.
    """
    ask = (Message("user", "What is the capital of France?"),)
    rows = [
        encoder.branches(ask, ("Paris.", "It is Lyon, I think."), 512),
        encoder.completion((Message("user", "Name two colours."),), "Red and blue.", 512),
        encoder.prose("The river rose in the night and the bridge was closed.", 512),
    ]
    ours = completion_logprobs(policy, rows)
    worst = 0.0
    for i, row in enumerate(rows):
        for k, branch in enumerate(row.branches):
            plain = _plain_forward(policy, row.context, branch.tokens)
            off = (ours[i][k] - plain).abs().mean().item()
            allowed = max(tolerance, 2 * _own_noise(policy, row.context, branch.tokens, plain))
            if not off <= allowed:
                raise ModelError(
                    f"Packed scores of {policy.name} differ from plain ones by {off:.2g} nats per token "
                    f"(allowed {allowed:.2g}); this model family is not supported yet, choose another model."
                )
            worst = max(worst, off)
    return worst


def _own_noise(policy: Policy, context: Sequence[int], completion: Sequence[int], plain: Tensor) -> float:
    """How far plain scores are from themselves when other tokens follow: nats per token, mean absolute.

    None is granted in float32, and never so much that a broken model could pass.
    """
    if policy.dtype == torch.float32:
        return 0.0
    after = [*context, *completion] * 2
    again = _plain_forward(policy, context, [*completion, *after])[: len(completion)]
    return min((again - plain).abs().mean().item(), _MOST_NOISE)


@torch.no_grad()
def _plain_forward(policy: Policy, context: Sequence[int], completion: Sequence[int]) -> Tensor:
    tokens = torch.tensor([[*context, *completion]], device=policy.device)
    logits = policy.model(input_ids=tokens, use_cache=False).logits[0].float()
    logprobs = logits.log_softmax(-1)[len(context) - 1 : -1]
    picked: Tensor = logprobs.gather(1, tokens[0, len(context) :, None]).squeeze(1)
    return picked.cpu()
