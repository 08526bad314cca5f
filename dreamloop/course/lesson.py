"""What a night teaches and how: which kinds, around which of them dreams have anything, and which are found by now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dreamloop.config import Config
from dreamloop.course.kinds import Worth, worth_a_night
from dreamloop.course.state import Course
from dreamloop.dream.kinds import TECHNICAL
from dreamloop.records import PastNight, Potential

_TECHNICAL = frozenset().union(*TECHNICAL.values())


@dataclass(frozen=True, slots=True)
class Lesson:
    """What tonight teaches, which of it bare, how much practises, what is found already, and at which pace."""

    kinds: tuple[str, ...]
    why_kinds: str
    bare: tuple[str, ...]
    why_bare: str
    technical_share: float
    why_technical: str
    found: tuple[str, ...] = ()
    pace: float = 1.0


def as_configured(config: Config, why: str) -> Lesson:
    """The lesson of nights that nobody plans."""
    return Lesson(config.night.kinds, why, (), why, config.dream.technical_share, why)


def lesson(past: Sequence[PastNight], potentials: Sequence[Potential], course: Course, config: Config) -> Lesson:
    """Which kinds, and which of them are found: surely told apart, and by more than a base does by itself.

    Until then what is to be learned is searched for, by long steps and with nothing around it. Then it is there, and
    what is missing is that replies are decided right, whatever is around them, for which they have to be further apart
    than the base's own liking for one of them. Where nothing else is searched for, shorter steps were seen to teach as
    much and to shift less. What only practises an ability is not waited for: it may be at chance for good.
    """
    worth = worth_a_night(past, potentials, course, config)
    found = [kind for kind in worth.taught if kind in worth.found]
    pace = config.adapt.found_pace if found and len(found) == len(worth.taught) else 1.0
    searched = [kind for kind in worth.taught if kind not in found]
    bare = tuple(kind for kind in worth.kinds if kind in searched or (kind in worth.practice and not found))
    return Lesson(
        worth.kinds, worth.why, bare, _why_bare(bare, found), *_technical(worth, config),
        tuple(kind for kind in worth.kinds if kind in worth.found), pace,
    )  # fmt: skip


def _why_bare(bare: Sequence[str], found: Sequence[str]) -> str:
    dressed = f"As configured are {', '.join(found)}, which {'are' if len(found) > 1 else 'is'} found." if found else ""
    alone = f"Nothing around {', '.join(bare)} until what is to be learned is found." if bare else ""
    return " ".join(filter(None, (alone, dressed))) or "As configured."


def _technical(worth: Worth, config: Config) -> tuple[float, str]:
    """The share of technical dreams, and why: what was configured is meant for nights of all kinds.

    Seen: beside two kinds without any, sums that practised an ability took 60 of a night's 100 twins.
    """
    if not worth.practice or _TECHNICAL.intersection(worth.taught):
        return config.dream.technical_share, "As configured."
    rise = round(config.adapt.replay_most - config.night.replay_share, 3)
    if not 0 < rise < config.dream.technical_share:
        return config.dream.technical_share, "As configured."
    return rise, "As much as replay rises by, half as much again while it falls: what practises comes beside the rest."
