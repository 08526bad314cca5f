"""A sampler that says what it is told to: the engine of tests that are about what is made of its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dreamloop.log import Progress
from dreamloop.model.policy import Adapter
from dreamloop.model.sampler import Request
from dreamloop.records import Reply


class Scripted:
    """Answers every request by a function and remembers what was asked, batch by batch."""

    def __init__(self, answer: Callable[[Request], str], finish: str = "stop") -> None:
        self.answer, self.finish = answer, finish
        self.batches: list[list[Request]] = []

    def sample(
        self, requests: Sequence[Request], adapter: Adapter | None, seed: int, progress: Progress, what: str
    ) -> list[Reply]:
        """One scripted reply per request."""
        self.batches.append(list(requests))
        return [Reply(self.answer(r), "stop" if self.finish == "stop" else "length", 5) for r in requests]
