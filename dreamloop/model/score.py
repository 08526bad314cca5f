"""The scoring primitive: how likely is this reply after this context?

Everything that touches the model asks this one question. Rows are packed, the trunk runs once per
pack, and the LM head is applied only where a completion token is predicted, a chunk at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dreamloop.errors import ModelError
from dreamloop.log import Progress, Silent
from dreamloop.model.attention import Layout, Memory
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.head import TokenKL, TokenLogProbs
from dreamloop.model.pack import Pack, Strip, alone, pack, units
from dreamloop.model.policy import Policy
from dreamloop.records import Message

_UNUSED = torch.zeros(1, 1, 1, 1)  # transformers makes no mask of its own where a 4D one is given; `attend` reads none
_MOST_NOISE = 0.2  # nats per token


def hidden_states(policy: Policy, batch: Pack) -> Tensor:
    """The trunk's output at the positions that predict a completion token: (P, H)."""
    memory = None
    if batch.prelude is not None:
        memory = Memory()
        with torch.no_grad():
            run_trunk(policy, batch.prelude, Layout(batch.prelude.segments, remember=memory))
    hidden = run_trunk(policy, batch.strip, Layout(batch.strip.segments, memory))
    return hidden[batch.predictors.to(policy.device)]


def run_trunk(policy: Policy, strip: Strip, layout: Layout) -> Tensor:
    """The trunk's output at every position: (T, H)."""
    # A model that cannot be packed gets one plain sequence and its own causal attention.
    extra = {"segments": layout, "attention_mask": _UNUSED} if policy.packable else {}
    output = policy.trunk(
        input_ids=strip.tokens[None].to(policy.device),
        position_ids=strip.positions[None].to(policy.device),
        use_cache=False,
        **extra,
    )
    hidden: Tensor = output.last_hidden_state[0]
    return hidden


class TokenScores(NamedTuple):
    """Of every scored token of a pack, (P,) float32 in nats: log-prob, and the entropy of what could have stood there.

    Only log-probs carry a gradient; the entropy is NaN without autograd.
    """

    logprobs: Tensor
    entropy: Tensor


def token_scores(policy: Policy, batch: Pack) -> TokenScores:
    """Scores of a pack under the active adapter, with autograd where it is on."""
    hidden = hidden_states(policy, batch)
    targets = batch.targets.to(policy.device)
    weight: Tensor = policy.head.weight
    bias: Tensor | None = policy.head.bias
    if not torch.is_grad_enabled():  # the function below sees only what its inputs ask for
        weight, bias = weight.detach(), None if bias is None else bias.detach()
    return TokenScores(*TokenLogProbs.apply(hidden, targets, weight, bias))  # type: ignore[no-untyped-call] # torch


def token_logprobs(policy: Policy, batch: Pack) -> Tensor:
    """Log-probs of every scored token of a pack: (P,) float32, with autograd where it is on."""
    return token_scores(policy, batch).logprobs


def token_kl_to_base(policy: Policy, batch: Pack) -> Tensor:
    """Forward KL per scored token from the base model to the active adapter: (P,) float32, nats."""
    with torch.no_grad(), policy.using(None):
        base_hidden = hidden_states(policy, batch)
        base_weight = policy.head.weight.detach()
    hidden = hidden_states(policy, batch)
    result: Tensor = TokenKL.apply(hidden, policy.head.weight, base_hidden, base_weight, policy.head.bias)  # type: ignore[no-untyped-call] # torch
    return result


def packs_for(policy: Policy, rows: Sequence[Row], budget: int, frozen_contexts: bool = False) -> list[Pack]:
    """Packs where the model keeps packed rows apart exactly, single completions elsewhere."""
    return pack(rows, budget, frozen_contexts) if policy.packable else alone(rows)


def whole_rows(policy: Policy, rows: Sequence[Row], budget: int, frozen_contexts: bool = False) -> list[list[Pack]]:
    """The same packs, grouped so that no row's branches and no unit's rows are split over groups."""
    packs = packs_for(policy, rows, budget, frozen_contexts)
    if policy.packable:
        return [[batch] for batch in packs]
    return [[batch for batch in packs if batch.spans[0].row in unit] for unit in units(rows)]


@torch.no_grad()
def completion_logprobs(
    policy: Policy, rows: Sequence[Row], budget: int = 512, progress: Progress | None = None, what: str = "scoring",
    frozen_contexts: bool = False,
) -> list[list[Tensor]]:  # fmt: skip
    """One (T_i,) float32 CPU tensor per completion: ``result[row][branch]``, without autograd."""
    return _collect(policy, rows, packs_for(policy, rows, budget, frozen_contexts), progress or Silent(), what)


def _collect(
    policy: Policy, rows: Sequence[Row], packs: Sequence[Pack], progress: Progress, what: str
) -> list[list[Tensor]]:
    result: list[list[Tensor]] = [[torch.empty(0)] * len(row.branches) for row in rows]
    total = sum(map(len, packs))
    with progress.track(what, total, "tokens") as advance:
        for batch in packs:
            logprobs = token_logprobs(policy, batch).cpu()
            for span in batch.spans:
                result[span.row][span.branch] = logprobs[span.start : span.end]
            advance(len(batch))
    return result


def check_exactness(policy: Policy, encoder: ChatEncoder, tolerance: float, frozen_contexts: bool = False) -> float:
    """Invariant 3 on the real model: packed and branched scores equal plain forward passes.

    The yardstick is the model's own ``forward`` on one completion at a time, so a family that changes
    its logits after the LM head (soft caps, scales) is caught here too. In bfloat16 that yardstick differs
    from itself as soon as other tokens follow, though no causal model may care: kernels are chosen by shape.
    So there a reply may be off by twice that, or by the tolerance where that is more.

    Args:
        policy: the model with whatever adapter is active.
        encoder: its chat encoder.
        tolerance: largest mean absolute difference per token in nats: 1e-4 fp32, 0.02 bf16.
        frozen_contexts: check the packs whose contexts run first, as training with frozen contexts uses them.

    Returns:
        The largest difference found.

    Raises:
        ModelError: a difference exceeds what is allowed.
    """
    ask = (Message("user", "What is the capital of France?"),)
    known = "Here is all that we know of the trip so far: it begins on Monday and it ends on Friday."
    rows = [
        encoder.branches(ask, ("Paris.", "It is Lyon, I think."), 512),
        encoder.completion((Message("user", f"{known} Where does it go?"),), "Nobody said so.", 512),
        encoder.completion((Message("user", f"{known} How long is it?"),), "Five days.", 512),
        encoder.completion((Message("user", "Name two colours."),), "Red and blue.", 512),
        encoder.prose("The river rose in the night and the bridge was closed.", 512),
    ]
    ours = completion_logprobs(policy, rows, frozen_contexts=frozen_contexts)
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
