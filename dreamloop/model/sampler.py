"""Engines that write text, behind one protocol; the rest of the code cannot tell them apart.

This file holds the protocol and the embedded engine: transformers' own batched generation in the
same process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder, Tokens
from dreamloop.model.policy import Adapter, Policy
from dreamloop.records import Context, Reply


@dataclass(frozen=True, slots=True)
class Request:
    """One reply wanted. ``temperature`` 0 is greedy."""

    context: Context
    max_new_tokens: int = 128
    temperature: float = 0.7
    top_p: float = 0.95


class Sampler(Protocol):
    """Writes replies; the same seed and requests give the same replies as far as the engine allows."""

    def sample(
        self, requests: Sequence[Request], adapter: Adapter | None, seed: int, progress: Progress, what: str
    ) -> list[Reply]:
        """One reply per request, in order, by the named adapter or, with None, by the base model."""
        ...


class TransformersSampler:
    """The embedded engine: left-padded batches through ``generate``."""

    def __init__(self, policy: Policy, encoder: ChatEncoder, batch: int = 16) -> None:
        self.policy = policy
        self.encoder = encoder
        self.batch = batch

    def sample(
        self, requests: Sequence[Request], adapter: Adapter | None, seed: int, progress: Progress, what: str
    ) -> list[Reply]:
        """One reply per request, in order. Requests with equal settings share a batch."""
        prompts = [self.encoder.chat(request.context, generation_prompt=True) for request in requests]
        order = sorted(range(len(requests)), key=lambda i: (_settings(requests[i]), len(prompts[i])))
        replies: dict[int, Reply] = {}
        with self.policy.using(adapter), progress.track(what, len(requests), "replies") as advance:
            for batch in _batches(order, requests, self.batch):
                first = requests[batch[0]]
                with torch.random.fork_rng(devices=self._generators()):
                    torch.manual_seed(seed + batch[0])
                    outputs = self._generate([prompts[i] for i in batch], first)
                replies.update({i: reply_of(self.encoder, output) for i, output in zip(batch, outputs, strict=True)})
                advance(len(batch))
        return [replies[i] for i in range(len(requests))]

    def _generators(self) -> list[torch.device]:
        return [self.policy.device] if self.policy.device.type == "cuda" else []

    @torch.no_grad()
    def _generate(self, prompts: Sequence[Tokens], settings: Request) -> list[list[int]]:
        from transformers import GenerationConfig  # noqa: PLC0415 - seconds of import

        width = max(len(prompt) for prompt in prompts)
        end = self.encoder.end_of_turn
        ids = torch.tensor([[end] * (width - len(p)) + list(p) for p in prompts], device=self.policy.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self.policy.device)
        sampling = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p}
        config = GenerationConfig(  # type: ignore[no-untyped-call] # transformers
            max_new_tokens=settings.max_new_tokens,
            eos_token_id=end,
            pad_token_id=end,
            **(sampling if settings.temperature > 0 else {"do_sample": False}),
        )
        output: Tensor = self.policy.model.generate(ids, attention_mask=mask, generation_config=config)
        return [[int(token) for token in row] for row in output[:, width:]]


def reply_of(encoder: ChatEncoder, tokens: Sequence[int]) -> Reply:
    """What an engine wrote, up to the end of its turn; without one it was cut off by the limit."""
    finished = encoder.end_of_turn in tokens
    kept = tokens[: tokens.index(encoder.end_of_turn)] if finished else tokens
    text = str(encoder.tokenizer.decode(list(kept), skip_special_tokens=True)).strip()
    specials = sum(token in encoder.special_ids for token in kept)
    return Reply(text, "stop" if finished else "length", len(kept) + finished, specials)


def _settings(request: Request) -> tuple[int, float, float]:
    return request.max_new_tokens, request.temperature, request.top_p


def _batches(order: Sequence[int], requests: Sequence[Request], size: int) -> list[list[int]]:
    batches: list[list[int]] = []
    for i in order:
        last = batches[-1] if batches else None
        if last and len(last) < size and _settings(requests[last[0]]) == _settings(requests[i]):
            last.append(i)
        else:
            batches.append([i])
    return batches
