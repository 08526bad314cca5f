from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dreamloop.collect import sources
from dreamloop.collect.sources import LogFile, find_files
from dreamloop.errors import ConfigError
from dreamloop.records import Cursor


def read(path: Path, before: Cursor | None = None) -> tuple[list[object], LogFile]:
    log = LogFile(path, before)
    return list(log.values()), log


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    values, log = read(path)
    assert values == [{"a": 1}, {"a": 2}]
    with path.open("a") as file:
        file.write('{"a": 3}\n')
    values, log = read(path, log.cursor)
    assert values == [{"a": 3}]
    assert read(path, log.cursor)[0] == []


def test_a_line_that_is_still_being_written_waits_for_the_next_night(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"a": ')
    values, log = read(path)
    assert values == [{"a": 1}]
    with path.open("a") as file:
        file.write("2}\n")
    assert read(path, log.cursor)[0] == [{"a": 2}]


def test_a_complete_last_line_without_a_line_break_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}')
    values, log = read(path)
    assert values == [{"a": 1}]
    with path.open("a") as file:
        file.write('\n{"a": 2}\n')
    assert read(path, log.cursor)[0] == [{"a": 2}]


def test_a_rewritten_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    _, log = read(path)
    path.write_text('{"b": 1}\n{"b": 2}\n{"b": 3}\n')
    values, again = read(path, log.cursor)
    assert len(values) == 3
    assert again.start == 0


def test_a_shorter_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    _, log = read(path)
    path.write_text('{"a": 9}\n')
    assert read(path, log.cursor)[0] == [{"a": 9}]


def test_broken_lines_and_wrong_encodings_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a": 1}\nnot json\n{"a": "\xff\xfe"}\n\n{"a": 2}\n' + b"[" * 100_000 + b"\n" + b'{"a": 3}\n')
    values, log = read(path)
    assert values == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert log.skips == {"not JSON": 2, "not UTF-8": 1}


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n')
    assert read(path)[0] == [{"a": 1}]


def test_utf_16_is_named_with_its_mend(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text('[{"a": 1}]', encoding="utf-16")
    values, log = read(path)
    assert values == []
    assert log.skips == {"file is UTF-16; save it as UTF-8": 1}


def test_a_50_mb_line_is_skipped_and_what_follows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with path.open("wb") as file:
        file.write(b'{"a": 1}\n{"a": "')
        for _ in range(50):
            file.write(b"x" * 2**20)
        file.write(b'"}\n{"a": 2}\n')
    values, log = read(path)
    assert values == [{"a": 1}, {"a": 2}]
    assert log.skips == {"line longer than 16 MB": 1}
    assert log.cursor is not None
    assert log.cursor.offset == path.stat().st_size


def test_an_empty_log_gives_nothing_and_no_complaint(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.json"):
        (tmp_path / name).touch()
        values, log = read(tmp_path / name)
        assert values == []
        assert not log.skips


def test_a_log_that_vanishes_while_reading_is_counted(tmp_path: Path) -> None:
    values, log = read(tmp_path / "gone.jsonl")
    assert values == []
    assert log.skips == {"file cannot be read: No such file or directory": 1}


def test_an_array_is_read_whole_and_again_only_when_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{"a": 1}, {"a": 2}]))
    values, log = read(path)
    assert len(values) == 2
    assert read(path, log.cursor)[0] == []
    path.write_text(json.dumps([{"a": 1}, {"a": 2}, {"a": 3}]))
    assert len(read(path, log.cursor)[0]) == 3


def test_a_file_over_the_limit_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 4)
    path = tmp_path / "export.json"
    path.write_text("[1, 2, 3]")
    values, log = read(path)
    assert values == []
    assert len(log.skips) == 1


def test_folders_are_searched_and_a_missing_source_is_named(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.jsonl", "deep/a.json", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in find_files([tmp_path, tmp_path / "b.jsonl"])] == ["b.jsonl", "a.json"]
    with pytest.raises(ConfigError, match="no-such-log"):
        find_files([tmp_path / "no-such-log"])


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
def test_wild_bytes_never_raise_and_are_read_once(tmp_path: Path, wild: bytes) -> None:
    path = tmp_path / "wild.jsonl"
    path.write_bytes(wild + b"\n")
    _, log = read(path)
    assert read(path, log.cursor)[0] == []
