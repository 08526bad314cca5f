"""Seeds: the provable core of a scenario. Each carries a right and a wrong claim and what proves it.

A seed is numbers, days or facts only; the wording comes from the phrase books in ``prompts/dream/``.
The wrong claim always has the shape of the right one (same unit, same type, same list) and lies close to
it, so that a claim cannot be judged by its looks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dreamloop.prompts import Phrases

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Seed:
    """What a scenario is about: slot values, the right and the wrong claim, and the proof."""

    values: Mapping[str, str]
    right: str
    wrong: str
    truth: str


Seeder = Callable[[random.Random, Phrases], Seed]


def sums(rng: random.Random, phrases: Phrases) -> Seed:
    """Two prices and their total; the wrong total is off by 1 to 9 or by 10 or 20."""
    a, b = rng.randint(11, 89), rng.randint(11, 89)
    off = rng.choice((1, 2, 3, 4, 6, 7, 8, 9, 10, 20)) * rng.choice((1, -1))
    thing_a, thing_b = rng.sample(phrases["things"], 2)
    values = {"a": str(a), "b": str(b), "thing_a": thing_a, "thing_b": thing_b}
    return Seed(values, str(a + b), str(a + b + off), f"{a} + {b} = {a + b}")


def units(rng: random.Random, phrases: Phrases) -> Seed:
    """A quantity in one unit claimed in another; the wrong value converts a neighbouring quantity."""
    thing, unit, unit_to, factor = _columns(rng.choice(phrases["quantities"]), 4)
    value = rng.randint(3, 60)
    near = value + rng.choice((-2, -1, 1, 2))
    right, wrong = value * int(factor), near * int(factor)
    values = {"thing": thing, "unit": unit, "unit_to": unit_to, "value": str(value)}
    return Seed(values, str(right), str(wrong), f"{value} {unit} = {right} {unit_to}")


def dates(rng: random.Random, phrases: Phrases) -> Seed:
    """A weekday and a number of days later; the wrong day is another weekday but the first one."""
    start, count = rng.randrange(7), rng.randint(2, 6)
    right = (start + count) % 7
    wrong = rng.choice([day for day in range(7) if day not in {start, right}])
    values = {
        "event": rng.choice(phrases["events"]),
        "follow": rng.choice(phrases["follows"]),
        "day": DAYS[start],
        "count": str(count),
    }
    return Seed(values, DAYS[right], DAYS[wrong], f"{DAYS[start]} + {count} days = {DAYS[right]}")


def notes(rng: random.Random, phrases: Phrases) -> Seed:
    """Something stated in the message itself; the wrong claim contradicts it."""
    thing, options = _columns(rng.choice(phrases["facts"]), 2)
    right, wrong = rng.sample([option.strip() for option in options.split(",")], 2)
    return Seed({"thing": thing, "fact": right}, right, wrong, f"the message states {thing}: {right}")


def lists(rng: random.Random, phrases: Phrases) -> Seed:
    """Three entries of a list; the right claim is one of them, the wrong one of the same sort but not there."""
    topic, options = _columns(rng.choice(phrases["lists"]), 2)
    *listed, absent = rng.sample([option.strip() for option in options.split(",")], 4)
    text = f"{listed[0]}, {listed[1]} and {listed[2]}"
    return Seed({"topic": topic, "listed": text}, rng.choice(listed), absent, f"the {topic} holds {text} only")


def facts(rng: random.Random, phrases: Phrases) -> Seed:
    """A curated fact with its source, against a common mistake."""
    question, right, wrong, source = _columns(rng.choice(phrases["facts"]), 4)
    return Seed({"question": question}, right, wrong, f"{question} is {right} ({source})")


def code(rng: random.Random, phrases: Phrases) -> Seed:
    """A Python expression and its value; the wrong value has the same type."""
    expression, value, wrong = rng.choice(_EXPRESSIONS)(rng, rng.choice(phrases["words"]))
    return Seed({"expression": expression}, repr(value), repr(wrong), f"{expression} == {value!r}")


def _len_of(rng: random.Random, word: str) -> tuple[str, object, object]:
    return f"len({word!r})", len(word), len(word) + rng.choice((-1, 1))


def _index(rng: random.Random, word: str) -> tuple[str, object, object]:
    at = rng.randrange(1, len(word) - 1)
    wrong = next(letter for letter in (word[at - 1], word[at + 1], "z") if letter != word[at])
    return f"{word!r}[{at}]", word[at], wrong


def _remainder(rng: random.Random, _: str) -> tuple[str, object, object]:
    a, b = rng.randint(20, 99), rng.randint(3, 9)
    return f"{a} % {b}", a % b, rng.choice([r for r in range(b) if r != a % b])


def _quotient(rng: random.Random, _: str) -> tuple[str, object, object]:
    a, b = rng.randint(20, 99), rng.randint(3, 9)
    return f"{a} // {b}", a // b, a // b + rng.choice((-1, 1))


def _total(rng: random.Random, _: str) -> tuple[str, object, object]:
    numbers = [rng.randint(2, 30) for _ in range(3)]
    return f"sum({numbers})", sum(numbers), sum(numbers) + rng.choice((-2, -1, 1, 2))


def _largest(rng: random.Random, _: str) -> tuple[str, object, object]:
    numbers = rng.sample(range(2, 60), 4)
    return f"max({numbers})", max(numbers), sorted(numbers)[-2]


def _sorted_first(rng: random.Random, _: str) -> tuple[str, object, object]:
    numbers = rng.sample(range(2, 60), 4)
    return f"sorted({numbers})[0]", min(numbers), sorted(numbers)[1]


def _steps(rng: random.Random, _: str) -> tuple[str, object, object]:
    a, b = rng.randint(1, 9), rng.randint(11, 30)
    return f"len(range({a}, {b}))", b - a, b - a + 1


_EXPRESSIONS = (_len_of, _index, _remainder, _quotient, _total, _largest, _sorted_first, _steps)

SEEDERS: Mapping[str, Seeder] = {
    "sums": sums, "units": units, "dates": dates, "notes": notes, "lists": lists, "facts": facts, "code": code,
}  # fmt: skip


def _columns(line: str, count: int) -> list[str]:
    columns = [column.strip() for column in line.split("|")]
    if len(columns) != count:
        raise ValueError(f"A phrase book line should have {count} columns between '|': {line!r}")
    return columns
