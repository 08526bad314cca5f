"""What the logs gave: exchanges, pairs, corrections, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dreamloop.records.conversation import Context, digest_of, flatten

Strength = Literal["strong", "medium", "weak"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One assistant reply in a log.

    ``rank`` is its place among siblings where people ranked them (0 best), ``original`` what the model
    wrote where a person edited the reply and the log kept both.
    """

    text: str
    rank: int | None = None
    original: str | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A context that ends with a user turn, every reply it got, and the user turn that followed.

    ``followed`` is what the user said to the first answer; None where the conversation ends there.
    """

    conversation: str
    turn: int
    context: Context
    answers: tuple[Answer, ...]
    followed: str | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a pair comes from: enough to find the line in the log again."""

    source: str
    conversation: str
    turn: int
    signal: str
    strength: Strength


@dataclass(frozen=True, slots=True)
class Pair:
    """A context, the reply the model should give, and the one it should not.

    ``twin`` names the other side: pairs that share a twin always travel into one optimizer step.
    """

    context: Context
    chosen: str
    rejected: str
    provenance: Provenance
    twin: str | None = None

    @property
    def digest(self) -> str:
        return digest_of(flatten(self.context), self.chosen, self.rejected)

    def texts(self) -> tuple[str, ...]:
        """Every message and both replies."""
        return (*(message.content for message in self.context), self.chosen, self.rejected)


@dataclass(frozen=True, slots=True)
class Correction:
    """A reply that its user corrected in words; the chosen side is still to be written."""

    context: Context
    rejected: str
    correction: str
    provenance: Provenance

    @property
    def digest(self) -> str:
        return digest_of(flatten(self.context), self.rejected, self.correction)


@dataclass(frozen=True, slots=True)
class Skip:
    """Something left out, why, and how often. Nothing is dropped without one of these."""

    stage: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a log was read: the byte to go on from and a digest of the bytes just before it.

    A file whose bytes before ``offset`` no longer have this digest was rewritten and is read anew.
    """

    path: str
    offset: int
    tail_digest: str


@dataclass(frozen=True, slots=True)
class SourceRead:
    """One log file read tonight. ``cursor`` is None where the file could not be read at all."""

    path: str
    format: str
    start: int
    conversations: int
    exchanges: int
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class Collected:
    """What the day's logs gave."""

    pairs: tuple[Pair, ...]
    corrections: tuple[Correction, ...]
    reads: tuple[SourceRead, ...]
    skips: tuple[Skip, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The attempt to write the chosen side of one correction; ``pair`` is None where it failed."""

    correction: str
    outcome: str
    pair: Pair | None
