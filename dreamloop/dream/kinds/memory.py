"""What was said before: notes and lists, quotes and entries, updates and constraints. The dialogue itself is the proof.

Notes and lists are made of values that nobody has said before, and the wrong claim was never said: codes, names, and
ordinary words in the book's sections ``values: SORT``, where both are of one phrasing and share most of their words.
Quotes and entries are harder: their values come from short lists, and what the wrong one claims is named on both sides,
so that neither a word that was never said nor one that was says which is which.
"""

from __future__ import annotations

import random

from dreamloop.dream.axes import Draw
from dreamloop.dream.grammar import expand
from dreamloop.dream.invented import ONE, PAIRS, VALUES
from dreamloop.dream.seeds import Seed, apart, columns, options
from dreamloop.dream.topics import Topics
from dreamloop.prompts import Phrases

_LENGTHS = (2, 3, 3, 4)  # entries of a list


def notes(draw: Draw, book: Phrases, topics: Topics) -> Seed:
    """Something stated, then repeated as it was or otherwise."""
    domain = draw.even("topic", list(topics))
    thing, sort = _case(draw, book)
    right, wrong = _two(sort, book, draw.rng)
    return Seed({"thing": thing, "fact": right}, right, wrong, f"the message states {thing}: {right}", domain,
                (thing, right))  # fmt: skip


def lists(draw: Draw, book: Phrases, topics: Topics) -> Seed:
    """A list of some entries; one is claimed to be on it, or one that is not."""
    domain = draw.even("topic", list(topics))
    topic, sort = _case(draw, book)
    right, wrong = _two(sort, book, draw.rng)
    listed = {right: None}
    count = draw.rng.choice(_LENGTHS)
    while len(listed) < count:
        other = _one(sort, book, draw.rng)
        if other != wrong:
            listed[other] = None
    *first, last = apart(draw, list(listed), count)
    text = f"{', '.join(first)} and {last}"
    truth = f"the {topic} holds {text} only"
    return Seed({"topic": topic, "listed": text}, right, wrong, truth, domain, (text,))


def _case(draw: Draw, book: Phrases) -> list[str]:
    """What it is about, and the sort of its values."""
    rows = {line: columns(line, 2) for line in book["things"]}
    return rows[draw.line("case", list(rows))]


def _two(sort: str, book: Phrases, rng: random.Random) -> tuple[str, str]:
    """Two different values; those in words are of one phrasing."""
    if sort in PAIRS:
        return PAIRS[sort](rng)
    phrasing = rng.choice(book[f"{VALUES}{sort}"])
    right = wrong = expand(phrasing, rng)
    while wrong == right:
        wrong = expand(phrasing, rng)
    return right, wrong


def _one(sort: str, book: Phrases, rng: random.Random) -> str:
    return ONE[sort](rng) if sort in ONE else expand(rng.choice(book[f"{VALUES}{sort}"]), rng)


def quotes(draw: Draw, _: Phrases, topics: Topics) -> Seed:
    """Something stated, then repeated as this and not that, or the other way round."""
    domain = draw.even("topic", list(topics))
    note = draw.rng.choice(topics[domain].notes)
    right, wrong = apart(draw, note.values, 2)
    values = {"thing": note.name, "fact": right}
    return Seed(values, right, wrong, f"the message states {note.name}: {right}", domain, (note.name, right))


def updates(draw: Draw, _: Phrases, topics: Topics) -> Seed:
    """Something that was one way and is another now; the wrong claim is out of date."""
    domain = draw.even("topic", list(topics))
    note = draw.rng.choice(topics[domain].notes)
    now, before = apart(draw, note.values, 2)
    values = {"thing": note.name, "now": now, "before": before}
    truth = f"the {note.name} was {before} and is {now} now"
    return Seed(values, now, before, truth, domain, (note.name, now, before))


def entries(draw: Draw, _: Phrases, topics: Topics) -> Seed:
    """Three entries of a list; one is claimed to be on it and one not to be, or the other way round."""
    domain = draw.even("topic", list(topics))
    listing = draw.rng.choice(topics[domain].lists)
    *listed, absent = apart(draw, listing.values, 4)
    text = f"{listed[0]}, {listed[1]} and {listed[2]}"
    values = {"topic": listing.name, "listed": text}
    truth = f"the {listing.name} holds {text} only"
    return Seed(values, draw.rng.choice(listed), absent, truth, domain, (text,))


def constraints(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """A wish stated first and a plan that keeps it or breaks it; for every rule its opposite is in the book too."""
    rows = {line: columns(line, 4) for line in book["rules"]}
    domain, rule, keeps, breaks = rows[draw.line("case", list(rows))]
    right, wrong = draw.rng.choice(options(keeps)), draw.rng.choice(options(breaks))
    truth = f"the wish is {rule}; {right} keeps it, {wrong} breaks it"
    return Seed({"rule": rule}, right, wrong, truth, domain, (rule,))
