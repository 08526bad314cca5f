from __future__ import annotations

from pathlib import Path

import pytest

from dreamloop.memory import Memory, read_memory, write_memory


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    memory = Memory("2026-11-21T03:30:00+01:00", 2, 1, None, 77, "boot/15", "2026-11-22T03:30:00+01:00", "It failed.")
    write_memory(memory, tmp_path / "daemon.json")
    assert read_memory(tmp_path / "daemon.json") == memory


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"colour": 1}',
        '{"handled": "yesterday"}',
        '{"handled": 7}',
        '{"failures": "many"}',
        '{"handled": "2026-11-21T03:30:00"}',
    ],
)
def test_a_damaged_note_is_a_fresh_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "daemon.json").write_text(text)
    assert read_memory(tmp_path / "daemon.json") == Memory()
