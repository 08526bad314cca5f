"""Rows into packs: many short rows in one forward pass, exact as if each ran alone.

A pack is one sequence of T tokens. Each token sees the earlier tokens of its own row, except those of
sibling branches; positions restart with each row and every branch goes on from its context's last
position. The rule is one dense (T, T) mask, so packs are kept short on a CPU (512 tokens), where the
mask costs nothing beside the matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamloop.model.encode import Row


@dataclass(frozen=True, slots=True)
class Span:
    """One completion inside a pack: its row and branch, and its slice of the predictions."""

    row: int
    branch: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Pack:
    """Tensors of one forward pass, on the CPU.

    tokens, positions: (T,) int64. visible: (T, T) bool, True where the row may look.
    predictors: (P,) int64, the positions whose hidden state predicts ``targets`` (P,) int64.
    """

    tokens: Tensor
    positions: Tensor
    visible: Tensor
    predictors: Tensor
    targets: Tensor
    spans: tuple[Span, ...]


def plan(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """First fit, longest first: which items share a pack of at most ``budget`` tokens.

    An item longer than the budget travels alone. Deterministic: ties keep their order.
    """
    bins: list[list[int]] = []
    room: list[int] = []
    for item in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for k, free in enumerate(room):
            if lengths[item] <= free:
                bins[k].append(item)
                room[k] -= lengths[item]
                break
        else:
            bins.append([item])
            room.append(budget - lengths[item])
    return [sorted(items) for items in bins]


def pack(rows: Sequence[Row], budget: int) -> list[Pack]:
    """Pack rows to a token budget; ``Span.row`` counts in the given order."""
    return [_lay_out(rows, items) for items in plan([len(row) for row in rows], budget)]


def alone(rows: Sequence[Row]) -> list[Pack]:
    """One pack per completion, nothing shared: the slow, plain form that packing must equal."""
    return [
        _lay_out([Row(row.context, (branch,))], [0], rename=(i, k))
        for i, row in enumerate(rows)
        for k, branch in enumerate(row.branches)
    ]


def _lay_out(rows: Sequence[Row], items: Sequence[int], rename: tuple[int, int] | None = None) -> Pack:
    tokens: list[int] = []
    positions: list[int] = []
    owner: list[int] = []
    part: list[int] = []  # 0 = shared context, k = branch k
    predictors: list[int] = []
    targets: list[int] = []
    spans: list[Span] = []

    def append(new: Sequence[int], first_position: int, row: int, branch: int) -> None:
        tokens.extend(new)
        positions.extend(range(first_position, first_position + len(new)))
        owner.extend([row] * len(new))
        part.extend([branch] * len(new))

    for item in items:
        row = rows[item]
        append(row.context, 0, item, 0)
        context_end = len(tokens) - 1
        for k, branch in enumerate(row.branches):
            start = len(tokens)
            append(branch.tokens, len(row.context), item, k + 1)
            first = len(targets)
            for offset, (token, scored) in enumerate(zip(branch.tokens, branch.scored, strict=True)):
                if scored:
                    predictors.append(start + offset - 1 if offset else context_end)
                    targets.append(token)
            spans.append(Span(*(rename or (item, k)), first, len(targets)))
    owners, parts = torch.tensor(owner), torch.tensor(part)
    same_row = owners[:, None] == owners[None, :]
    own_branch = (parts[None, :] == 0) | (parts[:, None] == parts[None, :])
    causal = torch.ones(len(tokens), len(tokens), dtype=torch.bool).tril_()
    return Pack(
        tokens=torch.tensor(tokens),
        positions=torch.tensor(positions),
        visible=same_row & own_branch & causal,
        predictors=torch.tensor(predictors, dtype=torch.int64),
        targets=torch.tensor(targets, dtype=torch.int64),
        spans=tuple(spans),
    )
