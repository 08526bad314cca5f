"""Sums, products and conversions: what a calculation proves."""

from __future__ import annotations

from dreamloop.dream.axes import Draw
from dreamloop.dream.seeds import Seed, apart, columns
from dreamloop.dream.topics import Topics
from dreamloop.prompts import Phrases


def sums(draw: Draw, _: Phrases, topics: Topics) -> Seed:
    """Two prices and their total; the wrong total is off by 1 to 9 or by 10 or 20."""
    domain = draw.even("topic", list(topics))
    a, b = draw.rng.randint(11, 89), draw.rng.randint(11, 89)
    off = draw.rng.choice((1, 2, 3, 4, 6, 7, 8, 9, 10, 20)) * draw.rng.choice((1, -1))
    thing_a, thing_b = apart(draw, topics[domain].goods, 2)
    values = {"a": str(a), "b": str(b), "thing_a": thing_a, "thing_b": thing_b}
    return Seed(values, str(a + b), str(a + b + off), f"{a} + {b} = {a + b}", domain, (str(a), str(b)))


def products(draw: Draw, _: Phrases, topics: Topics) -> Seed:
    """Some pieces at one price; the wrong total is that of another price close by."""
    domain = draw.even("topic", list(topics))
    count, price = draw.rng.randint(3, 9), draw.rng.randint(12, 49)
    near = price + draw.rng.choice((1, 2, 3, 5)) * draw.rng.choice((1, -1))
    values = {"count": str(count), "price": str(price), "thing": draw.rng.choice(topics[domain].goods)}
    truth = f"{count} * {price} = {count * price}"
    return Seed(values, str(count * price), str(count * near), truth, domain, (str(count), str(price)))


def units(draw: Draw, book: Phrases, _: Topics) -> Seed:
    """A quantity in one unit claimed in another; the wrong value converts a neighbouring quantity.

    Each row says how much of its thing makes sense ("6 to 12" hours of a night shift).
    """
    rows = {line: columns(line, 5) for line in book["quantities"]}
    thing, unit, unit_to, factor, sensible = rows[draw.line("case", list(rows))]
    least, most = map(int, sensible.split(" to "))
    value = draw.rng.randint(least, most)
    near = value + draw.rng.choice([step for step in (-2, -1, 1, 2) if value + step > 0])
    right, wrong = value * int(factor), near * int(factor)
    values = {"thing": thing, "unit": unit, "unit_to": unit_to, "value": str(value)}
    stated = (str(value), unit, unit_to)
    return Seed(values, str(right), str(wrong), f"{value} {unit} = {right} {unit_to}", "measuring", stated)
