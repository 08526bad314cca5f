"""What the daemon remembers over a restart, in one small file that `status` reads too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from dreamloop.errors import StateError


@dataclass(frozen=True, slots=True)
class Memory:
    """What the daemon remembers over a restart; times are ISO 8601.

    Attributes:
        handled: the scheduled time that the latest night ran for.
        failures: nights in a row that failed. tries: how often the latest was tried again.
        retry_at: when to try again, None for the next regular time.
        running: process group of the night under way, so that a crash of the daemon leaves no stray.
        began: when that group's leader was born, as ``processes.birth`` says it.
        next_at: when the next night is due. said: how the last one ended, in a sentence.
    """

    handled: str | None = None
    failures: int = 0
    tries: int = 0
    retry_at: str | None = None
    running: int | None = None
    began: str = ""
    next_at: str | None = None
    said: str = ""


def read_memory(path: Path) -> Memory:
    """What the last daemon wrote; a missing or damaged note is a fresh start."""
    try:
        memory = _NOTE.validate_json(path.read_bytes())
        if any(datetime.fromisoformat(time).tzinfo is None for time in _times(memory)):
            return Memory()
    except (OSError, ValueError):
        return Memory()
    return memory


def _times(memory: Memory) -> list[str]:
    return [time for time in (memory.handled, memory.retry_at, memory.next_at) if time is not None]


def write_memory(memory: Memory, path: Path) -> None:
    """Replace the note in one rename.

    Raises:
        StateError: the disk is full or not writable.
    """
    scratch = path.with_name(f".{path.name}")
    try:
        scratch.write_text(json.dumps(asdict(memory), indent=1) + "\n", encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise StateError(f"{path} cannot be written ({error.strerror}); free some disk space.") from error


_NOTE = TypeAdapter(Memory)
