"""What was said before: notes, updates, lists and constraints. The dialogue itself is the proof.

Right and wrong twins hold the same words: what the wrong one claims is named in both, so that neither a word that was
never said before nor one that was says which is which.
"""

from __future__ import annotations

from dreamloop.dream.axes import Draw
from dreamloop.dream.seeds import Seed, apart, columns, options
from dreamloop.dream.topics import Topics
from dreamloop.prompts import Phrases


def notes(draw: Draw, _: Phrases, topics: Topics) -> Seed:
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


def lists(draw: Draw, _: Phrases, topics: Topics) -> Seed:
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
