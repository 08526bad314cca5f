"""One night and one daemon at a time: locks that the kernel gives back whatever happens to their holders."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dreamloop.errors import NightBusy, StateError

_TRIES, _PAUSE = 4, 0.05  # seconds; outlasts a reader that asks whether the lock is held


@contextmanager
def only_one_night(path: Path) -> Iterator[None]:
    """Hold the lock file for the block; a file left by a dead process is no obstacle.

    Raises:
        NightBusy: another process holds it.
        StateError: the lock file cannot be opened.
    """
    with _only_one("night", path):
        yield


@contextmanager
def only_one_daemon(path: Path) -> Iterator[None]:
    """The same for the daemon of a home."""
    with _only_one("daemon", path):
        yield


@contextmanager
def _only_one(what: str, path: Path) -> Iterator[None]:
    descriptor = _opened(path)
    try:
        if not _taken(descriptor):
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise NightBusy(
                f"Another {what} is running (process {holder} holds {path}); "
                "wait for it, or look at 'dreamloop status'."
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether somebody runs now. The file's text may be that of a dead process; the lock never is."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(
            f"The lock {path} cannot be opened ({error.strerror}); give this user write access to its folder."
        ) from error


def _taken(descriptor: int) -> bool:
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        else:
            return True
    return False
