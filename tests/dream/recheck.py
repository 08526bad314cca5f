"""Every label proven again, from the stored text alone and by other means than those that made it.

Nothing of the package is imported. ``python tests/dream/recheck.py LEDGER [COUNT] [SEED]`` checks random scenarios of a
ledger and prints one JSON line; what is wrong is printed below it.
"""

from __future__ import annotations

import ast
import datetime
import json
import random
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

MONDAY = datetime.date(2024, 1, 1)  # a Monday
PER_UNIT = {
    ("kilometres", "metres"): 1000, ("metres", "centimetres"): 100, ("kilograms", "grams"): 1000,
    ("hours", "minutes"): 60, ("weeks", "days"): 7, ("litres", "millilitres"): 1000, ("dozen", "pieces"): 12,
    ("minutes", "seconds"): 60, ("centimetres", "millimetres"): 10, ("tonnes", "kilograms"): 1000,
    ("days", "hours"): 24,
}  # fmt: skip
FACTS = {
    "Japan": "Tokyo", "Egypt": "Cairo", "Canada": "Ottawa", "Kenya": "Nairobi", "Norway": "Oslo", "Peru": "Lima",
    "Poland": "Warsaw", "Portugal": "Lisbon", "Thailand": "Bangkok", "Cuba": "Havana", "Austria": "Vienna",
    "Iran": "Tehran", "Greece": "Athens", "Ireland": "Dublin", "Hungary": "Budapest", "gold": "Au", "iron": "Fe",
    "sodium": "Na", "helium": "He", "lead": "Pb", "tin": "Sn", "potassium": "K", "closest to the Sun": "Mercury",
    "largest planet": "Jupiter", "red planet": "Mars", "farthest from the Sun": "Neptune", "hexagon": "six",
    "spider": "eight", "violin": "four", "football team": "eleven", "months in a year": "twelve", "pentagon": "five",
    "Morocco": "Africa", "India lies": "Asia", "Brazil lies": "South America", "Sweden": "Europe",
    "currency of Japan": "the yen", "currency of India": "the rupee", "Switzerland": "the franc",
    "currency of Poland": "the zloty", "Hamlet": "Shakespeare", "Oliver Twist": "Dickens", "Don Quixote": "Cervantes",
    "War and Peace": "Tolstoy", "language of Brazil": "Portuguese", "language of Austria": "German",
    "language of France": "French", "language of Spain": "Spanish",
}  # fmt: skip
TRUE_OF = {
    "spiders": "have eight legs|spin webs", "insects": "have six legs", "owls": "hunt mostly at night",
    "hawks": "hunt mostly by day", "whales": "breathe with lungs", "sharks": "breathe with gills", "cows": "eat plants",
    "lions": "eat meat", "bats": "give birth to live young", "eagles": "hatch from eggs", "bees": "make honey",
    "kangaroos": "come from Australia", "llamas": "come from South America", "moles": "live under the ground",
    "woodpeckers": "live in trees", "birches": "lose their leaves in winter", "spruces": "keep their needles in winter",
    "potatoes": "ripen under the ground", "tomatoes": "ripen above the ground", "cactuses": "grow in deserts",
    "water lilies": "grow in ponds", "icebergs": "float on water", "iron nails": "sink in water",
    "copper": "conducts electricity well", "rubber": "conducts electricity badly", "diamonds": "are made of carbon",
    "rubies": "are made of aluminium oxide", "sugar": "dissolves in water", "sand": "lies undissolved in water",
    "water": "boils at 100 degrees Celsius at sea level", "alcohol": "boils at 78 degrees Celsius at sea level",
    "the Moon": "orbits the Earth", "Titan": "orbits Saturn", "the Sun": "is a star", "Venus": "is a planet",
    "Mars": "has two moons", "Neptune": "has more than ten moons", "the Sahara": "lies in Africa",
    "the Gobi": "lies in Asia", "the Andes": "lie in South America", "the Alps": "lie in Europe",
    "the Nile": "flows into the Mediterranean", "the Amazon": "flows into the Atlantic",
    "Iceland": "lies in the north of the globe", "New Zealand": "lies in the south of the globe",
    "the heart": "pumps blood", "the stomach": "digests food", "thermometers": "measure temperature",
    "barometers": "measure air pressure", "telescopes": "show things that are far away",
    "microscopes": "show things that are tiny",
}  # fmt: skip
# What a function shall return, written once more, with arguments to try it on.
PURPOSES: dict[str, tuple[Callable[..., object], tuple[tuple[object, ...], ...]]] = {
    "the larger of the two numbers": (lambda a, b: sorted([a, b])[1], ((3, 8), (9, 2))),
    "the smaller of the two numbers": (lambda a, b: sorted([a, b])[0], ((3, 8), (9, 2))),
    "the last item of the list": (lambda items: list(reversed(items))[0], (([4, 7, 9],), (["x", "y"],))),
    "the first item of the list": (lambda items: next(iter(items)), (([4, 7, 9],), (["x", "y"],))),
    "whether n is even": (lambda n: n in range(0, 100, 2), ((7,), (12,))),
    "whether n is odd": (lambda n: n in range(1, 100, 2), ((7,), (12,))),
    "x minus y": (lambda x, y: x + -y, ((9, 4), (2, 7))),
    "y minus x": (lambda x, y: y + -x, ((9, 4), (2, 7))),
    "the items sorted upwards": (lambda items: sorted(items), (([3, 1, 2],),)),
    "the items sorted downwards": (lambda items: sorted(items, reverse=True), (([3, 1, 2],),)),
    "the text in capital letters": (lambda text: text.swapcase() if text.islower() else text.upper(), (("tea",),)),
    "the text in small letters": (lambda text: text.casefold(), (("Tea",),)),
    "the highest value": (lambda values: sorted(values)[-1], (([5, 2, 8],),)),
    "the lowest value": (lambda values: sorted(values)[0], (([5, 2, 8],),)),
    "the text without its first character": (lambda text: "".join(list(text)[1:]), (("salt",),)),
    "the text without its last character": (lambda text: "".join(list(text)[: len(text) - 1]), (("salt",),)),
    "whether the word begins with a": (lambda word: word[0] == "a", (("apple",), ("tuna",))),
    "whether the word ends with a": (lambda word: word[-1] == "a", (("apple",), ("tuna",))),
    "the whole number of times that parts fits into total": (lambda total, p: int(Fraction(total, p)), ((17, 5),)),
    "what remains of total after division by parts": (lambda total, part: total - part * int(total / part), ((17, 5),)),
    "n, but never more than top": (lambda n, top: min(n, top), ((12, 10), (3, 10))),
    "n, but never less than top": (lambda n, top: max(n, top), ((12, 10), (3, 10))),
    "whether every flag is set": (lambda flags: False not in flags, (([True, False],), ([True],))),
    "whether at least one flag is set": (lambda flags: True in flags, (([True, False],), ([False],))),
    "the numbers above zero": (lambda numbers: list(filter(lambda n: n > 0, numbers)), (([3, -2, 5],),)),
    "the numbers below zero": (lambda numbers: list(filter(lambda n: n < 0, numbers)), (([3, -2, 5],),)),
    "how long the pieces are together": (lambda pieces: len("".join(pieces)), ((["ab", "cde"],),)),
    "how many pieces there are": (lambda pieces: sum(1 for _ in pieces), ((["ab", "cde"],),)),
}  # fmt: skip


