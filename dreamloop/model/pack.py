"""Rows into packs: many short rows in one forward pass, exact as if each ran alone.

A pack is one sequence of T tokens. Each token sees the earlier tokens of its own row, except those of
sibling branches; positions restart with each row and every branch goes on from its context's last
position. Who sees whom is a list of segments, never a (T, T) mask, so a pack may be as long as memory allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dreamloop.model.attention import NOTHING, Segment
from dreamloop.model.encode import Row


@dataclass(frozen=True, slots=True)
class Span:
    """One completion inside a pack: its row and branch, and its slice of the predictions."""

    row: int
    branch: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Strip:
    """Tokens of one pass through the trunk, on the CPU.

    tokens, positions: (T,) int64. segments: which of them see which.
    """

    tokens: Tensor
    positions: Tensor
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    """One forward pass and what is read from it.

    strip: the tokens. predictors: (P,) int64, the positions whose hidden state predicts ``targets`` (P,) int64.
    prelude: with frozen contexts, the tokens that run first and without autograd; the strip's segments remember them.
    """

    strip: Strip
    predictors: Tensor
    targets: Tensor
    spans: tuple[Span, ...]
    prelude: Strip | None = None

    def __len__(self) -> int:
        """Tokens that the trunk has to process."""
        return len(self.strip.tokens) + (len(self.prelude.tokens) if self.prelude else 0)


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


def pack(rows: Sequence[Row], budget: int, frozen_contexts: bool = False) -> list[Pack]:
    """Pack rows to a token budget; ``Span.row`` counts in the given order.

    With ``frozen_contexts`` every context but its last token goes into the pack's prelude. That last token predicts
    a reply's first one, so it stays among those that carry a gradient.
    """
    bins = plan([len(row) for row in rows], budget)
    return [_lay_out({item: rows[item] for item in items}, frozen_contexts) for items in bins]


def alone(rows: Sequence[Row]) -> list[Pack]:
    """One pack per completion, nothing shared: the slow, plain form that packing must equal."""
    return [
        replace(_lay_out({i: Row(row.context, (branch,))}), spans=(Span(i, k, 0, sum(branch.scored)),))
        for i, row in enumerate(rows)
        for k, branch in enumerate(row.branches)
    ]


class _Writer:
    """A strip that grows."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.segments: list[Segment] = []

    def append(self, tokens: Sequence[int], first_position: int) -> tuple[int, int]:
        start = len(self.tokens)
        self.tokens.extend(tokens)
        self.positions.extend(range(first_position, first_position + len(tokens)))
        return start, len(self.tokens)

    def strip(self) -> Strip:
        return Strip(torch.tensor(self.tokens), torch.tensor(self.positions), tuple(self.segments))


def _lay_out(rows: Mapping[int, Row], frozen_contexts: bool = False) -> Pack:
    prelude, main = _Writer(), _Writer()
    predictors: list[int] = []
    targets: list[int] = []
    spans: list[Span] = []
    for item, row in rows.items():
        memory, first = NOTHING, 0
        if frozen_contexts and len(row.context) > 1:
            first = len(row.context) - 1
            memory = prelude.append(row.context[:first], 0)
            prelude.segments.append(Segment(memory))
        context = main.append(row.context[first:], first)
        for k, branch in enumerate(row.branches):
            own = main.append(branch.tokens, len(row.context))
            # The first branch follows its context at once: together they are one plain causal sequence.
            main.segments.append(Segment(own, context, memory) if k else Segment((context[0], own[1]), memory=memory))
            before = len(targets)
            for offset, (token, scored) in enumerate(zip(branch.tokens, branch.scored, strict=True)):
                if scored:
                    predictors.append(own[0] + offset - 1 if offset else context[1] - 1)
                    targets.append(token)
            spans.append(Span(item, k, before, len(targets)))
    return Pack(
        strip=main.strip(),
        predictors=torch.tensor(predictors, dtype=torch.int64),
        targets=torch.tensor(targets, dtype=torch.int64),
        spans=tuple(spans),
        prelude=prelude.strip() if prelude.tokens else None,
    )
