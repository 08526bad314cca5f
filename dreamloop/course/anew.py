"""What is learned once more from the base, and at which rates: as the nights that were kept had it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from dreamloop.config import Config
from dreamloop.course.kinds import given_up, kept
from dreamloop.records import Dose, PastNight

_LEAST = 0.25  # of their rates, however often that was not kept


@dataclass(frozen=True, slots=True)
class Anew:
    """Factors on the learning rates, which kinds go how much further apart, and which are learned at all. ``refused``
    are the latest nights that tried it and were not kept."""

    rate: float
    caution: float
    pace: float
    further: tuple[str, ...]
    distance: float
    kinds: tuple[str, ...]
    refused: tuple[int, ...]


def anew(past: Sequence[PastNight], config: Config) -> Anew:
    """At the rates of the nights that are learned once more, their means over the pairs that were kept, and each kind
    as far apart as any of them asked; of all kinds but those that are given up by now.

    Smaller than that where it was tried before and not kept: it would learn nearly the same pairs once more.
    """
    nights = [night for night in kept(past) if not night.rebased]
    had = [(night.dose, night.scale) for night in nights if night.dose and night.dose.pairs]
    had = had or [(Dose(1, 1, 1.0, 1.0), 1.0)]  # a ledger from before there were plans
    pairs = sum(dose.pairs * scale for dose, scale in had)

    def mean(factor: Callable[[Dose], float]) -> float:
        return sum(dose.pairs * scale * factor(dose) for dose, scale in had) / pairs

    caution = round(mean(lambda dose: dose.caution), 3)
    rate = round(mean(lambda dose: dose.caution * dose.rate) / caution, 3)
    pace = round(mean(lambda dose: dose.caution * dose.rate * dose.pace) / (caution * rate), 3)
    refused = _refused(past)
    further = tuple(kind for kind in config.night.kinds if any(kind in dose.further for dose, _ in had))
    kinds = tuple(kind for kind in config.night.kinds if kind not in given_up(past, config))
    return Anew(
        rate, round(caution * max(_LEAST, 0.5 ** len(refused)), 3), pace, further,
        max(dose.distance for dose, _ in had), kinds, refused,
    )  # fmt: skip


def _refused(past: Sequence[PastNight]) -> tuple[int, ...]:
    """The nights that learned all once more and were not kept, since the last such night that was."""
    again = [night for night in past if night.rebased and night.outcome in {"kept", "reverted", "inconclusive"}]
    since = list(takewhile(lambda night: night.outcome != "kept", reversed(again)))
    return tuple(night.number for night in reversed(since))