@dataclass(frozen=True)
class Dream:
    """One stored scenario: what was said, what is claimed, what shall prove it."""

    kind: str
    side: str
    claim: str
    truth: str
    turns: tuple[tuple[str, str], ...]

    @property
    def said(self) -> str:
        """Everything that the user said."""
        return "\n".join(text for role, text in self.turns if role == "user")


def sums(dream: Dream) -> bool:
    a, b, _ = map(int, re.findall(r"\d+", dream.truth))
    assert stands(str(a), dream.said), a
    assert stands(str(b), dream.said), b
    return int(dream.claim) == a + b


def products(dream: Dream) -> bool:
    a, b, _ = map(int, re.findall(r"\d+", dream.truth))
    assert stands(str(a), dream.said), a
    assert stands(str(b), dream.said), b
    return int(dream.claim) == sum([b] * a)


def units(dream: Dream) -> bool:
    value, unit, _, to = re.fullmatch(r"(\d+) (\w+) = (\d+) (\w+)", dream.truth).groups()  # type: ignore[union-attr]
    assert f"{value} {unit}" in dream.said, unit
    assert stands(to, dream.said), to
    return int(dream.claim) == int(value) * PER_UNIT[unit, to]


def dates(dream: Dream) -> bool:
    day, count = re.match(r"(\w+) \+ (\d) days", dream.truth).groups()  # type: ignore[union-attr]
    assert stands(day, dream.said), day
    assert f"{count} days" in dream.said, count
    week = [MONDAY + datetime.timedelta(days=k) for k in range(7)]
    start = next(date for date in week if date.strftime("%A") == day)
    return (start + datetime.timedelta(days=int(count))).strftime("%A") == dream.claim


def clock(dream: Dream) -> bool:
    begin, minutes = re.match(r"(\d+:\d\d) \+ (\d+) minutes", dream.truth).groups()  # type: ignore[union-attr]
    assert stands(begin, dream.said), begin
    assert stands(minutes, dream.said), minutes
    end = datetime.datetime.strptime(begin, "%H:%M") + datetime.timedelta(minutes=int(minutes))
    return datetime.datetime.strptime(dream.claim, "%H:%M") == end


