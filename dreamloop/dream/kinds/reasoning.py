"""Rankings: from two comparisons follows a third that nobody said."""

from __future__ import annotations

from itertools import pairwise

from dreamloop.dream.axes import Draw
from dreamloop.dream.seeds import Seed, apart, columns, options
from dreamloop.dream.topics import Topics
from dreamloop.prompts import Phrases


def rankings(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """Three things compared two by two; the wrong claim names another of the three as the first or last of them.

    Each comparison is said from either end and either comes first, so that no place in the text tells the answer.
    """
    rows = {line: columns(line, 6) for line in book["scales"]}
    domain, more, less, most, least, things = rows[draw.line("case", list(rows))]
    ranked = apart(draw, options(things), 3)
    compared = [
        f"{upper} {more} {lower}" if draw.rng.random() < 0.5 else f"{lower} {less} {upper}"
        for upper, lower in pairwise(ranked)
    ]
    one, two = apart(draw, compared, 2)
    asked, right = draw.rng.choice([(most, ranked[0]), (least, ranked[-1])])
    wrong = draw.rng.choice([thing for thing in ranked if thing != right])
    truth = f"{' > '.join(ranked)}, so the {asked} is {right}"
    return Seed({"one": one, "two": two, "most": asked}, right, wrong, truth, domain, (one, two))
