"""Nights as the ledger tells of them, made up for the tests of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dreamloop.config import Config
from dreamloop.records import Change, Dose, KindShown, Measure, PastNight, Plan, Potential, Standing

CONFIG = Config()
KINDS = CONFIG.night.kinds
BARE = Standing()


def measure(name: str, change: float = 0.0, half: float = 0.005, since: float = 0.0, at: float = 0.0,
            base: float | None = None, margin: float = 0.02) -> Measure:  # fmt: skip
    tonight = Change(change, change - half, change + half, margin)
    since_base = Change(since, since - half, since + half, 2 * margin)
    return Measure(name, "", at if base is None else base, at, at + change, tonight, since_base, 100, 20)


def night(
    number: int, outcome: str = "kept", learned: float = 0.0, steps: int = 8, scale: float = 1.0,
    more: Sequence[Measure] = (), shown: Sequence[KindShown] = (), looked_at: bool = False, shown_worse: bool = False,
    dose: Dose | None = None,
) -> PastNight:  # fmt: skip
    measures = (measure("lessons.discrimination", learned), *more)
    return PastNight(
        number, outcome, steps, scale, measures, tuple(shown), looked_at, shown_worse=shown_worse, dose=dose
    )


def nights(count: int, **facts: float) -> list[PastNight]:
    return [night(number, **facts) for number in range(1, count + 1)]  # type: ignore[arg-type]


def why(tonight: Plan, knob: str) -> str:
    return next(choice.why for choice in tonight.choices if choice.knob == knob)


def shown(
    candidate: int, twins: int = 4, taught: int = 3, kind: str = "dates", decided: int | None = None,
    gained: float = 0.0, spread: float = 0.0,
) -> list[KindShown]:  # fmt: skip
    """A kind's fresh twins; of those told apart beyond chance all draw the right replies, unless told otherwise.

    ``gained`` is by how much further apart they are than by the base, each by ``spread`` more or less.
    """
    usual = max(0, 2 * candidate - twins)
    decided = usual if decided is None else decided
    return [KindShown(kind, twins, 2, candidate, decided, taught, gained * twins, (gained**2 + spread**2) * twins)]


def asked(kind: str, plain: int, shown: int, known: int = 0, twins: int = 20) -> Potential:
    return Potential(kind, twins, plain, shown, known)


def drifted(spent: float, number: int = 1, outcome: str = "kept", rebased: bool = False) -> PastNight:
    """A night by which prose has lost this share of what it may lose since the base."""
    since = Change(-spent * 0.02, -spent * 0.02 - 0.001, -spent * 0.02 + 0.001, 0.02)
    lost = replace(measure("perplexity.prose", 0.0, 0.004), since_base=since)
    return replace(night(number, outcome, learned=0.03, more=[lost]), rebased=rebased)
