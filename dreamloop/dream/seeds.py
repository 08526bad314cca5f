"""Seeds: the provable core of a scenario. Each carries a right and a wrong claim and what proves it.

A seed is numbers, days or facts only; the wording comes from the phrase books. The wrong claim always has the shape of
the right one (same unit, same type, same list) and comes up as often on the right side elsewhere, so that a claim
cannot be judged by its looks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dreamloop.dream.axes import Draw
from dreamloop.dream.topics import Topics
from dreamloop.errors import ConfigError
from dreamloop.prompts import Phrases


@dataclass(frozen=True, slots=True)
class Seed:
    """What a scenario is about.

    ``values`` fill the slots of the phrases. ``right`` and ``wrong`` are the two claims, ``truth`` is what proves them,
    for a person or a script to check again. ``stated`` is what the text has to say for the proof to hold: a
    text without it is no longer this scenario. ``judged`` marks an opinion, which a judge has to label.
    """

    values: Mapping[str, str]
    right: str
    wrong: str
    truth: str
    domain: str
    stated: tuple[str, ...] = ()
    judged: bool = False


Seeder = Callable[[Draw, Phrases, Topics], Seed]


def columns(line: str, count: int) -> list[str]:
    """The cells of a phrase book's table row.

    Raises:
        ConfigError: it has another number of cells.
    """
    cells = [cell.strip() for cell in line.split(" | ")]
    if len(cells) != count or not all(cells):
        raise ConfigError(f"This phrase book line should have {count} columns between ' | ': {line!r}")
    return cells


def options(cell: str) -> list[str]:
    """The entries of a cell, between commas."""
    return [entry.strip() for entry in cell.split(",")]


def apart(draw: Draw, entries: Sequence[str], count: int) -> list[str]:
    """Some distinct entries in random order."""
    return draw.rng.sample(list(entries), count)
