"""Does the text still say what its label rests on? Whoever wrote it, and before anything is trained on it.

A seed proves its claims by what is stated; the proof is worth as much as the text's faithfulness to it. Grammar keeps
it by construction and is checked all the same. Of an engine's words only those pass that say the same words in the same
order, up to words that a list calls synonyms and small words that mean nothing here: one antonym, or two words that
change places, can turn a label round, and no looser check that was tried found them all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from dreamloop.dream.sketch import Sketch, claims, context_of
from dreamloop.prompts import Phrases
from dreamloop.records import Context, Side

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
        words = [word.lower() for word in _TOKEN.findall(_spelled(text)) if word not in _PAUSES]
        plain: list[str] = []
        at = 0
        while at < len(words):
            match = next((pair for pair in self.same if tuple(words[at : at + len(pair[0])]) == pair[0]), None)
            if match:
                plain.append(match[1])
                at += len(match[0])
            else:
                plain += [] if words[at] in self.free else [words[at]]
                at += 1
        return plain


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


def unfaithful(original: str, text: str, synonyms: Synonyms) -> str:
    """Why a paraphrase of one sentence may not stand for it; empty where it may.

    Args:
        original: what was to be said in other words. text: what an engine made of it.
        synonyms: which words mean the same.
    """
    if text.lower().strip() == original.lower().strip():
        return "the same again"
    if synonyms.plain(text) != synonyms.plain(original):
        return "may mean something else"
    return ""


def count(text: str, value: str) -> int:
    """How often a value stands in a text as a whole, not inside another word or number."""
    return len(whole(value).findall(text))


@lru_cache(4096)
def whole(value: str) -> re.Pattern[str]:
    """Finds a value that stands for itself, not inside another word or number."""
    begin = r"(?<!\w)" if value[:1].isalnum() else ""
    end = r"(?!\w)" if value[-1:].isalnum() else ""
    return re.compile(begin + re.escape(value) + end, re.IGNORECASE)


def _states(context: Context, stated: tuple[str, ...]) -> bool:
    """Whether the user said all of it; phrasings differ in its order, and each was written so that the proof holds."""
    said = "\n".join(m.content for m in context if m.role == "user")
    return all(whole(value).search(said) for value in stated)


def _spelled(text: str) -> str:
    """Short forms spelled out."""
    text = text.replace("’", "'")
    for short, full in _SHORT.items():
        text = re.sub(rf"\b{short}\b", full, text, flags=re.IGNORECASE)
    return _ENDS.sub("", text)
