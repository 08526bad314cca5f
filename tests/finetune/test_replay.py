from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dreamloop.errors import ConfigError
from dreamloop.finetune.replay import base_answers, from_file
from dreamloop.log import Progress, Silent
from dreamloop.model.load import Adapter
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


def test_no_replay_asks_nothing() -> None:
    engine = Scripted()
    assert base_answers(engine, PROMPTS, 0, 0, Silent()) == ([], [])
    assert engine.adapters == []


def test_a_users_file_is_read_and_its_bad_lines_are_counted(tmp_path: Path) -> None:
    good = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]}
    bad = [{"messages": good["messages"][:1]}, {"messages": "?"}, {"text": "x"}, 7]
    file = tmp_path / "replay.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in (good, *bad)) + "\nbroken\n\n")
    rows, skips = from_file(file, 5, 0)
    assert [row.reply for row in rows] == ["Hello."]
    assert skips[0].count == 5


@pytest.mark.parametrize("content", [None, "", "broken\n"])
def test_a_file_without_a_usable_line_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "replay.jsonl"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="replay file"):
        from_file(file, 5, 0)
