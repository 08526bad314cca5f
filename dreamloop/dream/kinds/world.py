"""Facts of the world and false premises, from curated tables that name their source; and a user's own tables."""

from __future__ import annotations

from dreamloop.dream.axes import Draw
from dreamloop.dream.seeds import Seed, columns
from dreamloop.dream.topics import Topics
from dreamloop.prompts import Phrases


def facts(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """A curated fact; the wrong answer is the right one of another question of the same sort."""
    rows = {line: columns(line, 4) for line in book["facts"]}
    sort, question, right, source = rows[draw.line("case", list(rows))]
    others = [row[2] for row in rows.values() if row[0] == sort and row[2] != right]
    truth = f"{question} is {right} ({source})"
    return Seed({"question": question}, right, draw.rng.choice(others), truth, sort, (question,))


def premises(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """A statement taken for granted; the wrong one says of its subject what is true of another."""
    rows = {line: columns(line, 6) for line in book["premises"]}
    domain, *pair, source = rows[draw.line("case", list(rows))]
    if draw.rng.random() < 0.5:
        pair = pair[2:] + pair[:2]
    subject, right, other, wrong = pair
    truth = f"{subject} {right}, {other} {wrong} ({source})"
    return Seed({}, f"{subject} {right}", f"{subject} {wrong}", truth, domain)


def curated(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """A user's own kind: domain, subject, right claim, wrong claim and source, a row each."""
    rows = {line: columns(line, 5) for line in book["cases"]}
    domain, subject, right, wrong, source = rows[draw.line("case", list(rows))]
    return Seed({"subject": subject}, right, wrong, f"{subject}: {right} ({source})", domain, (subject,))
