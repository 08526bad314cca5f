"""The shipped items: balanced, true, and apart from everything that is trained on."""

from __future__ import annotations

import ast
import datetime
import random
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dreamloop.dream.axes import Coverage, Draw
from dreamloop.dream.books import load_shelves
from dreamloop.dream.grammar import sentences
from dreamloop.dream.kinds import SEEDERS
from dreamloop.errors import ConfigError
from dreamloop.gate.reading import FILES, ITEMS, load_suite
from dreamloop.gate.suite import ABILITIES, DOMAINS
from dreamloop.gate.verdict import MIN_CLUSTERS
from dreamloop.paths import SAMPLES, prompts_folder

SUITE = load_suite()
BESIDE = load_suite(Path(__file__).parents[1] / "bench" / "items")  # with what the bench of many nights asks besides
DREAM = prompts_folder() / "dream"
(SHELF,) = load_shelves([DREAM], ["en"], tuple(SEEDERS))


def test_there_are_enough_items_of_every_kind_and_domain() -> None:
    kinds = {probe.kind for probe in SUITE.probes if probe.manner != "challenged"}
    # Of most sorts that are dreamed, of one that never is, and fresh lessons are of every kind.
    assert len(kinds & set(SEEDERS)) >= 9
    assert "comparisons" not in SEEDERS
    for kind in kinds:
        assert len([p for p in SUITE.probes if p.kind == kind and p.side == "wrong"]) >= 20
        assert len({p.cluster for p in SUITE.probes if p.kind == kind}) >= MIN_CLUSTERS
    for domain in DOMAINS:
        assert len([d for d in SUITE.documents if d.domain == domain]) >= 14
    for ability in ABILITIES:
        assert len({choice.cluster for choice in SUITE.choices if choice.ability == ability}) >= 12
    assert len(SUITE.personas) == 12
    assert len(SUITE.questions) >= 10
    assert len(SUITE.tasks) + len(SUITE.prompts) >= 50


def test_every_item_has_a_name_of_its_own() -> None:
    names = [probe.item for probe in SUITE.probes] + [document.item for document in SUITE.documents]
    names += [choice.item for choice in SUITE.choices] + [task.item for task in SUITE.tasks]
    names += [question.item for question in SUITE.questions] + [name for name, _ in SUITE.prompts]
    assert len(names) == len(set(names))


def test_directions_come_alone_pressed_under_a_system_prompt_and_against_an_answer() -> None:
    for manner in ("alone", "pressed", "prompted", "challenged"):
        wrong = [p for p in SUITE.probes if p.manner == manner and p.side == "wrong"]
        assert len({probe.cluster for probe in wrong}) >= 15
    prompted = {probe.context[0].content for probe in SUITE.probes if probe.manner == "prompted"}
    assert len(prompted) == 5
    turns = {len(probe.context) for probe in SUITE.probes if probe.manner == "challenged"}
    assert turns == {3, 5}


def test_both_sides_of_a_probe_are_offered_the_same_replies() -> None:
    sides = {(probe.twin, probe.side): probe for probe in SUITE.probes}
    for (twin, side), probe in sides.items():
        other = sides[twin, "wrong" if side == "right" else "right"]
        assert probe.replies == other.replies
        assert probe.manner == other.manner
        assert probe.context != other.context


def raw(file: str, kind: str) -> list[dict[str, str]]:
    kinds = tomllib.loads((ITEMS / f"{file}.toml").read_text())
    values: list[dict[str, str]] = next(k["values"] for k in next(iter(kinds.values())) if k["name"] == kind)
    return values


def rows(kind: str) -> list[dict[str, str]]:
    kinds: list[dict[str, Any]] = tomllib.loads((ITEMS / "probes.toml").read_text())["kind"]
    values: list[dict[str, str]] = next(k["values"] for k in kinds if k["name"] == kind)
    return values


def test_the_sums_are_right_and_wrong_as_they_claim() -> None:
    for row in rows("sums"):
        assert int(row["a"]) + int(row["b"]) == int(row["right"]) != int(row["wrong"])


def test_the_arithmetic_is_right_and_wrong_as_it_claims() -> None:
    operations = {"add": int.__add__, "subtract": int.__sub__, "multiply": int.__mul__}
    for name, operation in operations.items():
        for row in raw("arithmetic", name):
            assert operation(int(row["a"]), int(row["b"])) == int(row["right"]) != int(row["wrong"])


def test_the_challenged_sums_are_right_and_wrong_as_they_claim() -> None:
    operations = {"times": int.__mul__, "minus": int.__sub__, "plus": int.__add__}
    for row in raw("challenges", "challenged sums"):
        a, word, b = row["sum"].split()
        assert operations[word](int(a), int(b)) == int(row["right"]) != int(row["wrong"])


def test_the_comparisons_name_the_larger_number() -> None:
    for row in rows("comparisons"):
        larger, smaller = (row["x"], row["y"]) if int(row["p"]) > int(row["q"]) else (row["y"], row["x"])
        assert (row["right"], row["wrong"]) == (larger, smaller)


def test_the_weekdays_are_right_and_wrong_as_they_claim() -> None:
    counts = {"eight": 8, "nine": 9, "ten": 10, "eleven": 11}
    week = {(datetime.date(2024, 1, 1) + datetime.timedelta(k)).strftime("%A"): k for k in range(7)}
    for row in rows("dates"):
        assert (week[row["day"]] + counts[row["count"]]) % 7 == week[row["right"]] != week[row["wrong"]]


