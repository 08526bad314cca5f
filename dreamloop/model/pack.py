"""Rows into packs: many short rows in one forward pass, exact as if each ran alone.

A pack is one sequence of T tokens. Each token sees the earlier tokens of its own row, except those of
sibling branches; positions restart with each row and every branch goes on from its context's last
position. Contexts that begin alike (a system prompt, a twin) share that beginning, which is laid out once.
Who sees whom is a list of segments, never a (T, T) mask, so a pack may be as long as memory allows.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dreamloop.model.attention import Path, Segment, Slice
from dreamloop.model.encode import Row, Tokens

_FEWEST_SHARED = 8  # tokens; every further piece costs a copy in each layer


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


def pack(rows: Sequence[Row], budget: int, frozen_contexts: bool = False) -> list[Pack]:
    """Pack rows to a token budget, none of a unit apart; ``Span.row`` counts in the given order.

    Units go in by the order of their contexts, so that those which begin alike meet in one pack, and a pack ends where
    the next one is too much; a unit longer than the budget travels alone. With ``frozen_contexts`` every context but
    its last token goes into the pack's prelude. That last token predicts a reply's first one, so it stays among those
    that carry a gradient.
    """
    packs: list[_Filling] = []
    for unit in sorted(units(rows), key=lambda unit: min(rows[item].context for item in unit)):
        added = {item: rows[item] for item in unit}
        fuller = packs[-1].with_(added) if packs else None
        if fuller and fuller.tokens <= budget:
            packs[-1] = fuller
        else:
            packs.append(_Filling(frozen_contexts).with_(added))
    return [_lay_out(one.rows, frozen_contexts) for one in packs]


@dataclass(frozen=True, slots=True)
class _Filling:
    """A pack before it is laid out: its rows, what they may share in order, and how many tokens they will take."""

    frozen_contexts: bool
    rows: Mapping[int, Row] = field(default_factory=dict)
    contexts: tuple[Tokens, ...] = ()
    tokens: int = 0

    def with_(self, added: Mapping[int, Row]) -> _Filling:
        contexts, tokens = list(self.contexts), self.tokens
        for row in added.values():
            context = row.context[:-1] if self.frozen_contexts else row.context
            place = bisect(contexts, context)
            beside = contexts[max(place - 1, 0) : place + 1]  # none shares more than the two that it comes between
            tokens += len(row) - max((_alike(context, other) for other in beside), default=0)
            contexts.insert(place, context)
        return replace(self, rows={**self.rows, **added}, contexts=tuple(contexts), tokens=tokens)


def units(rows: Sequence[Row]) -> list[list[int]]:
    """Which rows belong together: those of each unit, and every row without one by itself."""
    found: dict[str | int, list[int]] = {}
    for item, row in enumerate(rows):
        found.setdefault(row.unit or item, []).append(item)
    return list(found.values())


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
        self._last: tuple[Tokens, Path] = (), ()

    def append(self, tokens: Sequence[int], first_position: int) -> Slice:
        start = len(self.tokens)
        self.tokens.extend(tokens)
        self.positions.extend(range(first_position, first_position + len(tokens)))
        return start, len(self.tokens)

    def context(self, tokens: Tokens, first_position: int) -> tuple[Path, Slice]:
        """Lay out a context, but for what the last one began with too: where that stands, and where the rest."""
        before = _begun(*self._last, tokens)
        shared = _length(before)
        rest = self.append(tokens[shared:], first_position + shared)
        self._last = tokens, _joined(before, rest)
        return before, rest

    def strip(self) -> Strip:
        return Strip(torch.tensor(self.tokens), torch.tensor(self.positions), tuple(self.segments))


def _begun(last: Tokens, path: Path, tokens: Tokens) -> Path:
    """The pieces of ``path`` that hold what ``last``, which stands there, and ``tokens`` begin with alike."""
    shared = _alike(last, tokens)
    found: list[Slice] = []
    for start, end in path:
        if shared:
            found.append((start, min(end, start + shared)))
            shared -= found[-1][1] - start
    return tuple(found)


def _alike(one: Tokens, other: Tokens) -> int:
    """How many tokens both begin with, where that is enough to be shared."""
    same = next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return same if same >= _FEWEST_SHARED else 0


def _length(path: Path) -> int:
    return sum(end - start for start, end in path)


def _joined(before: Path, rest: Slice) -> Path:
    return (*before, rest) if rest[1] > rest[0] else before


def _lay_out(rows: Mapping[int, Row], frozen_contexts: bool = False) -> Pack:
    prelude, main = _Writer(), _Writer()
    predictors: list[int] = []
    targets: list[int] = []
    spans: list[Span] = []
    # In the order of their tokens, the context that shares most with one is that before it.
    for item, row in sorted(rows.items(), key=lambda entry: entry[1].context):
        first = len(row.context) - 1 if frozen_contexts else 0
        memory: Path = ()
        if first:
            seen, rest = prelude.context(row.context[:first], 0)
            memory = _joined(seen, rest)
            if rest[1] > rest[0]:
                prelude.segments.append(Segment(rest, seen))
        before, rest = main.context(row.context[first:], first)
        context = _joined(before, rest)
        for k, branch in enumerate(row.branches):
            own = main.append(branch.tokens, len(row.context))
            # The first branch follows its context at once: together they are one plain causal sequence.
            main.segments.append(Segment(own, context, memory) if k else Segment((rest[0], own[1]), before, memory))
            done = len(targets)
            for offset, (token, scored) in enumerate(zip(branch.tokens, branch.scored, strict=True)):
                if scored:
                    predictors.append(own[0] + offset - 1 if offset else context[-1][1] - 1)
                    targets.append(token)
            spans.append(Span(item, k, done, len(targets)))
    return Pack(
        strip=main.strip(),
        predictors=torch.tensor(predictors, dtype=torch.int64),
        targets=torch.tensor(targets, dtype=torch.int64),
        spans=tuple(spans),
        prelude=prelude.strip() if prelude.tokens else None,
    )
