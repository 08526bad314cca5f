"""What a night teaches and how: which kinds, around which of them dreams have anything, and which are found by now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dreamloop.config import Config
from dreamloop.course.kinds import Worth, kept, worth_a_night
from dreamloop.course.state import Course
from dreamloop.dream.kinds import TECHNICAL
from dreamloop.records import PastNight, Potential

_TECHNICAL = frozenset().union(*TECHNICAL.values())


@dataclass(frozen=True, slots=True)
class Lesson:
    """What tonight teaches, which of it bare, how much practises, at which pace, and what is to go further apart."""

    kinds: tuple[str, ...]
    why_kinds: str
    bare: tuple[str, ...]
    why_bare: str
    technical_share: float
    why_technical: str
    why_further: str
    further: tuple[str, ...] = ()
    pace: float = 1.0


def as_configured(config: Config, why: str) -> Lesson:
    """The lesson of nights that nobody plans."""
    return Lesson(config.night.kinds, why, (), why, config.dream.technical_share, why, why)


def lesson(past: Sequence[PastNight], potentials: Sequence[Potential], course: Course, config: Config) -> Lesson:
    """Which kinds, and which of them are found: surely told apart, and by more than a base does by itself.

    Until then what is to be learned is searched for, by long steps and with nothing around it. Then it is there, and
    what is missing is that replies are decided right, whatever is around them, for which they have to be further apart
    than the base's own liking for one of them. Where nothing else is searched for, shorter steps were seen to teach as
    much and to shift less. What only practises an ability is not waited for: it may be at chance for good. Nor is what
    nothing can prove.
    """
    worth = worth_a_night(past, potentials, course, config)
    found = [kind for kind in worth.taught if kind in worth.found]
    searched = [kind for kind in worth.taught if kind not in found]
    bare = tuple(kind for kind in worth.kinds if kind in searched or (kind not in worth.taught and not found))
    return Lesson(
        worth.kinds, worth.why, bare, _why_bare(bare, found), *_technical(worth, config),
        *_further(worth, past, searched, config), config.adapt.found_pace if found and not searched else 1.0,
    )  # fmt: skip


def _further(
    worth: Worth, past: Sequence[PastNight], searched: Sequence[str], config: Config
) -> tuple[str, tuple[str, ...]]:
    """Why, and which kinds are to go further apart: those that are found, once nothing is searched for beside them.

    What a night shifts elsewhere grows with the distance that it goes. Seen: a step that searched for two kinds and
    took two that were found twice as far took 0.07 nats per token from the gate's accept margins, without that distance
    0.03, and taught the two new ones nearly as much. What went further already stays: asked for less, 'ipo' would pull
    it back.
    """
    far = f"{config.adapt.found_gain:g} nats per token further apart than by the base"
    found = tuple(kind for kind in worth.kinds if kind in worth.found)
    if not found:
        return f"As configured, until fresh twins of a kind are surely {far}.", ()
    if not searched:
        return f"Fresh twins are {far}; to be decided right they have to outgrow its own liking for a reply.", found
    doses = [night.dose for night in kept(past) if night.dose and night.dose.distance > 1]
    went = tuple(kind for kind in found if any(kind in dose.further for dose in doses))
    waiting = [kind for kind in found if kind not in went]
    return " ".join(["What went further stays so."] * bool(went) + [_why_wait(waiting, searched)] * bool(waiting)), went


def _why_wait(waiting: Sequence[str], searched: Sequence[str]) -> str:
    wait, are = "waits" if len(waiting) == 1 else "wait", "is" if len(searched) == 1 else "are"
    until = f"{', '.join(waiting)} {wait} until {', '.join(searched)} {are} found, too"
    return f"{until}: both at once shift much where nothing is taught."


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
