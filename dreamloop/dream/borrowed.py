"""What bystanders are held by: their own two replies, and some that the books lend.

What a night must not shift elsewhere is accepting and pushing back in any words. A book has words of its own for both,
and the replies that people get are in none. Replies without a slot name nothing, so they are said to any claim.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dreamloop.dream.books import Shelf
from dreamloop.dream.grammar import expand
from dreamloop.dream.scenarios import HeldOut, pairs_of
from dreamloop.dream.sketch import capital
from dreamloop.prompts import SLOT
from dreamloop.records import Pair, Twins

Two = tuple[str, str]  # one accepts, one pushes back


def held_pairs(
    twins: Sequence[Twins], shelves: Sequence[Shelf], count: int, held_out: HeldOut, rng: random.Random
) -> list[Pair]:
    """Both sides of each with ``count`` pairs of replies, its own first; fewer where its language has no more to lend.

    Nothing is lent that comes near what ``held_out`` knows.
    """
    lent = {shelf.language: list(dict.fromkeys(_phrasings(shelf))) for shelf in shelves}
    return [pair for one in twins for pair in _held(one, lent, count, held_out, rng)]


def _phrasings(shelf: Shelf) -> Iterator[Two]:
    """All of its replies that have no slot; several kinds may have the same."""
    for book in shelf.books.values():
        for two in zip(book.phrases["accept"], book.phrases["push_back"], strict=True):
            if not any(SLOT.search(line) for line in two):
                yield two


def _held(
    twins: Twins, lent: Mapping[str, Sequence[Two]], count: int, held_out: HeldOut, rng: random.Random
) -> Iterator[Pair]:
    right, wrong = pairs_of(twins)
    yield from (right, wrong)
    met = {(right.chosen, right.rejected)}
    lines = lent[next(axis.value for axis in twins.right.axes if axis.name == "language")]
    for yes, no in rng.sample(lines, len(lines)):
        if len(met) == count:
            return
        accept, push_back = two = capital(expand(yes, rng)), capital(expand(no, rng))
        if two not in met and not held_out(two):
            met.add(two)
            yield from (
                replace(right, chosen=accept, rejected=push_back),
                replace(wrong, chosen=push_back, rejected=accept),
            )
