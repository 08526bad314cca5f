"""The phrase books and topics of a language: the shipped ones, and a user's own on top of them.

A user's folder looks like ``prompts/dream``: ``en/sums.md`` adds its phrasings to the shipped sums, ``en/topics.toml``
its domains, and a file of a new name is a new kind whose cases are a table (`kinds.world.curated`). No code is needed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dreamloop.dream.axes import DEMANDS, TONES, Coverage, Draw
from dreamloop.dream.grammar import expand, sentences
from dreamloop.dream.invented import ONE as MADE_UP
from dreamloop.dream.invented import VALUES
from dreamloop.dream.kinds import SEEDERS
from dreamloop.dream.kinds.world import curated
from dreamloop.dream.seeds import Seed, Seeder, columns
from dreamloop.dream.topics import Topics, load_topics
from dreamloop.dream.values import states
from dreamloop.errors import ConfigError
from dreamloop.paths import prompts_folder
from dreamloop.prompts import SLOT, Phrases, fill, load_phrases

TOPICS = "topics.toml"
FEWEST_VALUES = 5  # that one phrasing has to have: as many as a list needs, and one that is not on it
CONTRADICTED = "heard: contradicted"  # section of what an assistant may have said that is contradicted
_ALIKE = ("accept", "push_back", "alternative")  # the k-th lines of these sections are written alike
_NEEDED = ("situation", "corrected", *_ALIKE)
# Sections that are tables, with their columns, and those that are plain values.
_TABLES = {
    "quantities": 5, "rules": 4, "facts": 4, "premises": 6, "functions": 5, "commands": 3, "goals": 5, "opinions": 3,
    "scales": 6, "cases": 5, "things": 2,
}  # fmt: skip
_VALUES = {"days", "words"}
# What a frame is made of, with the fewest lines of each.
_COMMON = {
    "names": 6, "personas": 1, "opening": 1, "opening reply": 1, "heard": 1, CONTRADICTED: 1, "against": 1,
    "waiting": 2, "filler": 3, "insist: second": 1, "insist: third": 1,
    **{f"tone: {tone}": 1 for tone in TONES if tone != "plain"},
    **{f"demands: {demand}": 1 for demand in DEMANDS},
}  # fmt: skip
_CLAIMS = {"claim", "other"}


@dataclass(frozen=True)
class Book:
    """One kind in one language: who makes its seeds, and the phrases that dress them."""

    kind: str
    seeder: Seeder
    phrases: Phrases

    def directions(self) -> Mapping[str, Sequence[str]]:
        """What the user may be about to do, by task: the sections ``direction: TASK``."""
        sections = self.phrases.sections.items()
        return {name.partition(": ")[2]: lines for name, lines in sections if name.startswith("direction: ")}

    @cached_property
    def sentences(self) -> int:
        """How many different things a user may say here, before any value, persona, tone or aside."""
        told = {text for line in self.phrases["situation"] for text in sentences(line)}
        asked = {text for lines in self.directions().values() for line in lines for text in sentences(line)}
        return len(told) * len(asked)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Everything of one language."""

    language: str
    common: Phrases
    books: Mapping[str, Book]
    topics: Topics


def book_folders(own: Path | None) -> list[Path]:
    """The shipped books, and a user's own behind them.

    Raises:
        ConfigError: the user's folder does not exist.
    """
    if own and not own.is_dir():
        raise ConfigError(f"The folder of phrase books {own} does not exist; check 'dream.books' in dreamloop.toml.")
    return [prompts_folder() / "dream", *([own] if own else [])]


