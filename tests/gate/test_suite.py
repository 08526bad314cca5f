"""The shipped items: balanced, true, and apart from everything that is trained on."""

from __future__ import annotations

import ast
import datetime
import re
import tomllib
from pathlib import Path

import pytest

from dreamloop.dream.seeds import SEEDERS
from dreamloop.errors import ConfigError
from dreamloop.gate.suite import DOMAINS, ITEMS, load_suite
from dreamloop.paths import prompts_folder
from dreamloop.prompts import load_phrases

SUITE = load_suite()


def test_there_are_enough_items_of_every_kind_and_domain() -> None:
    assert {probe.kind for probe in SUITE.probes} == set(SEEDERS)
    for kind in SEEDERS:
        assert len([p for p in SUITE.probes if p.kind == kind and p.side == "wrong"]) >= 20
        assert len({p.cluster for p in SUITE.probes if p.kind == kind}) >= 5
    for domain in DOMAINS:
        assert len([d for d in SUITE.documents if d.domain == domain]) >= 8


def test_both_sides_of_a_probe_are_offered_the_same_replies() -> None:
    sides = {(probe.twin, probe.side): probe for probe in SUITE.probes}
    for (twin, side), probe in sides.items():
        other = sides[twin, "wrong" if side == "right" else "right"]
        assert probe.replies == other.replies
        assert probe.context != other.context


def raw(kind: str) -> list[dict[str, str]]:
    kinds = tomllib.loads((ITEMS / "probes.toml").read_text())["kind"]
    values: list[dict[str, str]] = next(k["values"] for k in kinds if k["name"] == kind)
    return values


def test_the_sums_are_right_and_wrong_as_they_claim() -> None:
    for row in raw("sums"):
        assert int(row["a"]) + int(row["b"]) == int(row["right"]) != int(row["wrong"])


def test_the_weekdays_are_right_and_wrong_as_they_claim() -> None:
    counts = {"two": 2, "three": 3, "four": 4, "five": 5}
    week = {(datetime.date(2024, 1, 1) + datetime.timedelta(k)).strftime("%A"): k for k in range(7)}
    for row in raw("dates"):
        assert (week[row["day"]] + counts[row["count"]]) % 7 == week[row["right"]] != week[row["wrong"]]


def test_the_code_gives_what_it_should() -> None:
    for row in raw("code"):
        value = eval(row["code"], {"min": min, "__builtins__": {}})  # noqa: S307 - written in this package
        assert value == ast.literal_eval(row["right"]) != ast.literal_eval(row["wrong"])


def test_notes_and_lists_repeat_or_contradict_what_was_said() -> None:
    for row in raw("notes"):
        assert row["right"] == row["fact"] != row["wrong"]
    for row in raw("lists"):
        names = re.split(", | and ", row["listed"])
        assert row["right"] in names
        assert row["wrong"] not in names


def test_gate_facts_and_replies_appear_nowhere_in_the_dreams() -> None:
    dreamed = {line.split(" | ")[0] for line in load_phrases(prompts_folder() / "dream", "facts")["facts"]}
    assert not dreamed & {row["subject"] for row in raw("facts")}
    replies = {text for probe in SUITE.probes for pair in probe.replies for text in pair}
    for kind in SEEDERS:
        book = load_phrases(prompts_folder() / "dream", kind)
        assert not replies & {*book["accept"], *book["push_back"]}


def test_the_digest_names_the_exact_items(tmp_path: Path) -> None:
    for path in ITEMS.glob("*.toml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert load_suite(tmp_path).digest == SUITE.digest
    with (tmp_path / "prose.toml").open("a") as file:
        file.write('\n[[document]]\nname = "new"\ntext = "One more."\n')
    assert load_suite(tmp_path).digest != SUITE.digest


@pytest.mark.parametrize("damage", ["remove", "empty", "broken"])
def test_missing_empty_or_broken_item_files_are_refused(tmp_path: Path, damage: str) -> None:
    for path in ITEMS.glob("*.toml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    target = tmp_path / "probes.toml"
    if damage == "remove":
        target.unlink()
    else:
        target.write_text("" if damage == "empty" else "[[kind]\n")
    with pytest.raises(ConfigError, match="restore"):
        load_suite(tmp_path)
