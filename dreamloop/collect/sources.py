"""Log files, read gently: only what is new, only complete lines, and never more than fits in memory.

A JSONL log is followed by byte offset like ``tail``; a digest of the bytes before the offset notices a
file that was rewritten. Other files are read whole, once per content. Every line or file that cannot
be used is counted with its reason.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from dreamloop.errors import ConfigError
from dreamloop.records import Cursor

MAX_LINE_BYTES = 16 * 2**20
MAX_FILE_BYTES = 512 * 2**20
_TAIL_BYTES = 4096
_LONGEST_NAME = 255  # bytes
SUFFIXES = (".jsonl", ".json")


@dataclass(slots=True)
class LogFile:
    """One log file's new JSON values, and, after reading, how far it was read and what was skipped."""

    path: Path
    before: Cursor | None
    cursor: Cursor | None = None
    skips: Counter[str] = field(default_factory=Counter)

    @property
    def start(self) -> int:
        """The byte at which tonight's reading begins."""
        return self.before.offset if self.before else 0

    def values(self) -> Iterator[Any]:
        """Every new JSON value: each line of a JSONL file, or each element of a JSON array.

        Problems are counted in ``skips``; none of them raises.
        """
        try:
            with self.path.open("rb") as file:
                if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                    self.skips["file is UTF-16; save it as UTF-8"] += 1
                    return
                if self.before and not _unchanged(file, self.before):
                    self.before = None
                yield from self._whole(file) if self.path.suffix == ".json" else self._lines(file)
        except OSError as error:
            self.skips[f"file cannot be read: {error.strerror}"] += 1

    def _lines(self, file: BinaryIO) -> Iterator[Any]:
        file.seek(self.start)
        offset = self.start
        while line := file.readline(MAX_LINE_BYTES):
            size = len(line)
            if not line.endswith(b"\n") and size == MAX_LINE_BYTES:
                size += _rest_of_line(file)
                self.skips[f"line longer than {MAX_LINE_BYTES >> 20} MB"] += 1
            elif not line.endswith(b"\n") and not _is_json(line):
                break  # still being written: left for the next night
            else:
                yield from self._parsed(line)
            offset += size
            self.cursor = _cursor(file, self.path, offset)
            file.seek(offset)
        if self.cursor is None:
            self.cursor = _cursor(file, self.path, offset)

    def _whole(self, file: BinaryIO) -> Iterator[Any]:
        size = file.seek(0, 2)
        if size > MAX_FILE_BYTES:
            self.skips[f"file larger than {MAX_FILE_BYTES >> 20} MB; export it as JSONL"] += 1
            return
        self.cursor = _cursor(file, self.path, size)
        if self.before and self.before.offset == size:
            return
        self.before = None
        file.seek(0)
        raw = file.read()
        if _is_json(raw.removeprefix(b"\xef\xbb\xbf")):
            for value in self._parsed(raw):
                yield from value if isinstance(value, list) else [value]
        else:  # JSON Lines under another name
            for line in raw.splitlines():
                yield from self._parsed(line)

    def _parsed(self, raw: bytes) -> Iterator[Any]:
        if not raw.strip():
            return
        try:
            yield json.loads(raw.decode("utf-8-sig"))
        except UnicodeDecodeError:
            self.skips["not UTF-8"] += 1
        except (ValueError, RecursionError):
            self.skips["not JSON"] += 1


def path_key(path: Path) -> str:
    """The path as text that SQLite and JSON can hold, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def find_files(sources: list[Path]) -> list[Path]:
    """All log files under the given files and folders, sorted, each once.

    Raises:
        ConfigError: a source does not exist; a vanished log is a mistake to tell, not to skip.
    """
    found: set[Path] = set()
    for source in sources:
        if len(source.name.encode(errors="surrogateescape")) > _LONGEST_NAME:
            raise ConfigError(f"The source {str(source)[:80]}… has a name that no file can have.")
        if source.is_dir():
            found |= {path for path in source.rglob("*") if path.suffix in SUFFIXES and path.is_file()}
        elif source.is_file():
            found.add(source)
        else:
            raise ConfigError(f"The source {source} does not exist; check 'sources' in dreamloop.toml.")
    return sorted({path.resolve() for path in found})


def _cursor(file: BinaryIO, path: Path, offset: int) -> Cursor:
    return Cursor(path_key(path), offset, _tail_digest(file, offset))


def _tail_digest(file: BinaryIO, offset: int) -> str:
    start = max(0, offset - _TAIL_BYTES)
    file.seek(start)
    return hashlib.sha256(file.read(offset - start)).hexdigest()


def _unchanged(file: BinaryIO, before: Cursor) -> bool:
    return file.seek(0, 2) >= before.offset and _tail_digest(file, before.offset) == before.tail_digest


def _rest_of_line(file: BinaryIO) -> int:
    passed = 0
    while piece := file.readline(MAX_LINE_BYTES):
        passed += len(piece)
        if piece.endswith(b"\n"):
            break
    return passed


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True