def load_shelves(folders: Sequence[Path], languages: Sequence[str], kinds: Sequence[str]) -> tuple[Shelf, ...]:
    """Read the wanted kinds in every wanted language.

    Args:
        folders: where books are, the shipped folder first; each holds a folder per language.
        languages, kinds: the wanted ones. A kind may be missing in a language as long as it is in another.

    Raises:
        ConfigError: a kind or a language does not exist, or a file is damaged.
    """
    shelves = tuple(_shelf(folders, language, kinds) for language in languages)
    known = sorted({path.stem for folder in folders for path in folder.glob("*/*.md")} - {"common", "synonyms"})
    missing = sorted(set(kinds).difference(*(shelf.books for shelf in shelves)))
    if missing:
        raise ConfigError(
            f"There is no scenario kind {missing[0]!r} in the language {' or '.join(languages)}; "
            f"the kinds are {', '.join(known)}."
        )
    return shelves


def _shelf(folders: Sequence[Path], language: str, kinds: Sequence[str]) -> Shelf:
    places = [folder / language for folder in folders if (folder / language).is_dir()]
    if not any((place / "common.md").is_file() for place in places):
        raise ConfigError(f"There are no phrase books for the language {language!r}; make one with common.md in it.")
    topics = load_topics([place / TOPICS for place in places if (place / TOPICS).is_file()])
    found = {kind: _merged(places, kind) for kind in ("common", *kinds)}
    books = {kind: _book(kind, phrases) for kind, phrases in found.items() if phrases and kind != "common"}
    common = found["common"]
    assert common is not None  # looked for above  # noqa: S101
    _check_common(common)
    for book in books.values():
        _check(book, topics)
    return Shelf(language, common, books, topics)


def _check(book: Book, topics: Topics) -> None:
    """Find out before the night what a phrase would break in the middle of it.

    Raises:
        ConfigError: a table row has other columns than it needs, a bracket no partner, a phrase a slot that nothing
            fills, a situation the claim, which is the direction's, a phrasing of values too few of them.
    """
    for section, lines in book.phrases.sections.items():
        if section.startswith(VALUES):
            _check_values(book.kind, section, lines)
    for section, count in _TABLES.items():
        for line in book.phrases.sections.get(section, ()):
            columns(line, count)
    for line in book.phrases["corrected"]:
        columns(line, 2)
    seeds = _every_case(book, topics)
    filled = {*seeds[-1].values, "name", *_CLAIMS}
    spoken = {s: lines for s, lines in book.phrases.sections.items() if s not in _TABLES and s not in _VALUES}
    for section, lines in spoken.items():
        for line in lines:
            expand(line, random.Random(0))  # says which bracket has no partner
            slots = set(SLOT.findall(line))
            if unknown := slots - (_CLAIMS if section == CONTRADICTED else filled):
                raise ConfigError(f"In the phrase book {book.kind} nothing fills {{{min(unknown)}}} of {line!r}.")
            if section == "situation" and slots & _CLAIMS:
                raise ConfigError(f"In the phrase book {book.kind} the claim belongs into a direction, not {line!r}.")
            if section == "situation":
                _check_stated(book.kind, line, seeds)
            if section == CONTRADICTED and "other" not in slots:
                raise ConfigError(f"In the phrase book {book.kind} '## {CONTRADICTED}' has no {{other}} in {line!r}.")
            if section.startswith("direction: ") and "claim" not in slots:
                raise ConfigError(f"In the phrase book {book.kind} a direction has no {{claim}}: {line!r}.")


def _check_values(kind: str, section: str, lines: Sequence[str]) -> None:
    """Values can be drawn, and none stands inside another, which would then have been said with it."""
    if section.removeprefix(VALUES) in MADE_UP:
        raise ConfigError(f"In the phrase book {kind} '## {section}' is a sort that dreamloop makes up; rename yours.")
    for line in lines:
        if (count := len(sentences(line))) < FEWEST_VALUES or SLOT.search(line):
            raise ConfigError(
                f"In the phrase book {kind} a phrasing of values has no slots and at least {FEWEST_VALUES} choices, "
                f"like [red|blue|green|grey|white], and {line!r} has {count}."
            )
    every = {tuple(said.lower().split()) for line in lines for said in sentences(line)}
    for whole in every:
        parts = (whole[i:j] for i in range(len(whole)) for j in range(i + 1, len(whole) + 1))
        if inside := next((part for part in parts if part != whole and part in every), None):
            raise ConfigError(
                f"In the phrase book {kind} '## {section}' has {' '.join(inside)!r}, which stands inside "
                f"{' '.join(whole)!r}; values must be told apart."
            )


