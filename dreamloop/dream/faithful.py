"""Does the text still say what its label rests on? Whoever wrote it, and before anything is trained on it.

A seed proves its claims by what is stated; the proof is worth as much as the text's faithfulness to it. Grammar keeps
it by construction and is checked all the same; of an engine's words only those pass that keep every number, every name,
every small word that carries a relation, and their order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set
from functools import lru_cache

from dreamloop.dream.sketch import Sketch, claims, context_of
from dreamloop.records import Context, Side

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_NUMBER = re.compile(r"\d+(?:[.:,]\d+)*")
# What turns a statement around, ties two things together in time or size, or says who does what.
_WORDS = """
not no never none nor nothing neither without instead rather except unless only but however although than
don't doesn't isn't aren't won't can't cannot didn't wasn't shouldn't
at in on by to of for with about into onto out off up down through against around among
after before later earlier since until from between till ago more less fewer most least over under above below
plus minus times each every apiece both half double twice first second last former latter another further total
wrong right correct incorrect true false mistake error might maybe perhaps if or
used was were longer anymore now currently new old changed will going shall would should must
i you he she we they me him her us them my your his our their
"""
_BINDING = frozenset(_WORDS.split())
_LONGEST = 1.6  # times the words of the original
_SHORTEST = 0.6
_NEW_OF = 4  # so many words of the original allow one to be exchanged


def unproven(drawn: Sketch) -> str:
    """Why a sketch does not hold what proves it; empty where it does."""
    sides: tuple[Side, Side] = ("right", "wrong")
    for side in sides:
        held = claims(drawn.seed, side)
        context = context_of(drawn, side)
        if not _states(context, drawn.seed.stated):
            return "does not state what proves it"
        if count(context[-1].content, held["claim"]) < 1:
            return "does not claim what it should"
    if "{claim}" not in drawn.direction or "{claim}" in drawn.situation:
        return "has no place of its own for the claim"
    right, wrong = (context_of(drawn, side) for side in sides)
    if [m.role for m in right] != [m.role for m in wrong] or right == wrong:
        return "has twins that are not alike"
    return ""


def unfaithful(original: str, text: str, kept: Sequence[str], shown: Set[str] = frozenset()) -> str:
    """Why a paraphrase of one sentence may not stand for it; empty where it may.

    Args:
        original: what was to be said in other words. text: what an engine made of it.
        kept: values that have to stand in both, equally often and in the same order.
        shown: words of the examples that the engine was given, which small models like to copy.
    """
    words, before = len(text.split()), len(original.split())
    old, new = _content(original), _content(text)
    few = max(1, len(old) // _NEW_OF)
    faults = {
        "the same again": _WORD.findall(text.lower()) == _WORD.findall(original.lower()),
        "lost or moved a value": _places(original, kept) != _places(text, kept),
        "changed a number": Counter(_NUMBER.findall(original)) != Counter(_NUMBER.findall(text)),
        "changed a word that binds": _bound(original) != _bound(text),
        "asks instead of saying, or the other way round": ("?" in text) != ("?" in original),
        "much longer or shorter": not before * _SHORTEST - 1 <= words <= before * _LONGEST + 2,
        "tied a value to something else": _ties(original, kept) != _ties(text, kept),
        "copied an example": bool((new - old) & shown),
        "says something else": max(len(new - old), len(old - new)) > few,
        "named something new": not _names(text) <= _names(original) | set(_WORD.findall(" ".join(kept))),
    }
    return next((fault for fault, found in faults.items() if found), "")


def count(text: str, value: str) -> int:
    """How often a value stands in a text as a whole, not inside another word or number."""
    return len(_occurrences(text, value))


def _states(context: Context, stated: Sequence[str]) -> bool:
    """Whether the user said all of it; phrasings differ in its order, and each was written so that the proof holds."""
    said = "\n".join(m.content for m in context if m.role == "user")
    return all(_occurrences(said, value) for value in stated)


@lru_cache(4096)
def whole(value: str) -> re.Pattern[str]:
    """Finds a value that stands for itself, not inside another word or number."""
    begin = r"(?<!\w)" if value[:1].isalnum() else ""
    end = r"(?!\w)" if value[-1:].isalnum() else ""
    return re.compile(begin + re.escape(value) + end, re.IGNORECASE)


def _occurrences(text: str, value: str) -> list[int]:
    return [m.start() for m in whole(value).finditer(text)]


def _places(text: str, kept: Sequence[str]) -> list[str]:
    """The values in the order in which they stand."""
    found = [(place, -len(value), value) for value in dict.fromkeys(kept) for place in _occurrences(text, value)]
    return [value for _, _, value in sorted(found)]


def _ties(text: str, kept: Sequence[str]) -> list[tuple[str, str]]:
    """Each value with the small word that ties it to what stands before: "to Bruno" is not "Bruno"."""
    found = [(place, value) for value in dict.fromkeys(kept) for place in _occurrences(text, value)]
    before = ((value, _WORD.findall(text[:place].lower())[-2:]) for place, value in sorted(found))
    return [(next((word for word in reversed(words) if word in _BINDING), ""), value) for value, words in before]


def _bound(text: str) -> Counter[str]:
    """The small words that carry the meaning; short forms are spelled out."""
    plain = text.lower().replace("’", "'").replace("i'm", "i am").replace("i'll", "i will").replace("it's", "it is")
    return Counter(word for word in _WORD.findall(plain) if word in _BINDING)


def _content(text: str) -> set[str]:
    """The words that say what it is about."""
    return {word for word in _WORD.findall(text.lower()) if word not in _BINDING and len(word) > 3}


def _names(text: str) -> set[str]:
    """Words with a capital inside a sentence, which are names of something."""
    return {m.group(1) for m in re.finditer(r"(?<=[\w,;:\-–]\s)([A-Z]\w+)", text)} - {"I"}
