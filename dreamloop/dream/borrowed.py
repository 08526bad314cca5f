"""Replies that bystanders borrow from other books, beside their own.

What a night must not shift elsewhere is accepting and pushing back in any words. A book has words of its own for both,
so where a bystander is held by its own two replies alone, the shift stays in the words of others. Replies without a
slot fit anywhere: "No, that is not what was agreed." names nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from dreamloop.dream.books import Shelf
from dreamloop.dream.grammar import expand, sentences
from dreamloop.dream.scenarios import HeldOut, pairs_of
from dreamloop.dream.sketch import capital
from dreamloop.prompts import SLOT
from dreamloop.records import Bystander, Twins

Two = tuple[str, str]  # alike, but one accepts and one pushes back


def lendable(shelves: Sequence[Shelf], held_out: HeldOut) -> dict[str, list[Two]]:
    """All phrasings of replies without a slot, by language; none that could come near what ``held_out`` knows."""
    return {shelf.language: [two for two in _phrasings(shelf) if _fits(two, held_out)] for shelf in shelves}


def bystanders_of(twins: Sequence[Twins], lent: Mapping[str, Sequence[Two]], count: int, seed: int) -> list[Bystander]:
    """Both sides of each, with ``count`` pairs of replies in all, or as many as its language has."""
    rng = random.Random(seed)
    return [side for one in twins for side in _sides(one, _drawn(one, lent, count - 1, rng))]


def _phrasings(shelf: Shelf) -> Iterator[Two]:
    for book in shelf.books.values():
        yield from zip(book.phrases["accept"], book.phrases["push_back"], strict=True)


def _fits(two: Two, held_out: HeldOut) -> bool:
    return not (any(SLOT.search(line) for line in two) or held_out([said for line in two for said in sentences(line)]))


def _drawn(twins: Twins, lent: Mapping[str, Sequence[Two]], count: int, rng: random.Random) -> list[Two]:
    lines = lent[next(axis.value for axis in twins.right.axes if axis.name == "language")]
    drawn = rng.sample(lines, min(len(lines), count + 1))  # one more: its own may be among them
    said = [(capital(expand(accept, rng)), capital(expand(push_back, rng))) for accept, push_back in drawn]
    return [two for two in said if two != (twins.right.accept, twins.right.push_back)][:count]


def _sides(twins: Twins, borrowed: Sequence[Two]) -> tuple[Bystander, Bystander]:
    right, wrong = pairs_of(twins)
    return Bystander(right, tuple(borrowed)), Bystander(wrong, tuple((no, yes) for yes, no in borrowed))
