"""What a running night says: structured log lines, and progress with a rate and the time left.

On a terminal people see progress bars; anywhere else every event is one JSON line on stderr, so
that journald and pipes get the same facts. Conversation text never goes through here.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import structlog

Advance = Callable[[int], None]


class Progress(Protocol):
    """Something that shows how far a long piece of work has come."""

    def track(self, what: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """Show ``what`` until the block ends; call the given function with the units done."""
        ...


class Silent:
    """Progress for library use: shows nothing."""

    @contextmanager
    def track(self, what: str, total: int, unit: str) -> Iterator[Advance]:
        """Do nothing, correctly."""
        yield lambda done: None


class Bars:
    """Progress bars on a terminal: what, how far, how fast, how long still."""

    @contextmanager
    def track(self, what: str, total: int, unit: str) -> Iterator[Advance]:
        """Draw one bar that disappears when the block ends."""
        from rich.console import Console  # noqa: PLC0415 - rich stays out of runs without a terminal
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn  # noqa: PLC0415

        rate = TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}  {task.fields[rate]}")
        columns = (TextColumn("  {task.description:<34}"), BarColumn(24), rate, TimeElapsedColumn(),
                   TextColumn("left"), TimeRemainingColumn())  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(what, total=total, unit=unit, rate="")
            start, done = time.monotonic(), 0

            def advance(units: int) -> None:
                nonlocal done
                done += units
                speed = done / max(time.monotonic() - start, 1e-6)
                bars.update(task, advance=units, rate=f"{speed:,.1f} {unit}/s")

            yield advance


class Lines:
    """Progress off a terminal: a JSON log line at the start, every ten seconds, and at the end."""

    def __init__(self, every_s: float = 10.0) -> None:
        self.every_s = every_s

    @contextmanager
    def track(self, what: str, total: int, unit: str) -> Iterator[Advance]:
        """Log the work's start, its pace and its end."""
        log = structlog.get_logger()
        start = last = time.monotonic()
        done = 0

        def advance(units: int) -> None:
            nonlocal done, last
            done += units
            now = time.monotonic()
            if now - last >= self.every_s:
                last = now
                left = (total - done) * (now - start) / max(done, 1)
                log.info("progress", what=what, done=done, total=total, unit=unit, left_s=round(left))

        yield advance
        log.info("done", what=what, done=done, unit=unit, seconds=round(time.monotonic() - start, 1))


def setup(verbose: bool = False) -> Progress:
    """Configure structlog for this process and choose the progress that fits stderr."""
    interactive = sys.stderr.isatty()
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=True) if interactive else structlog.processors.JSONRenderer(),
    ]
    level = logging.DEBUG if verbose else logging.WARNING if interactive else logging.INFO
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    # PEFT imports bitsandbytes wherever it is installed, and that warns of kernels nobody here asks for.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    return Bars() if interactive else Lines()
