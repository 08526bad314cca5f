"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome.

    Attributes:
        check: what was looked at, in a word. said: what was found, in a sentence.
        level: 'good'; 'note', nights work but somebody should know; 'fault', the next night would fail.
        mend: what to do about it; None where there is nothing to do.
    """

    check: str
    level: Literal["good", "note", "fault"]
    said: str
    mend: str | None = None


def good(check: str, said: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "good", said)


def note(check: str, said: str, mend: str) -> Finding:
    """Nights work, but somebody should know."""
    return Finding(check, "note", said, mend)


def fault(check: str, said: str, mend: str) -> Finding:
    """The next night would fail."""
    return Finding(check, "fault", said, mend)


def fault_of(check: str, error: Exception) -> Finding:
    """A fault whose sentence says what is wrong and, behind the semicolon, the way out."""
    said, mends, mend = str(error).rpartition("; ")
    return Finding(check, "fault", f"{said}.", mend[:1].upper() + mend[1:]) if mends else Finding(check, "fault", mend)
