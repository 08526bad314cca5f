from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.config import Replay
from dreamloop.errors import ConfigError
from dreamloop.finetune.replay import PIECE, Prompts, base_answers, chat_rows, mixed, text_rows
from dreamloop.log import Progress, Silent
from dreamloop.model.policy import Adapter
from dreamloop.model.sampler import Request
from dreamloop.records import Reply

PROMPTS = [f"Question {k}?" for k in range(40)]


class Scripted:
    """Finishes two answers of three, and remembers which adapter it was asked for."""

    def __init__(self) -> None:
        self.adapters: list[object] = []

    def sample(
        self, requests: Sequence[Request], adapter: Adapter | None, seed: int, progress: Progress, what: str
    ) -> list[Reply]:
        self.adapters.append(adapter)
        return [Reply("a full answer", "length" if k % 3 == 2 else "stop", 3) for k in range(len(requests))]


def test_only_finished_answers_are_replayed_and_the_rest_is_counted() -> None:
    rows, skips = base_answers(Scripted(), PROMPTS, 6, 0, Silent())
    assert len(rows) == 6
    assert skips[0].count == 4
    assert len({row.context for row in rows}) == 6


def test_the_same_seed_asks_the_same_questions() -> None:
    asked = [base_answers(Scripted(), PROMPTS, 4, seed, Silent())[0] for seed in (1, 1, 2)]
    assert asked[0] == asked[1] != asked[2]


class Wordy(Scripted):
    """Answers everything, every time in other words."""

    def sample(
        self, requests: Sequence[Request], adapter: Adapter | None, seed: int, progress: Progress, what: str
    ) -> list[Reply]:
        return [Reply(f"an answer of its own, number {k}", "stop", 3) for k in range(len(requests))]


def test_where_more_answers_are_wanted_than_there_are_questions_these_are_asked_again() -> None:
    rows, _ = base_answers(Wordy(), PROMPTS[:5], 12, 0, Silent())
    assert len({row.digest for row in rows}) == 12
    assert set(Counter(row.context for row in rows).values()) == {2, 3}  # all of them before any comes again
    same, _ = base_answers(Scripted(), PROMPTS[:5], 12, 0, Silent())
    assert len(same) == 5  # the same answer to the same question is no second row


def test_no_replay_asks_nothing() -> None:
    engine = Scripted()
    assert base_answers(engine, PROMPTS, 0, 0, Silent()) == base_answers(engine, [], 5, 0, Silent()) == ([], [])
    assert engine.adapters == []


def test_a_users_file_is_read_and_its_bad_lines_are_counted(tmp_path: Path) -> None:
    good = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}
    bad = [{"messages": good["messages"][:1]}, {"messages": "?"}, {"text": "x"}, 7]
    file = tmp_path / "replay.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in (good, *bad)) + "\nbroken\n\n")
    rows, skips = chat_rows(file)
    assert [row.reply for row in rows] == ["Hello."]
    assert skips[0].count == 5


@pytest.mark.parametrize("content", [None, "", "broken\n"])
def test_a_file_without_a_usable_line_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "replay.jsonl"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="replay file"):
        chat_rows(file)


@given(st.text(alphabet="abc \n", max_size=9000))
def test_plain_text_comes_in_pieces_that_fit_and_loses_no_word(text: str) -> None:
    with TemporaryDirectory() as place:
        file = Path(place) / "notes.md"
        file.write_text(text)
        if not text.strip():
            with pytest.raises(ConfigError, match="empty"):
                text_rows(file)
            return
        rows = text_rows(file)
    assert all(len(row.reply) <= PIECE and row.context == () for row in rows)
    assert "".join("".join(row.reply for row in rows).split()) == "".join(text.split())


def test_paragraphs_stay_whole_and_long_ones_are_cut_between_words(tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    file.write_text("\n\n".join(["short one", "short two", "word " * 500]))
    first, second, third = text_rows(file)
    assert first.reply == "short one\n\nshort two"
    assert {len(word) for row in (second, third) for word in row.reply.split()} == {4}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two chat files of 30 and 10 rows and a text of 20 pieces."""
    found = {}
    for name, count in (("big", 30), ("small", 10)):
        rows = (
            {"messages": [{"role": "user", "content": f"{name} {k}?"}, {"role": "assistant", "content": "Yes."}]}
            for k in range(count)
        )
        found[name] = tmp_path / f"{name}.jsonl"
        found[name].write_text("".join(json.dumps(row) + "\n" for row in rows))
    found["text"] = tmp_path / "notes.txt"
    found["text"].write_text("\n\n".join(f"{k} " + "x" * 1000 for k in range(20)))
    return found


def counts(knobs: Replay, total: int, seed: int = 0) -> Counter[str]:
    rows, _ = mixed(knobs, total, seed, Prompts(PROMPTS), Scripted(), Silent())
    return Counter(row.source for row in rows)


def test_sources_are_mixed_by_size_by_temperature_or_by_quality(files: dict[str, Path]) -> None:
    chat = {"base_answers": False, "chat_files": (files["big"], files["small"])}
    assert counts(Replay(**chat), 12) == {"big.jsonl": 9, "small.jsonl": 3}
    assert counts(Replay(**chat, mix="temperature", temperature=1e6), 12) == {"big.jsonl": 6, "small.jsonl": 6}
    quality = {"small.jsonl": 3.0}
    assert counts(Replay(**chat, mix="quality", quality=quality), 12) == {"big.jsonl": 3, "small.jsonl": 9}


def test_plain_text_takes_its_share_beside_the_chat_rows(files: dict[str, Path]) -> None:
    knobs = Replay(chat_files=(files["big"],), text_files=(files["text"],), text_share=0.25)
    assert counts(knobs, 14) == {"base model": 6, "big.jsonl": 4, "notes.txt": 4}
    assert counts(Replay(base_answers=False, text_files=(files["text"],)), 8) == {"notes.txt": 8}


def test_half_of_the_bases_answers_practise_what_fell() -> None:
    practice = tuple(f"What is {k} and {k}?" for k in range(20))
    rows, _ = mixed(Replay(), 8, 0, Prompts(PROMPTS, practice), Scripted(), Silent())
    asked = [row.context[-1].content for row in rows]
    assert (len(asked), sum(prompt in practice for prompt in asked)) == (8, 4)


def test_the_mixture_follows_from_the_seed(files: dict[str, Path]) -> None:
    knobs = Replay(base_answers=False, chat_files=(files["big"],), text_files=(files["text"],))
    first, again, other = (mixed(knobs, 8, seed, Prompts(PROMPTS), Scripted(), Silent())[0] for seed in (1, 1, 2))
    assert first == again
    assert first != other
