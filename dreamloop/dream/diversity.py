"""How varied the dreams are, night by night, and whether that falls: the first sign of a model that will parrot."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from dreamloop.dream.axes import ANSWERS, FRAMES, INSISTING, LENGTHS, MANNERS, TONES, TURNS, name_of
from dreamloop.dream.books import Shelf
from dreamloop.dream.sketch import demand_sets
from dreamloop.records import Diversity, Dreamed

WORDS = 600  # looked at, so that nights compare; smaller ones, of a dozen twins or so, are left out of the trend
RECENT = 4  # nights against as many before them
_FALL = {"distinct_2": 0.05, "distinct_3": 0.05, "entropy": 0.3, "refused": -0.15}  # what is told, in their units
_WORD = re.compile(r"\w+")


def diversity(dreamed: Dreamed, covered: float, refused: float) -> Diversity | None:
    """The night's numbers; None where nothing was dreamed.

    Args:
        dreamed: all of tonight's. covered: share of known values that were ever used.
        refused: share of finished dreams that were refused as repeats.
    """
    words = _said(dreamed)[:WORDS]
    if len(words) < 3:
        return None
    runs = {n: [tuple(words[k : k + n]) for k in range(len(words) - n + 1)] for n in (1, 2, 3)}
    one, two, three = (len(set(runs[n])) / len(runs[n]) for n in (1, 2, 3))
    return Diversity(len(dreamed.twins), len(words), one, two, three, entropy(runs[2]), covered, refused)


def entropy(items: Sequence[object]) -> float:
    """Shannon's entropy of the items' frequencies, in bits: 0 where all are the same, log2(n) where none is."""
    counts = Counter(items)
    return sum(-count / len(items) * math.log2(count / len(items)) for count in counts.values())


def falling(nights: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """What falls, in sentences: the mean of the last nights against that of as many before, oldest night first."""
    nights = [night for night in nights if night["words"] >= WORDS]
    if len(nights) < 2 * RECENT:
        return ()
    before, last = nights[-2 * RECENT : -RECENT], nights[-RECENT:]
    told = []
    for name, most in _FALL.items():
        was, now = (fmean(night[name] for night in part) for part in (before, last))
        if (was - now) * math.copysign(1, most) > abs(most):
            told.append(
                f"Dreams grow alike: {name} went from {was:.2f} to {now:.2f} within {2 * RECENT} nights. Add phrasings "
                "or topics with dream.books, or kinds."
            )
    return tuple(told)


def known_values(shelves: Sequence[Shelf]) -> set[tuple[str, str]]:
    """Every value of every axis that these shelves can give."""
    known = {("turns", turns) for turns in TURNS} | {("length", length) for length in LENGTHS}
    known |= {("tone", tone) for tone in (*TONES, INSISTING)} | {("manner", manner) for manner in MANNERS}
    known |= {("constraints", name) for name in demand_sets()} | {("frame", frame) for frame in FRAMES}
    known |= {("answer", answer) for answer in ANSWERS}
    for shelf in shelves:
        known |= {("language", shelf.language)} | {("topic", domain) for domain in shelf.topics}
        known |= {("persona", line.partition(": ")[0]) for line in shelf.common["personas"]}
        for kind, book in shelf.books.items():
            known |= {("kind", kind)} | {("task", task) for task in book.directions()}
            lines = {"situation": book.phrases["situation"],
                     "direction": [line for own in book.directions().values() for line in own]}  # fmt: skip
            known |= {(axis, name_of(kind, line)) for axis, own in lines.items() for line in own}
    return known


def _said(dreamed: Dreamed) -> list[str]:
    """The words of users, one side of each twin: the other differs in its claim only."""
    texts = (m.content for twins in dreamed.twins for m in twins.right.context if m.role == "user")
    return [word for text in texts for word in _WORD.findall(text.lower())]
