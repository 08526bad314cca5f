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
from collections.abc import Callable, Sequence
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

# Which things are of a sort, and which sort a wish asks for.
SORTS = {
    "weekday": "Tuesday|Wednesday|Thursday", "weekend": "Saturday|Sunday",
    "plant": "lentil curry|cheese omelette|tomato soup|mushroom risotto",
    "meat": "beef stew|pork chops|lamb skewers|chicken pie", "salty": "salted crackers|olives|smoked fish",
    "sweet": "chocolate cake|honey waffles|jelly beans|plum jam",
    "soft": "apple juice|peppermint tea|lemonade|mineral water", "alcohol": "red wine|dark beer|whisky|rum punch",
    "hot": "hot black coffee|hot cocoa|steaming ginger tea", "cold": "iced tea|chilled cola|cold milk",
    "rail": "the night train|the express train|the regional train",
    "air": "the morning flight|the charter plane|the late flight",
    "sea": "the beach hotel|the inn at the sea harbour|the guest house on the shore",
    "hills": "the mountain lodge|the farm in the valley|the hut below the summit",
    "cheap": "the one for 20 euros|the one for 35 euros|the one for 45 euros",
    "dear": "the one for 60 euros|the one for 75 euros|the one for 90 euros",
    "short": "the tour of one hour|the tour of two hours", "long": "the tour of five hours|the tour of six hours",
    "dark": "the black suit|the dark blue dress|the charcoal coat",
    "light": "the white shirt|the pale yellow skirt|the cream jacket", "swims": "the goldfish|the trout|the shrimp",
    "on land": "the hamster|the canary|the rabbit", "outdoors": "the picnic in the park|the hike|the open-air swim",
    "indoors": "the bowling hall|the indoor climbing hall|the indoor pool",
    "English": "the English draft|the English summary", "foreign": "the German draft|the Spanish summary",
    "strings": "the violin|the cello|the viola", "brass": "the trumpet|the tuba|the trombone",
    "to read": "the novel|the comic book|the atlas", "other gift": "the teapot|the scarf|the football",
}  # fmt: skip
WISHES = {
    "meetings on weekdays only": "weekday", "meetings at the weekend only": "weekend", "no meat at all": "plant",
    "a meat dish for everyone": "meat", "nothing sweet": "salty", "only sweet things": "sweet",
    "nothing with alcohol": "soft", "an alcoholic drink for the toast": "alcohol", "hot drinks only": "hot",
    "cold drinks only": "cold", "we go by rail, never by air": "rail", "we fly, no trains": "air",
    "the hotel has to be by the sea": "sea", "the hotel has to be in the mountains": "hills",
    "nothing that costs more than 50 euros": "cheap", "nothing that costs less than 50 euros": "dear",
    "at most three hours": "short", "at least four hours": "long", "everybody wears something dark": "dark",
    "everybody wears something light-coloured": "light", "only animals that live in water": "swims",
    "no animals that live in water": "on land", "it has to be outdoors": "outdoors",
    "it has to be under a roof": "indoors", "the text must stay in English": "English",
    "no English in the text": "foreign", "only string instruments": "strings", "only brass instruments": "brass",
    "something to read as a present": "to read", "nothing to read as a present": "other gift",
}  # fmt: skip
# What leads to a goal; what leads to one of a pair leads away from its opposite.
LEADS_TO = {
    "fall asleep early each night": "go to bed at nine|turn off the lights early",
    "stay awake on night shifts": "drink strong coffee late in the evening|take cold showers at night",
    "spend less money": "cook at home|wait with all purchases",
    "spend all of the prize money": "eat in expensive restaurants|rent sports cars",
    "get fitter": "take the stairs|run each morning|do squats daily",
    "rest my sprained ankle": "lie on the sofa|put my feet up all day|skip all training",
    "gain some weight": "eat a second dessert|snack on cream cakes",
    "lose some weight": "leave out dessert|skip the snacks",
    "have quiet evenings": "read books alone|switch off the telephone",
    "have loud parties at home": "invite forty guests|hire brass bands",
    "get there as fast as possible": "take the express train|use the motorway",
    "travel as slowly as possible": "walk all the way|take the scenic detour",
    "keep the room warm": "close the windows|turn up the heating",
    "cool the room down on a cold day": "open all windows to the frost|turn off the heating",
    "let the lawn grow wild": "put the mower away|let the grass stand",
    "keep the lawn short": "mow every week|cut the grass to an inch",
    "keep my address private": "leave my address off the website|use a post box",
    "let everybody find my shop": "print my address on flyers|post my address online",
    "learn these words by heart": "repeat the words daily|write the words on cards",
    "take time off from studying": "leave the books closed|think of no word at all",
    "wake the baby gently": "open the curtains|sing a morning song",
    "let the baby sleep": "keep the curtains shut|tiptoe past the room",
    "grow my hair long": "skip every haircut|put the scissors away",
    "have short hair": "cut it back each month|use the clippers",
    "make the soup spicier": "add more chilli|stir in hot pepper",
    "make the soup milder": "add cream|leave out the chilli",
    "make the battery last": "dim the screen|close unused programs",
    "drain the battery for a test": "set the screen to full brightness|run a video all day",
    "free space on the disk": "delete old downloads|empty the bin",
    "fill the disk for a test": "copy large films to it|keep every backup",
    "make the text shorter": "cut the second paragraph|drop the examples",
    "make the text longer": "add three examples|expand the second paragraph",
    "use less water at home": "leave the lawn unwatered|turn the sprinkler off",
    "keep the dry garden wet": "leave the sprinkler on|carry ten cans of water to the beds",
    "meet new people": "join a choir|go to street parties",
    "be alone for a while": "stay at the hut by myself|decline all invitations",
}  # fmt: skip
# How a message says which of two things goes (or was) and which stays (or is now); N stands for either.
GOES_AND_STAYS = (
    r"(?P<gone>N) (?:can|may) .*?(?P<kept>N) has to stay", r"no longer \w+ .*?(?P<gone>N)\. .*?(?P<kept>N) must not be",
    r"(?:remove|delete|get rid of|throw away) .*?(?P<gone>N) and to (?:keep|retain) .*?(?P<kept>N)",
    r"(?:[Kk]eep|[Rr]etain) .*?(?P<kept>N) and (?:remove|delete|get rid of|throw away) .*?(?P<gone>N)",
    r"(?P<gone>N) and .*?(?P<kept>N)\. The first (?:may go|is rubbish), the second is",
    r"(?P<kept>N) holds the only copy .*?(?P<gone>N) is", r"rid of .*?(?P<gone>N) without losing .*?(?P<kept>N)",
    r"(?P<gone>N) is to be (?:deleted|removed), but never .*?(?P<kept>N)",
)  # fmt: skip
WAS_AND_IS = (
    r"(?:used to be|was at first) (?P<gone>N); .*? it is (?P<kept>N)",
    r"(?:changed|altered|switched) .*?from (?P<gone>N) to (?P<kept>N)", r"no longer (?P<gone>N): .*? is (?P<kept>N)",
    r"Until .*? was (?P<gone>N), and since then it has been (?P<kept>N)",
    r"In the old .*? is (?P<gone>N), in the new one it is (?P<kept>N)",
    r"(?:corrected|amended|replaced) (?P<gone>N) .*? right entry is (?P<kept>N)",
    r"is (?P<kept>N) instead of (?P<gone>N)", r"old entry, (?P<gone>N)\. .*? is (?P<kept>N)",
)  # fmt: skip
# Two comparatives and their superlatives: what has nothing above it is the third, nothing below it the fourth.
SCALES = (
    "heavier lighter heaviest lightest", "older younger oldest youngest", "faster slower fastest slowest",
    "longer shorter longest shortest", "dearer cheaper dearest cheapest", "warmer colder warmest coldest",
    "higher lower highest lowest", "larger smaller largest smallest", "spicier milder spiciest mildest",
    "deeper shallower deepest shallowest", "wider narrower widest narrowest", "thicker thinner thickest thinnest",
    "earlier later earliest latest", "louder quieter loudest quietest", "brighter dimmer brightest dimmest",
    "cleaner dirtier cleanest dirtiest",
)  # fmt: skip
COMPARED = r"(the \w+ \w+|\b[A-Z]\w+) is (\w+) than (the \w+ \w+|[A-Z]\w+)"


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

    @property
    def told(self) -> str:
        """What the user said before the claim."""
        return self.said[: self.said.lower().index(self.claim.lower())]


