"""What became of a night that did not end by itself: asked of the disk, never guessed.

Used when a night fails or is interrupted, and at the next start after a kill. If ``current`` already names
the night's generation, the night was kept, whatever happened after; otherwise nothing changed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dreamloop.errors import DreamloopError
from dreamloop.keep import generations
from dreamloop.ledger.store import Ledger
from dreamloop.paths import Home


def settle(ledger: Ledger, home: Home, now: Callable[[], datetime], error: BaseException | None = None) -> None:
    """End every open night by what is on disk, and clear candidates that nobody will judge.

    Args:
        ledger: the open ledger. home: whose disk to look at. now: the clock.
        error: what stopped the night that runs in this process; None after a kill.
    """
    serving = generations.pointed(home)
    for number in ledger.unfinished():
        if serving == number:
            if not ledger.knows_generation(number):
                ledger.record_pointer(
                    now().isoformat(), number, generations.parent_of(home, number), "kept; noted late"
                )
            ledger.end(number, now().isoformat(), "kept", "Kept; the night stopped before it could say so.", number)
        else:
            if not ledger.knows_generation(number):
                generations.remove(home, number)  # kept by the gate, but killed before it could serve
            ledger.end(number, now().isoformat(), *_ending(error), serving)
    for folder in home.candidates.iterdir():
        generations.discard(folder)


def _ending(error: BaseException | None) -> tuple[str, str]:
    if error is None:
        return "interrupted", "The process ended in the middle."
    if isinstance(error, DreamloopError):
        return "failed", str(error)
    if isinstance(error, Exception):
        # A bug's own text may quote conversations, so only its type is kept.
        return "failed", f"A bug: {type(error).__name__}; please report it."
    return "interrupted", "Stopped by a signal."