def _check_stated(kind: str, line: str, seeds: Sequence[Seed]) -> None:
    for said in sentences(line):
        for seed in seeds:
            if not states(fill(said, {**seed.values, "name": "Somebody"}), seed.stated):
                raise ConfigError(
                    f"In the phrase book {kind} the situation {line!r} does not say all that proves the claim: "
                    f"{', '.join(seed.stated)}."
                )


def _every_case(book: Book, topics: Topics) -> list[Seed]:
    """As many seeds as there are rows, the least used first: each row once."""
    coverage, rng = Coverage(), random.Random(0)
    seeds = []
    rows = max((len(book.phrases.sections.get(section, ())) for section in _TABLES), default=0)
    for _ in range(max(1, rows)):
        draw = Draw(rng, coverage, {"kind": book.kind})
        try:
            seed = book.seeder(draw, book.phrases, topics)
        except (IndexError, ValueError, KeyError) as error:
            raise ConfigError(
                f"The phrase book {book.kind} gives no seed ({error}): a table has too few rows of one sort, or "
                f"{TOPICS} lacks a domain."
            ) from error
        coverage.add(draw.axes())
        seeds.append(seed)
    return seeds


def _check_common(common: Phrases) -> None:
    for section, fewest in _COMMON.items():
        if len(common[section]) < fewest:
            raise ConfigError(f"The phrase book common.md needs at least {fewest} lines under '## {section}'.")
    for lines in common.sections.values():
        for line in lines:
            expand(line, random.Random(0))  # says which bracket has no partner
    if nameless := [line for line in common["personas"] if ": " not in line]:
        raise ConfigError(f"In the phrase book common.md a persona is 'name: what it says', not {nameless[0]!r}.")
    for section, lines in common.sections.items():
        filled = {"other"} if section == CONTRADICTED else {"name", "domain"}
        if unknown := {slot for line in lines for slot in SLOT.findall(line)} - filled:
            raise ConfigError(f"In the phrase book common.md nothing fills {{{min(unknown)}}} under '## {section}'.")
    if silent := [line for line in common[CONTRADICTED] if "{other}" not in line]:
        raise ConfigError(f"In the phrase book common.md '## {CONTRADICTED}' has no {{other}} in {silent[0]!r}.")


def _merged(places: Sequence[Path], name: str) -> Phrases | None:
    """The phrases of one name from every place that has it, a user's lines behind the shipped ones."""
    parts = [load_phrases(place, name) for place in places if (place / f"{name}.md").is_file()]
    if not parts:
        return None
    sections: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for title, lines in part.sections.items():
            sections[title] = tuple(dict.fromkeys((*sections.get(title, ()), *lines)))
    return Phrases(name, frozenset().union(*(part.placeholders for part in parts)), sections)


def _book(kind: str, phrases: Phrases) -> Book:
    if kind not in SEEDERS and "cases" not in phrases.sections:
        raise ConfigError(f"The phrase book {kind} is no kind that dreamloop knows; give it a section '## cases'.")
    for section in _NEEDED:
        phrases[section]  # says what is missing
    lengths = {section: len(phrases[section]) for section in _ALIKE}
    if len(set(lengths.values())) > 1:
        raise ConfigError(f"In the phrase book {kind} the reply sections need equally many lines; they have {lengths}.")
    book = Book(kind, SEEDERS.get(kind, curated), phrases)
    if not book.directions():
        raise ConfigError(f"The phrase book {kind} needs a section '## direction: tell' or of another task.")
    return book
