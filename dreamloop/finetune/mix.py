"""The night's order: which examples share an optimizer step.

Twins are never split: in one step the part of the gradient that only shifts a bias cancels between
them, and what is left is the difference that makes a direction right or wrong. Deterministic from the
recipe's seed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dreamloop.model.encode import Branch, Row
from dreamloop.records import Pair

T = TypeVar("T")


def twin_batches(pairs: Iterable[Pair], size: int, seed: int) -> list[list[Pair]]:
    """Shuffle twins and single pairs, then cut into steps of about ``size`` pairs with no twin split."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.twin or pair.digest].append(pair)
    units = [sorted(groups[key], key=lambda pair: pair.digest) for key in sorted(groups)]
    random.Random(seed).shuffle(units)
    count = max(1, sum(map(len, units)) // size)
    batches: list[list[Pair]] = [[] for _ in range(min(count, len(units)))]
    # The largest units first, each into the emptiest step: even steps without splitting a twin.
    for unit in sorted(units, key=len, reverse=True):
        min(batches, key=len).extend(unit)
    return batches


def stratified_batches(sources: Sequence[Sequence[T]], size: int, seed: int) -> list[tuple[list[T], ...]]:
    """Shuffle each source and deal it out over the same steps, so that every step holds its share of each.

    A step is one list per source; steps have about ``size`` items, and no source's counts differ by more than one.
    """
    total = sum(map(len, sources))
    count = min(max(1, total // size), max(map(len, sources), default=0))
    shuffled = [list(source) for source in sources]
    draw = random.Random(seed)
    for source in shuffled:
        draw.shuffle(source)

    # Later sources are dealt from the other end, so that the steps with one more of this have one less of that.
    def dealt(place: int, k: int) -> list[T]:
        return shuffled[place][k if place % 2 == 0 else count - 1 - k :: count]

    return [tuple(dealt(place, k) for place in range(len(shuffled))) for k in range(count)]


@dataclass(frozen=True, slots=True)
class Picked:
    """A replay row as one step's anchor uses it, perhaps cut, and its number among its source's rows."""

    source: int
    number: int
    row: Row


def anchor_rows(sources: Sequence[Sequence[Row]], tokens: int, step: int, steps: int) -> list[Picked]:
    """Replay rows for one of ``steps`` KL anchors: ``tokens`` scored tokens, or all there are.

    Every source gives the share of tokens that its rows are of all rows. Steps begin at different rows, spread over
    the source, and go round it.
    """
    total = sum(map(len, sources))
    picked: list[Picked] = []
    before = 0
    for source, rows in enumerate(sources):
        after = before + len(rows)
        share = tokens * after // max(total, 1) - tokens * before // max(total, 1)
        before = after
        start = step * len(rows) // steps if steps < len(rows) else step
        picked += _cut(source, rows, share, start)
    return picked


def _cut(source: int, rows: Sequence[Row], tokens: int, start: int) -> list[Picked]:
    taken: list[Picked] = []
    left = tokens
    for k in range(len(rows)):
        if left <= 0:
            break
        number = (start + k) % len(rows)
        row = rows[number]
        branch = row.branches[0]
        kept = Row(row.context, (Branch(branch.tokens[:left], branch.scored[:left]),))
        taken.append(Picked(source, number, kept))
        left -= len(kept.branches[0].tokens)
    return taken
