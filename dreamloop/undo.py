"""Taking a night back. Needs no model and no torch, so it works when those do not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dreamloop.errors import StateError
from dreamloop.keep import generations
from dreamloop.ledger.store import Ledger
from dreamloop.lock import only_one_night
from dreamloop.paths import Home
from dreamloop.settle import settle


def revert(home: Home, to: int | None, now: Callable[[], datetime]) -> tuple[int | None, int | None]:
    """Point ``current`` at an earlier generation; 0 is the base model, None the one before this.

    Returns:
        (was, is): generation numbers, None for the base model.

    Raises:
        StateError: there is nothing to go back to, or no such generation.
        NightBusy: a night is running.
    """
    home.create()
    with only_one_night(home.lock):
        was = generations.pointed(home)
        target = _one_back(home, was) if to is None else to or None
        try:
            ledger = Ledger(home.ledger)
        except StateError as error:
            generations.point(home, target)
            raise StateError(
                f"Generation {target or 0} serves now (0 is the base), but it was not noted: {error}"
            ) from error
        try:
            settle(ledger, home, now)
            generations.point(home, target)
            ledger.record_pointer(now().isoformat(), target, was, "reverted by hand")
        finally:
            ledger.close()
        return was, target


def _one_back(home: Home, was: int | None) -> int | None:
    if was is None:
        raise StateError("The base model serves already; there is nothing to go back to.")
    parent = generations.parent_of(home, was)
    return parent if parent in generations.all_numbers(home) else None
