"""What the gate measured, and what it said to that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["keep", "revert", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One item's numbers for each policy.

    ``channel`` says what was asked of it, ``cluster`` is what is resampled together: a document or a template.
    """

    channel: str
    item: str
    cluster: str
    base: float
    incumbent: float
    candidate: float


@dataclass(frozen=True, slots=True)
class Change:
    """A difference with its interval, in the good direction (positive = better); at most ``margin`` may be lost."""

    change: float
    low: float
    high: float
    margin: float

    @staticmethod
    def known(change: float, margin: float) -> Change:
        """One that is not estimated, whose interval is a point."""
        return Change(change, change, change, margin)

    @property
    def holds(self) -> bool:
        """The whole interval lies within the margin."""
        return self.low >= -self.margin

    @property
    def worse(self) -> bool:
        """The whole interval lies beyond the margin."""
        return self.high < -self.margin


@dataclass(frozen=True, slots=True)
class Measure:
    """A number for base, incumbent and candidate, and what the candidate changes against each of the others.

    ``tonight`` is against the incumbent, ``since_base`` what all nights together have changed. A ``census`` asks all
    items there are, so its change is known and not estimated, and its interval is a point. What is ``informative``
    is for people to read; it neither keeps nor reverts.
    """

    name: str
    unit: str
    base: float
    incumbent: float
    candidate: float
    tonight: Change
    since_base: Change
    items: int
    clusters: int
    census: bool = False
    informative: bool = False

    @property
    def holds(self) -> bool:
        """Tonight's change and that since the base lie within their margins."""
        return self.tonight.holds and self.since_base.holds


@dataclass(frozen=True, slots=True)
class Verdict:
    """Keep, revert, or inconclusive (which also reverts), with reasons a person can act on."""

    outcome: Outcome
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One judgement of tonight's candidate. ``scale`` is the share of the step it was judged with, 1 at first."""

    attempt: int
    scale: float
    suite: str
    measures: tuple[Measure, ...]
    evidence: tuple[Evidence, ...]
    verdict: Verdict
