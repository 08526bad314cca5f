"""Rows to gradients: micro-batches by tokens, one part of a step after the other.

A unit's share of the loss is fixed before anything is packed, so loss and gradients are the same for any packing,
order or number of micro-batches. Each part's gradient is measured before it is added to the others'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from dreamloop.errors import ModelError
from dreamloop.finetune.parts import Done, Part
from dreamloop.finetune.rows import scored_tokens
from dreamloop.model.policy import Policy
from dreamloop.model.score import whole_rows

T = TypeVar("T")


@dataclass(slots=True)
class Accumulator:
    """Gradients of whole steps within a budget of tokens per pass, halved once where memory ends.

    Attributes:
        pack_tokens: the budget now. trunk_tokens, room: tokens processed so far, and what the passes had room for.
    """

    policy: Policy
    pack_tokens: int
    frozen_contexts: bool
    halved: bool = False
    trunk_tokens: int = 0
    room: int = 0

    def gradients(self, make_parts: Callable[[], Sequence[Part]]) -> list[Done]:
        """Leave the gradient of the parts' summed losses on the candidate's parameters.

        ``make_parts`` is called again where memory ended in the middle, so parts may count what they see.

        Raises:
            ModelError: out of memory, and again with half the budget.
        """
        trunk, room = self.trunk_tokens, self.room

        def attempt(budget: int) -> list[Done]:
            self.trunk_tokens, self.room = trunk, room  # what an attempt before paid in vain does not count
            return self._all(make_parts(), budget)

        return self.within_memory(attempt)

    def within_memory(self, work: Callable[[int], T]) -> T:
        """Do ``work`` with the budget; where memory ends, once more with half of it.

        Raises:
            ModelError: out of memory again.
        """
        try:
            return work(self.pack_tokens)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if self.halved:
                raise not_enough(self.pack_tokens) from None
        # Outside the except clause: its traceback would hold on to the tensors that did not fit.
        self.halved = True
        self.pack_tokens = max(1, self.pack_tokens // 2)
        if self.policy.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.within_memory(work)

    def _all(self, parts: Sequence[Part], budget: int) -> list[Done]:
        parameters = list(self.policy.trainable("candidate").values())
        total: list[Tensor | None] = [None] * len(parameters)
        done = []
        for part in parts:
            for parameter in parameters:
                parameter.grad = None
            loss = self._backward(part, budget)
            done.append(Done(loss, norm(parameters), len(part.rows), scored_tokens(part.rows)))
            total = [_sum(so_far, parameter.grad) for so_far, parameter in zip(total, parameters, strict=True)]
        for parameter, gradient in zip(parameters, total, strict=True):
            parameter.grad = gradient
        return done

    def _backward(self, part: Part, budget: int) -> float:
        loss_so_far = 0.0
        for group in whole_rows(self.policy, part.rows, budget, self.frozen_contexts):
            loss = part.loss(self.policy, group)
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves this one untyped
            loss_so_far += loss.item()
            self.trunk_tokens += sum(map(len, group))
            self.room += sum(max(len(batch), budget) for batch in group)
        return loss_so_far


def norm(parameters: Sequence[Tensor]) -> float:
    """The Euclidean norm of all gradients together; 0 where there is none. One number leaves the device."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0


def out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of memory: a class of its own on a GPU, only words on a CPU and in cuBLAS."""
    words = ("can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def not_enough(tokens: int) -> ModelError:
    """The sentence for a night that memory ended."""
    return ModelError(
        f"Memory is not enough to train on {tokens} tokens at a time, or on twins that are longer, which go together; "
        "lower finetune.pack_tokens and finetune.max_length, or set finetune.gradient_checkpointing."
    )


def _sum(so_far: Tensor | None, gradient: Tensor | None) -> Tensor | None:
    if so_far is None or gradient is None:
        return so_far if gradient is None else gradient
    return so_far.add_(gradient)
