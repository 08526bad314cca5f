"""Every label is proven again here, from the text alone, by other means than those that made it."""

from __future__ import annotations

import ast
import datetime
import random
import re
from collections.abc import Callable

import pytest

from dreamloop.dream.scenarios import compose, load_books
from dreamloop.dream.seeds import SEEDERS, Seed
from dreamloop.paths import prompts_folder

BOOKS = load_books(prompts_folder(), tuple(SEEDERS))
PER_UNIT = {
    "kilometres": ("metres", 1000), "metres": ("centimetres", 100), "kilograms": ("grams", 1000),
    "hours": ("minutes", 60), "weeks": ("days", 7), "litres": ("millilitres", 1000), "dozen": ("pieces", 12),
    "minutes": ("seconds", 60), "centimetres": ("millimetres", 10), "tonnes": ("kilograms", 1000),
    "days": ("hours", 24),
}  # fmt: skip
MONDAY = datetime.date(2024, 1, 1)  # a Monday


def sums(seed: Seed, claim: str) -> bool:
    return int(claim) == int(seed.values["a"]) + int(seed.values["b"])


def units(seed: Seed, claim: str) -> bool:
    to, factor = PER_UNIT[seed.values["unit"]]
    assert to == seed.values["unit_to"]
    return int(claim) == int(seed.values["value"]) * factor


def dates(seed: Seed, claim: str) -> bool:
    week = [MONDAY + datetime.timedelta(days=k) for k in range(7)]
    start = next(day for day in week if day.strftime("%A") == seed.values["day"])
    return (start + datetime.timedelta(days=int(seed.values["count"]))).strftime("%A") == claim


def notes(seed: Seed, claim: str) -> bool:
    return claim == seed.values["fact"]


def lists(seed: Seed, claim: str) -> bool:
    return claim in re.split(", | and ", seed.values["listed"])


def facts(seed: Seed, claim: str) -> bool:
    lines = [line.split(" | ") for line in BOOKS["facts"]["facts"]]
    truth = {question: right for question, right, _, _ in lines}
    return truth[seed.values["question"]] == claim


def code(seed: Seed, claim: str) -> bool:
    allowed = {"len": len, "sum": sum, "max": max, "sorted": sorted, "range": range, "__builtins__": {}}
    value = eval(seed.values["expression"], allowed)  # noqa: S307 - the expression comes from this package
    return bool(ast.literal_eval(claim) == value)


CHECKS: dict[str, Callable[[Seed, str], bool]] = {
    "sums": sums, "units": units, "dates": dates, "notes": notes, "lists": lists, "facts": facts, "code": code,
}  # fmt: skip


@pytest.mark.parametrize("kind", SEEDERS)
def test_the_right_claim_is_true_and_the_wrong_one_false(kind: str) -> None:
    for number in range(300):
        seed = SEEDERS[kind](random.Random(number), BOOKS[kind])
        assert CHECKS[kind](seed, seed.right), seed
        assert not CHECKS[kind](seed, seed.wrong), seed


@pytest.mark.parametrize("kind", SEEDERS)
def test_twins_differ_only_in_the_claim_and_share_both_replies(kind: str) -> None:
    rng = random.Random(1)
    for _ in range(100):
        seed = SEEDERS[kind](rng, BOOKS[kind])
        twins = compose(kind, seed, BOOKS, rng)
        right, wrong = twins.right.context[0].content, twins.wrong.context[0].content
        assert right != wrong
        swapped = re.sub(rf"(?<!\w){re.escape(seed.right)}(?!\w)", seed.wrong, right)
        assert swapped.lower() == wrong.lower() or wrong.lower() in {
            variant.lower() for variant in _one_at_a_time(right, seed.right, seed.wrong)
        }
        assert (twins.right.accept, twins.right.push_back) == (twins.wrong.accept, twins.wrong.push_back)
        assert twins.right.twin == twins.wrong.twin


def _one_at_a_time(text: str, old: str, new: str) -> list[str]:
    """The text with each non-empty choice of the claim's places replaced."""
    places = [m.start() for m in re.finditer(re.escape(old), text, re.IGNORECASE)]
    variants = []
    for choice in range(1, 2 ** len(places)):
        changed = text
        for k in reversed(range(len(places))):
            if choice >> k & 1:
                changed = changed[: places[k]] + new + changed[places[k] + len(old) :]
        variants.append(changed)
    return variants


@pytest.mark.parametrize("kind", SEEDERS)
def test_every_kind_has_many_phrasings(kind: str) -> None:
    book = BOOKS[kind]
    assert len(book["situation"]) * len(book["direction"]) >= 64
    assert len(book["accept"]) == len(book["push_back"]) >= 6
