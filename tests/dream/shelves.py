"""The shipped phrase books, and dreaming from them as tests do it."""

from __future__ import annotations

import random

from dreamloop.config import Dream
from dreamloop.dream.axes import Coverage, Draw
from dreamloop.dream.books import Shelf, load_shelves
from dreamloop.dream.kinds import SEEDERS, UNPROVEN
from dreamloop.dream.novelty import Novelty
from dreamloop.dream.scenarios import Author, Dreamer, HeldOut
from dreamloop.dream.sketch import Sketch, sketch
from dreamloop.paths import prompts_folder

SHIPPED = prompts_folder() / "dream"
KINDS = tuple(kind for kind in SEEDERS if kind not in UNPROVEN)
SHELF = load_shelves([SHIPPED], ["en"], tuple(SEEDERS))[0]
PROVABLE = Shelf("en", SHELF.common, {kind: SHELF.books[kind] for kind in KINDS}, SHELF.topics)


def dreamer(
    novelty: Novelty | None = None, coverage: Coverage | None = None, held_out: HeldOut = lambda _: False,
    author: Author | None = None, knobs: Dream | None = None,
) -> Dreamer:  # fmt: skip
    """A dreamer without a past, unless one is given."""
    return Dreamer([PROVABLE], knobs or Dream(), novelty or Novelty(), coverage or Coverage(), held_out, author)


def sketches(
    kind: str, count: int, seed: int = 0, alternative: float = 0.3, corrected: float = 0.2, bare: float = 0.0
) -> list[Sketch]:  # fmt: skip
    """Some sketches of a kind."""
    coverage, rng = Coverage(), random.Random(seed)
    knobs = Dream(alternative_share=alternative, corrected_share=corrected, bare_share=bare)
    drawn = []
    for _ in range(count):
        one = sketch(SHELF.books[kind], SHELF, Draw(rng, coverage), knobs)
        coverage.add(one.axes)
        drawn.append(one)
    return drawn
