"""What the nights so far add up to, and what a level of the dose means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dreamloop.config import Adapt, Config
from dreamloop.dream.kinds import UNPROVEN
from dreamloop.records import Change

LONGEST = 8  # times the nights that anything asks for at most: a gate is sometimes wrong, too


class Seen(NamedTuple):
    """What a night's whole step changed, its optimizer steps, the kinds that it taught, and how much was kept."""

    learned: Change
    steps: int
    kinds: tuple[str, ...]
    scale: float


@dataclass(frozen=True, slots=True)
class Course:
    """Where the nights so far have led.

    ``level`` counts the steps up; ``proven`` says that a night of the present level was kept. ``ceiling`` is a level
    that was reverted before any night of it was kept, ``refused`` how often it was.
    ``caution`` is the factor on the learning rates: a smaller step is a shorter one, because one of fewer pairs points
    anywhere (one of four moved the weights half as far as one of twenty, and tonight's own replies by 0.3 nats per
    token one way). ``since`` are the nights kept since steps were made smaller or larger for what nights did (that
    other kinds begin small is no such change), ``setbacks`` how often they had to be made smaller and that was not
    forgotten yet. ``window`` are the latest nights that were kept, all of the present size. ``reverted`` are the nights
    reverted in a row, ``clean`` the number kept in a row without a fall.
    ``fell`` are the measures that fell, for as long as that brings more replay. ``weaker`` is the side that lags behind
    in what serves, empty where they keep together, ``tipped`` the one that would have by a step that was not kept since
    the last that was. ``kinds`` are those that were taught last. ``resting`` are those of which no dose that is kept
    just now teaches any more, ``exhausted`` those of which none does.
    ``spent`` says which budget since the base is spent, ``useless`` counts the nights in a row that began at the base
    again and freed nothing of it, None before the first, and ``judged`` the nights judged since the latest.
    """

    level: int
    proven: bool
    ceiling: int | None
    refused: int
    caution: float
    since: int
    setbacks: int
    replay: float
    window: tuple[Seen, ...]
    reverted: tuple[int, ...]
    clean: int
    fell: tuple[str, ...]
    weaker: str
    tipped: str
    kinds: tuple[str, ...]
    resting: tuple[str, ...]
    exhausted: tuple[str, ...]
    why_dose: str
    why_caution: str
    why_replay: str
    why_sides: str
    spent: str
    useless: int | None
    judged: int


def beginning(config: Config) -> Course:
    """Before the first night: as configured."""
    return Course(
        level=0, proven=True, ceiling=None, refused=0, caution=1.0, since=0, setbacks=0,
        replay=config.night.replay_share, window=(), reverted=(), clean=0, fell=(), weaker="", tipped="",
        kinds=(), resting=(),
        exhausted=(), spent="",
        useless=None, judged=0,
        why_dose="Small doses first: ten examples can already break a disposition.",
        why_caution="No night was too much.", why_replay="As configured; nothing fell.",
        why_sides="Both sides keep together.",
    )  # fmt: skip


def rate_of(level: int, knobs: Adapt) -> float:
    """The factor on DPO's configured learning rate."""
    return float(min(knobs.rate_growth**level, knobs.rate_most))


def doses(config: Config) -> list[int]:
    """Pairs of a night by level, the configured ones first."""
    usual = config.night.behavioural
    return [usual, *(larger for larger in config.adapt.larger if larger > usual)]


def pairs_of_level(level: int, config: Config) -> int:
    """Pairs of a night; the largest dose on all levels above."""
    sizes = doses(config)
    return sizes[min(level, len(sizes) - 1)]


def times_as_long(times: int) -> int:
    """How many times as long is waited after something has happened so often: twice as long with every further time."""
    return min(1 << max(0, times - 1), LONGEST)


def provable(kinds: Sequence[str]) -> tuple[str, ...]:
    """Those of which fresh scenarios can say what a night taught."""
    return tuple(kind for kind in kinds if kind not in UNPROVEN)


def noise_of(changes: Sequence[Change]) -> float:
    """The half-width of several changes' sum: √Σh², each one's own being h."""
    return math.hypot(*((change.high - change.low) / 2 for change in changes))
