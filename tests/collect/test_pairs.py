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


def chat(tmp_path: Path, *texts: str, **first_reply: str) -> Path:
    turns = [{"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(texts)]
    turns[1] |= first_reply
    log = tmp_path / "chat.jsonl"
    log.write_text(json.dumps({"messages": turns}) + "\n")
    return log


def test_an_edit_that_keeps_the_original_is_a_strong_pair(tmp_path: Path) -> None:
    log = chat(tmp_path, "Tea?", "Hot and black.", original_content="Well, it depends.")
    (pair,) = collect([log], {}, Silent()).pairs
    assert (pair.chosen, pair.rejected) == ("Hot and black.", "Well, it depends.")
    assert (pair.provenance.signal, pair.provenance.strength) == ("edit", "strong")


def test_a_secret_in_the_original_is_never_stored(tmp_path: Path) -> None:
    log = chat(tmp_path, "Tea?", "Hot.", original_content="Use the key AKIAIOSFODNN7EXAMPLE, then tea.")
    collected = collect([log], {}, Silent())
    assert collected.pairs == ()
    assert "AKIA" not in repr(collected)


LONG, ASKED, SHORT = "A long story about tea.", "No, I asked for one line.", "Tea is hot."


def test_an_answer_that_was_accepted_after_corrections_is_preferred_to_the_first(tmp_path: Path) -> None:
    log = chat(tmp_path, "Tell me about tea.", LONG, ASKED, "Two lines.", "I said only one.", SHORT, "Perfect, thanks.")
    collected = collect([log], {}, Silent())
    (pair,) = collected.pairs
    assert (pair.chosen, pair.rejected) == (SHORT, LONG)
    assert [m.content for m in pair.context] == ["Tell me about tea."]
    assert (pair.provenance.signal, pair.provenance.turn) == ("accepted correction", 1)
    assert [c.rejected for c in collected.corrections] == ["Two lines."]  # the first needs no rewriting any more


def test_an_answer_that_nobody_accepted_is_left_to_the_rewriter(tmp_path: Path) -> None:
    log = chat(tmp_path, "Tell me about tea.", LONG, ASKED, SHORT, "And coffee?", "Also hot.")
    collected = collect([log], {}, Silent())
    assert collected.pairs == ()
    assert [c.rejected for c in collected.corrections] == [LONG]


def test_giving_in_is_never_the_chosen_side_even_when_the_user_is_pleased(tmp_path: Path) -> None:
    fact = chat(tmp_path, "5 + 7?", "12.", "No, that is wrong, it is 13.", "You're right, I apologize: 13.", "Thanks!")
    collected = collect([fact], {}, Silent())
    assert (collected.pairs, collected.corrections) == ((), ())
    wish = chat(tmp_path, "Tea?", LONG, ASKED, "You're right, I apologize. Tea is hot.", "Thanks!")
    collected = collect([wish], {}, Silent())
    assert collected.pairs == ()
    assert [c.rejected for c in collected.corrections] == [LONG]
    assert any("gives in or apologises" in skip.reason for skip in collected.skips)