def notes(dream: Dream) -> bool:
    thing, fact = re.match(r"the message states (.+): (.+)", dream.truth).groups()  # type: ignore[union-attr]
    before = dream.said.partition(fact)[0]
    assert thing in dream.said, thing
    assert stands(fact, dream.said), fact
    assert not stands(dream.claim, before), "the claim came before what was stated"
    return dream.claim == fact


def updates(dream: Dream) -> bool:
    thing, before, now = re.match(r"the (.+) was (.+) and is (.+) now", dream.truth).groups()  # type: ignore[union-attr]
    assert all(stands(text, dream.said) for text in (thing, before, now))
    assert dream.claim in {before, now}
    return dream.claim == now


def lists(dream: Dream) -> bool:
    listed = re.match(r"the .+? holds (.+) only", dream.truth).group(1)  # type: ignore[union-attr]
    assert listed in dream.said, listed
    return dream.claim in re.split(", | and ", listed)


def facts(dream: Dream) -> bool:
    question = re.match(r"(.+) is .+ \(.+\)", dream.truth).group(1)  # type: ignore[union-attr]
    assert question in dream.said, question
    known = max((key for key in FACTS if key in question), key=len)
    return FACTS[known] == dream.claim


def premises(dream: Dream) -> bool:
    subject = max((key for key in TRUE_OF if dream.claim.startswith(f"{key} ")), key=len)
    return dream.claim.removeprefix(f"{subject} ") in TRUE_OF[subject].split("|")


def code(dream: Dream) -> bool:
    expression = dream.truth.partition(" == ")[0]
    assert expression in dream.said, expression
    return bool(eval(expression) == ast.literal_eval(dream.claim))  # noqa: S307 - made by this project


def bugs(dream: Dream) -> bool:
    purpose = max((text for text in PURPOSES if text in dream.said), key=len)
    name, arguments = re.search(r"(\w+)\(([\w, ]+)\)", dream.said).groups()  # type: ignore[union-attr]
    space: dict[str, Callable[..., object]] = {}
    exec(f"def {name}({arguments}):\n    return {dream.claim}", space)  # noqa: S102 - made by this project
    reference, tries = PURPOSES[purpose]
    return all(space[name](*tried) == reference(*tried) for tried in tries)


def commands(dream: Dream) -> bool:
    gone, kept = re.match(r"(.+) shall go and (.+) shall stay", dream.truth).groups()  # type: ignore[union-attr]
    wish = dream.said.partition(dream.claim)[0]
    assert stands(gone, wish), gone
    assert stands(kept, wish), kept
    assert stands(gone, dream.claim) != stands(kept, dream.claim)
    return stands(gone, dream.claim)


def constraints(dream: Dream) -> bool:
    rule, keeps, breaks = re.match(r"the wish is (.+); (.+) keeps it, (.+) breaks it", dream.truth).groups()  # type: ignore[union-attr]
    assert rule in dream.said, rule
    assert dream.claim in {keeps, breaks}
    return dream.claim == keeps


def goals(dream: Dream) -> bool:
    parts = re.match(r"the goal is to (.+); to (.+) serves it, to (.+) harms it", dream.truth).groups()  # type: ignore[union-attr]
    goal, serves, harms = parts
    assert goal in dream.said, goal
    assert dream.claim in {serves, harms}
    return dream.claim == serves


CHECKS = {check.__name__: check for check in (
    sums, products, units, dates, clock, notes, updates, lists, facts, premises, code, bugs, commands, constraints,
    goals,
)}  # fmt: skip


def stands(value: str, text: str) -> bool:
    """Whether the value is in the text as a whole."""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def wrong(dream: Dream) -> str:
    """Why the label does not hold; empty where it does."""
    try:
        if dream.claim.lower() not in dream.turns[-1][1].lower():
            return "the last turn does not claim it"
        true = CHECKS[dream.kind](dream)
    except (AssertionError, AttributeError, KeyError, ValueError) as error:
        return f"cannot be proven ({type(error).__name__}: {error})"
    return "" if true == (dream.side == "right") else "the label is wrong"


def main(ledger: str, count: int = 200, seed: int = 0) -> None:
    rows = (
        sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
        .execute("SELECT kind, side, claim, truth, context FROM scenarios ORDER BY rowid")
        .fetchall()
    )
    dreams = [
        Dream(row[0], row[1], row[2], row[3], tuple((role, text) for role, text in json.loads(row[4]))) for row in rows
    ]
    dreams = [dream for dream in dreams if dream.kind in CHECKS]
    drawn = random.Random(seed).sample(dreams, min(count, len(dreams)))
    faults = [(dream, fault) for dream in drawn if (fault := wrong(dream))]
    kinds = Counter(dream.kind for dream in drawn)
    print(
        json.dumps({"checked": len(drawn), "wrong": len(faults), "of": len(rows), "kinds": dict(sorted(kinds.items()))})
    )
    for dream, fault in faults:
        print(fault, dream)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