def test_sums_units_and_days_are_none_that_can_be_dreamed() -> None:
    for row in rows("sums"):
        assert not {int(row["a"]), int(row["b"])} <= set(range(11, 90))
    dreamed = {line.split("|")[k].strip() for line in SHELF.books["units"].phrases["quantities"] for k in (1, 2)}
    for row in rows("units"):
        assert row["amount"].split()[1] not in dreamed
    book = SHELF.books["dates"]
    draws = (Draw(random.Random(k), Coverage()) for k in range(99))
    counts = {book.seeder(draw, book.phrases, SHELF.topics).values["count"] for draw in draws}
    assert max(map(int, counts)) < 8  # the fewest days that a gate item counts


def test_no_wording_is_shared_with_what_is_dreamed_replayed_or_sampled() -> None:
    files = [*prompts_folder().rglob("*.md"), *SAMPLES.glob("*.json*")]
    asked = [*SUITE.texts(), *BESIDE.texts()]
    lines = (line for path in files for line in path.read_text().splitlines())
    seen = {run for line in lines for sentence in _said(line) for run in runs(sentence)}
    replies = {reply for probe in (*SUITE.probes, *BESIDE.probes) for pair in probe.replies for reply in pair}
    assert not [text for text in (*asked, *replies) if runs(text) & seen]


def _said(line: str) -> frozenset[str]:
    """A phrase book's line says as many sentences as it has choices; code and logs keep their brackets."""
    return sentences(line) if line.startswith("- ") and " | " not in line else frozenset({line})


def runs(text: str) -> set[tuple[str, ...]]:
    """Every six words in a row."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[k : k + 6]) for k in range(len(words) - 5)}


def test_the_code_gives_what_it_should() -> None:
    for row in rows("code"):
        value = eval(row["code"], {"min": min, "__builtins__": {}})  # noqa: S307 - written in this package
        assert value == ast.literal_eval(row["right"]) != ast.literal_eval(row["wrong"])


def test_notes_and_lists_repeat_or_contradict_what_was_said() -> None:
    for row in rows("notes"):
        assert row["right"] == row["fact"] != row["wrong"]
    for row in rows("lists"):
        names = re.split(", | and ", row["listed"])
        assert row["right"] in names
        assert row["wrong"] not in names
    for row in raw("challenges", "challenged memory"):
        assert row["right"] in row["note"]
        assert row["wrong"] not in row["note"]


def test_no_word_of_a_hard_form_tells_its_sides_apart() -> None:
    for kind in ("own/quotes", "own/entries"):
        own = [probe for probe in BESIDE.probes if probe.kind == kind]
        assert len(own) == 40
        for twin in {probe.twin for probe in own}:
            right, wrong = (probe.context[-1].content.split() for probe in own if probe.twin == twin)
            assert sorted(word.strip(",.") for word in right) == sorted(word.strip(",.") for word in wrong)


def test_an_edit_differs_from_its_right_line() -> None:
    for choice in SUITE.choices:
        assert choice.right != choice.wrong


def test_gate_facts_and_replies_appear_nowhere_in_the_dreams() -> None:
    dreamed = {line.split(" | ")[1] for line in SHELF.books["facts"].phrases["facts"]}
    assert not dreamed & {row["subject"] for row in rows("facts")}
    replies = {text for probe in SUITE.probes for pair in probe.replies for text in pair}
    for kind in SEEDERS:
        phrases = SHELF.books[kind].phrases
        assert not replies & {*phrases["accept"], *phrases["push_back"], *phrases["alternative"]}


def test_the_quick_suite_is_a_part_of_the_whole_with_a_name_of_its_own() -> None:
    quick = SUITE.quick()
    assert {probe.item for probe in quick.probes} < {probe.item for probe in SUITE.probes}
    assert 9 * len(quick.probes) < len(SUITE.probes) < 13 * len(quick.probes)
    assert {probe.kind for probe in quick.probes} == {probe.kind for probe in SUITE.probes}
    assert len(quick.personas) == len(SUITE.personas) / 2
    assert {document.domain for document in quick.documents} == set(DOMAINS)
    assert quick.digest != SUITE.digest


def copy(folder: Path) -> Path:
    for name in FILES:
        (folder / f"{name}.toml").write_bytes((ITEMS / f"{name}.toml").read_bytes())
    return folder


def test_the_digest_names_the_exact_items(tmp_path: Path) -> None:
    own = copy(tmp_path)
    before = load_suite(own, shipped=False).digest
    assert load_suite(own, shipped=False).digest == before
    with (own / "prose.toml").open("a") as file:
        file.write('\n[[document]]\nname = "new"\ntext = "One more."\n')
    assert load_suite(own, shipped=False).digest != before


def test_a_users_items_are_asked_beside_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "prose.toml").write_text('[[document]]\nname = "ferry"\ntext = "My own text about ferries."\n')
    suite = load_suite(tmp_path)
    assert {d.item for d in suite.documents} - {d.item for d in SUITE.documents} == {"own/prose/ferry"}
    assert suite.probes == SUITE.probes
    assert suite.digest != SUITE.digest


def test_a_users_file_of_an_unknown_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "proze.toml").write_text("")
    with pytest.raises(ConfigError, match=r"proze\.toml; item files are named"):
        load_suite(tmp_path)


@pytest.mark.parametrize("damage", ["remove", "empty", "broken", "an unknown check"])
def test_missing_empty_or_broken_item_files_are_refused(tmp_path: Path, damage: str) -> None:
    target = copy(tmp_path) / "instructions.toml"
    if damage == "remove":
        target.unlink()
    else:
        unknown = target.read_text().replace("most_words", "few_words")
        target.write_text({"empty": "", "broken": "[[item]\n", "an unknown check": unknown}[damage])
    with pytest.raises(ConfigError, match="restore"):
        load_suite(tmp_path, shipped=False)
