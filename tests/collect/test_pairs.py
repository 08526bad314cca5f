from __future__ import annotations

import json
import os
from pathlib import Path

from dreamloop.collect.pairs import collect, in_turn
from dreamloop.collect.sources import find_files
from dreamloop.log import Silent
from dreamloop.paths import SAMPLES
from dreamloop.records import Message, Pair, Provenance


def test_the_samples_give_both_signals_and_no_trap_becomes_one() -> None:
    collected = collect(find_files([SAMPLES]), {}, Silent())
    assert sum(read.conversations for read in collected.reads) >= 40
    assert {pair.provenance.signal for pair in collected.pairs} == {"ranked siblings"}
    corrections = [item.correction for item in collected.corrections]
    assert len(corrections) >= 8
    assert not [text for text in corrections if "covers everything" in text or "90 degrees" in text]
    everything = repr(collected)
    assert "7f3d9b1c2e8a4f60b5d1" not in everything


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    files = find_files([SAMPLES])
    first = collect(files, {}, Silent())
    cursors = {read.path: read.cursor for read in first.reads if read.cursor}
    second = collect(files, cursors, Silent())
    assert (second.pairs, second.corrections) == ((), ())


def test_unknown_and_damaged_values_are_counted_and_the_rest_is_used(tmp_path: Path) -> None:
    good = {"id": "g", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}
    empty = {"id": "e", "conversations": [{"from": "human", "value": "Hi"}]}
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(json.dumps(value) for value in (good, {"what": "?"}, empty, 7)) + "\nbroken {\n")
    collected = collect([log], {}, Silent())
    assert {(skip.reason.removeprefix(f"{log}: "), skip.count) for skip in collected.skips} == {
        ("not a conversation in a known format", 2), ("conversation without a reply", 1), ("not JSON", 1),
    }  # fmt: skip
    assert collected.reads[0].conversations == 1


def test_one_pair_of_each_exchange_comes_before_a_second_of_any() -> None:
    def pair(conversation: str, n: int) -> Pair:
        return Pair((Message("user", f"{n}"),), "a", "b", Provenance("s", conversation, 0, "ranked", "strong"))

    pairs = [pair("x", 1), pair("x", 2), pair("y", 3), pair("x", 4)]
    assert [p.context[0].content for p in in_turn(pairs)] == ["1", "3", "2", "4"]


def test_half_a_surrogate_and_an_odd_file_name_stop_nothing(tmp_path: Path) -> None:
    log = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd-\xff.jsonl"))
    turns = [("human", "cut \ud83d off"), ("gpt", "Yes."), ("human", "No, I asked for \udc00 more.")]
    value = {"id": "\ud800", "conversations": [{"from": who, "value": text} for who, text in turns]}
    log.write_text(json.dumps(value) + "\n" + "[" * 100_000)
    collected = collect([log], {}, Silent())
    assert len(collected.corrections) == 1
    assert json.dumps(repr(collected), ensure_ascii=False).encode()
    assert collected.corrections[0].digest


def test_a_file_reached_by_two_ways_is_read_once(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    log.write_text("{}\n")
    (tmp_path / "latest.jsonl").symlink_to(log)
    assert find_files([tmp_path, tmp_path / ".." / tmp_path.name / "a.jsonl"]) == [log.resolve()]


def test_json_lines_under_another_name_are_read(tmp_path: Path) -> None:
    good = {"id": "g", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]}
    for name in ("chat.log", "chat.json"):
        log = tmp_path / name
        log.write_text(f"{json.dumps(good)}\n{json.dumps(good)}\n")
        assert collect([log], {}, Silent()).reads[0].conversations == 2