def sums(dream: Dream) -> bool:
    a, b = numbers(dream.told)
    return int(dream.claim) == a + b


def products(dream: Dream) -> bool:
    a, b = numbers(dream.told)
    return int(dream.claim) == sum([b] * a)


def units(dream: Dream) -> bool:
    (value,) = numbers(dream.told)
    unit, to = next(pair for pair in PER_UNIT if f"{value} {pair[0]}" in dream.told and stands(pair[1], dream.told))
    return int(dream.claim) == value * PER_UNIT[unit, to]


def dates(dream: Dream) -> bool:
    week = [MONDAY + datetime.timedelta(days=k) for k in range(7)]
    (start,) = [date for date in week if stands(date.strftime("%A"), dream.told)]
    (count,) = numbers(dream.told)
    return (start + datetime.timedelta(days=count)).strftime("%A") == dream.claim


def clock(dream: Dream) -> bool:
    (begin,) = re.findall(r"\d+:\d\d", dream.told)
    (minutes,) = numbers(dream.told)
    end = datetime.datetime.strptime(begin, "%H:%M") + datetime.timedelta(minutes=minutes)
    return datetime.datetime.strptime(dream.claim, "%H:%M") == end


def notes(dream: Dream) -> bool:
    thing, fact = re.match(r"the message states (.+): (.+)", dream.truth).groups()  # type: ignore[union-attr]
    one, other = (rf"(?<!\w){re.escape(value)}(?!\w)" for value in (thing, fact))
    assert re.search(rf"{one}[^\n]{{0,40}}?{other}|{other}[^\n]{{0,40}}?{one}", dream.said, re.IGNORECASE), thing
    before, *_ = re.split(re.escape(fact), dream.said, maxsplit=1, flags=re.IGNORECASE)
    assert not stands(dream.claim, before), "the claim came before what was stated"
    return dream.claim == fact


