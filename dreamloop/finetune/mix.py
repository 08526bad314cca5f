"""The night's order: which examples share an optimizer step.

Twins are never split: in one step the part of the gradient that only shifts a bias cancels between
them, and what is left is the difference that makes a direction right or wrong. Deterministic from the
recipe's seed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
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


def anchor_rows(rows: Sequence[Row], tokens: int, step: int) -> list[Row]:
    """Replay rows for one step's KL anchor: exactly ``tokens`` scored tokens, or all there are.

    Steps start at different rows and go round, so that a night sees every replay row.
    """
    taken: list[Row] = []
    left = tokens
    for k in range(len(rows)):
        if left <= 0:
            break
        row = rows[(step + k) % len(rows)]
        branch = row.branches[0]
        kept = branch.tokens[:left]
        taken.append(Row(row.context, (Branch(kept, branch.scored[:left]),)))
        left -= len(kept)
    return taken
