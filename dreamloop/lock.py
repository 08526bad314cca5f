"""One night at a time: a lock that the kernel gives back whatever happens to its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dreamloop.errors import NightBusy


@contextmanager
def only_one_night(path: Path) -> Iterator[None]:
    """Hold the lock file for the block; a file left by a dead process is no obstacle.

    Raises:
        NightBusy: another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise NightBusy(
                f"Another night is running (process {holder} holds {path}); wait for it, or look at 'dreamloop status'."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
