"""Hidden states inside the trunk: what the model holds about a reply while it reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dreamloop.errors import ModelError
from dreamloop.log import Progress
from dreamloop.model.encode import Row
from dreamloop.model.policy import Policy
from dreamloop.model.score import hidden_states, packs_for


@torch.no_grad()
def mean_states(
    policy: Policy, rows: Sequence[Row], depth: float, budget: int, progress: Progress, what: str
) -> list[Tensor]:
    """Mean hidden state over each row's reply, without the end-of-turn token: one (H,) float32 CPU tensor per row.

    Args:
        policy: answers with whatever adapter is active.
        rows: one branch each, of two scored tokens at least.
        depth: how far up the trunk to look, 0 (after the first layer) to 1 (after the last).
        budget: tokens of one forward pass.
        progress: where to show the work, called ``what``.

    Raises:
        ModelError: the trunk's layers cannot be found.
    """
    found: list[Tensor] = [torch.empty(0)] * len(rows)
    packs = packs_for(policy, rows, budget)
    with _tapped(policy, depth) as seen, progress.track(what, sum(map(len, packs)), "tokens") as advance:
        for batch in packs:
            hidden_states(policy, batch)
            states = seen.pop()
            for span in batch.spans:
                # What predicts the second token and later ones stands on the first one and later ones; the last of
                # those is the last token of the text, because the end-of-turn token predicts nothing.
                places = batch.predictors[span.start + 1 : span.end].to(states.device)
                found[span.row] = states[places].float().mean(0).cpu()
            advance(len(batch))
    return found


@contextmanager
def _tapped(policy: Policy, depth: float) -> Iterator[list[Tensor]]:
    """Collect the output (T, H) of one layer of the trunk, pass by pass."""
    layers = _layers(policy)
    seen: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor | tuple[Tensor, ...]) -> None:
        seen.append((output if isinstance(output, Tensor) else output[0])[0])

    handle = layers[round(depth * (len(layers) - 1))].register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def _layers(policy: Policy) -> nn.ModuleList:
    count = policy.model.config.get_text_config().num_hidden_layers
    for module in policy.trunk.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"The layers of {policy.name} cannot be found, so its geometry cannot be measured.")