def updates(dream: Dream) -> bool:
    thing, *values = re.match(r"the (.+) was (.+) and is (.+) now", dream.truth).groups()  # type: ignore[union-attr]
    assert stands(thing, dream.said), thing
    assert dream.claim in values
    return dream.claim == roles(WAS_AND_IS, values, dream.said)["kept"]


def lists(dream: Dream) -> bool:
    listed = re.match(r"the .+? holds (.+) only", dream.truth).group(1)  # type: ignore[union-attr]
    assert listed.lower() in dream.said.lower(), listed
    return dream.claim in re.split(", | and ", listed)


def facts(dream: Dream) -> bool:
    question = re.match(r"(.+) is .+ \(.+\)", dream.truth).group(1)  # type: ignore[union-attr]
    assert question in dream.said, question
    known = max((key for key in FACTS if key in question), key=len)
    return FACTS[known] == dream.claim


def premises(dream: Dream) -> bool:
    subject = max((key for key in TRUE_OF if dream.claim.startswith(f"{key} ")), key=len)
    return dream.claim.removeprefix(f"{subject} ") in TRUE_OF[subject].split("|")


def rankings(dream: Dream) -> bool:
    ((asked, scale),) = [(end, one) for one in SCALES for end in one.split()[2:] if stands(end, dream.turns[-1][1])]
    more, less, most, _ = scale.split()
    above: dict[str, set[str]] = {}
    said = re.findall(COMPARED, re.sub(r"\bThe (?=\w+ \w+ is )", "the ", dream.said))
    for x, word, y in {found for found in said if found[1] in (more, less)}:
        upper, lower = (x, y) if word == more else (y, x)
        above.setdefault(lower, set()).add(upper)
        above.setdefault(upper, set())
    assert len(above) == 3, above
    highest = [thing for thing, others in above.items() if not others]
    lowest = [thing for thing in above if not any(thing in others for others in above.values())]
    assert len(highest) == len(lowest) == 1, "no chain"
    return [dream.claim] == (highest if asked == most else lowest)


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
    names = re.match(r"(.+) shall go and (.+) shall stay", dream.truth).groups()  # type: ignore[union-attr]
    found = roles(GOES_AND_STAYS, names, dream.told)
    assert stands(found["gone"], dream.claim) != stands(found["kept"], dream.claim)
    return stands(found["gone"], dream.claim)


def constraints(dream: Dream) -> bool:
    (wish,) = [wish for wish in WISHES if wish in dream.told]
    (sort,) = [sort for sort, things in SORTS.items() if dream.claim in things.split("|")]
    return sort == WISHES[wish]


def goals(dream: Dream) -> bool:
    (goal,) = [goal for goal in LEADS_TO if goal in dream.told]
    (led_to,) = [goal for goal, ways in LEADS_TO.items() if dream.claim in ways.split("|")]
    assert led_to == goal or list(LEADS_TO).index(led_to) // 2 == list(LEADS_TO).index(goal) // 2, "no pair"
    return led_to == goal


CHECKS = {check.__name__: check for check in (
    sums, products, units, dates, clock, notes, updates, lists, facts, premises, rankings, code, bugs, commands,
    constraints, goals,
)} | {"quotes": notes, "entries": lists}  # fmt: skip


def stands(value: str, text: str) -> bool:
    """Whether the value is in the text as a whole."""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def numbers(text: str) -> list[int]:
    """The whole numbers in it, without times of day."""
    return [int(found) for found in re.findall(r"(?<![\d:])\d+(?![\d:])", text)]


def roles(patterns: Sequence[str], names: Sequence[str], text: str) -> dict[str, str]:
    """Which of the two names has which role, by the first pattern that finds both."""
    either = "(?<!\\w)(?:" + "|".join(map(re.escape, names)) + ")(?!\\w)"
    for pattern in patterns:
        found = re.search(pattern.replace("N)", f"{either})"), text)
        if found and found["gone"] != found["kept"]:
            return found.groupdict()
    raise ValueError("no pattern tells the roles")


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
