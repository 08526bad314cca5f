"""What every stage of a night needs to know of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dreamloop.config import Config
from dreamloop.ledger.store import Ledger
from dreamloop.log import Progress
from dreamloop.paths import Home
from dreamloop.records import Generation


@dataclass(frozen=True, slots=True)
class Night:
    """What every stage of tonight needs; ``start`` is where the candidate begins, None for a fresh adapter."""

    number: int
    seed: int
    home: Home
    config: Config
    ledger: Ledger
    progress: Progress
    incumbent: Generation | None
    start: Generation | None
    kinds: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    technical_share: float = 0.0
    practised: tuple[str, ...] = ()
    timed: list[float] = field(default_factory=list)

    @property
    def begins_anew(self) -> bool:
        """Whether the nights so far are learned once more, from the base."""
        return self.start != self.incumbent

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage into the ledger, without the stages inside it."""
        started, inside = time.monotonic(), len(self.timed)
        yield
        seconds = time.monotonic() - started - sum(self.timed[inside:])
        self.timed.append(seconds)
        self.ledger.record_stage(self.number, name, seconds)
