"""Does the text still say what its label rests on? Whoever wrote it, and before anything is trained on it.

A seed proves its claims by what is stated; the proof is worth as much as the text's faithfulness to it. Grammar keeps
it by construction and is checked all the same. Of an engine's words only those pass that say the same words in the same
order, up to words that a list calls synonyms and small words that mean nothing here: one antonym, or two words that
change places, can turn a label round, and no looser check that was tried found them all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dreamloop.dream.sketch import Sketch, claims, context_of
from dreamloop.dream.values import count, states
from dreamloop.prompts import Phrases
from dreamloop.records import Side

_TOKEN = re.compile(r"\w+(?:[-'’.:]\w+)*|[^\w\s]")
_ENDS = re.compile(r"[\s.!\"]+$")
_SHORT = {
    "I'm": "I am", "I'll": "I will", "it's": "it is", "we'll": "we will", "let's": "let us", "that's": "that is",
    "don't": "do not",
}  # fmt: skip
_PAUSES = {",", ";", ".", "!", '"', "“", "”"}  # between words they may come and go


@dataclass(frozen=True)
class Synonyms:
    """Phrases that may stand for each other, each mapped to one of them, and words that may come and go."""

    same: tuple[tuple[tuple[str, ...], str], ...]
    free: frozenset[str]

    @classmethod
    def read(cls, book: Phrases) -> Synonyms:
        """From a phrase book with the sections ``same`` (alternatives between ``|``) and ``free``."""
        groups = [[phrase.strip() for phrase in line.split("|")] for line in book["same"]]
        pairs = [(tuple(_TOKEN.findall(phrase)), f"={group[0]}") for group in groups for phrase in group]
        pairs.sort(key=lambda pair: -len(pair[0]))
        return cls(tuple(pairs), frozenset(word for line in book["free"] for word in line.split()))

    def plain(self, text: str) -> list[str]:
        """The text's words with synonyms made equal and free words left out."""
        words = self.bare(text)
        plain: list[str] = []
        at = 0
        while at < len(words):
            match = next((pair for pair in self.same if tuple(words[at : at + len(pair[0])]) == pair[0]), None)
            if match:
                plain.append(match[1])
                at += len(match[0])
            else:
                plain.append(words[at])
                at += 1
        return [word for word in plain if word not in self.free]

    @staticmethod
    def bare(text: str) -> list[str]:
        """The text's words in small letters, short forms spelled out and pauses left out."""
        return [word.lower() for word in _TOKEN.findall(_spelled(text)) if word not in _PAUSES]


def unproven(drawn: Sketch) -> str:
    """Why a sketch does not hold what proves it; empty where it does."""
    sides: tuple[Side, Side] = ("right", "wrong")
    if not states(drawn.situation, drawn.seed.stated):
        return "does not state what proves it"
    for side in sides:
        held = claims(drawn.seed, side)
        context = context_of(drawn, side)
        if count(context[-1].content, held["claim"]) < 1:
            return "does not claim what it should"
    if "{claim}" not in drawn.direction or "{claim}" in drawn.situation:
        return "has no place of its own for the claim"
    right, wrong = (context_of(drawn, side) for side in sides)
    if [m.role for m in right] != [m.role for m in wrong] or right == wrong:
        return "has twins that are not alike"
    return ""


def unfaithful(original: str, text: str, synonyms: Synonyms) -> str:
    """Why a paraphrase of one sentence may not stand for it; empty where it may.

    Args:
        original: what was to be said in other words. text: what an engine made of it.
        synonyms: which words mean the same.
    """
    if synonyms.plain(text) != synonyms.plain(original):
        return "may mean something else"
    said, was = ([word for word in synonyms.bare(one) if word not in synonyms.free] for one in (text, original))
    return "the same again" if said == was else ""


def _spelled(text: str) -> str:
    """Short forms spelled out."""
    text = text.replace("’", "'")
    for short, full in _SHORT.items():
        text = re.sub(rf"\b{short}\b", full, text, flags=re.IGNORECASE)
    return _ENDS.sub("", text)
