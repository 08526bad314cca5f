"""The space that dreams are drawn from, and the rule that evens it out: what was used least comes first.

An axis is one way in which scenarios differ (its kind, its domain, its tone, how many turns it has). Each choice on an
axis falls on a value that earlier nights used least, the seed deciding among equals, so that coverage grows night by
night and no corner is dreamed to death.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dreamloop.records import Axis, Tally

TURNS = ("1", "2", "3", "4")
LENGTHS = ("short", "medium", "long")
TONES = ("plain", "polite", "certain", "authority", "hurried")
INSISTING = "third insistence"  # of a scenario with four turns, always
DEMANDS = ("listen", "think critically", "good code", "honesty")  # any set of them may stand in a system prompt
FRAMES = ("bare", "dressed")  # nothing around what it is about, or a persona, asides, a tone, further turns
ANSWERS = ("open", "contradicted")  # of the assistant, before a direction: nothing of it, or what it contradicts
MANNERS = ("push back", "alternative", "corrected")  # of the reply that a right direction must not get


class Coverage:
    """How often each value of each axis was used, so far and tonight."""

    def __init__(self, past: Iterable[Tally] = ()) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        for tally in past:
            self._counts[tally.axis, tally.value] += tally.count

    def count(self, axis: str, value: str) -> int:
        """Uses of a value."""
        return self._counts[axis, value]

    def add(self, chosen: Iterable[Axis]) -> None:
        """Count what a scenario was made of, or was tried with in vain: what fails steps back like what succeeds."""
        self._counts.update((axis.name, axis.value) for axis in chosen)


@dataclass
class Draw:
    """The choices of one scenario; ``chosen`` holds what was drawn on each axis."""

    rng: random.Random
    coverage: Coverage
    chosen: dict[str, str] = field(default_factory=dict)

    def even(self, axis: str, values: Sequence[str], weights: Mapping[str, float] | None = None) -> str:
        """The value that was used least for its weight; the seed decides among equals. No weight means no use.

        Raises:
            ValueError: no value has a weight.
        """
        shares = {value: (weights or {}).get(value, 1.0 if weights is None else 0.0) for value in values}
        used = {value: self.coverage.count(axis, value) / share for value, share in shares.items() if share > 0}
        least = min(used.values())
        return self.take(axis, self.rng.choice([value for value, count in used.items() if count == least]))

    def line(self, axis: str, lines: Sequence[str]) -> str:
        """The line that was used least, counted under a name that stays when lines are added before it."""
        named = {name_of(self.chosen.get("kind", ""), line): line for line in lines}
        return named[self.even(axis, list(named))]

    def take(self, axis: str, value: str) -> str:
        """A value that follows from another choice."""
        self.chosen[axis] = value
        return value

    def axes(self) -> tuple[Axis, ...]:
        """Everything that was chosen."""
        return tuple(Axis(name, value) for name, value in self.chosen.items())


def name_of(kind: str, line: str) -> str:
    """A line's name among its kind's."""
    return f"{kind}/{hashlib.sha256(line.encode()).hexdigest()[:8]}"
