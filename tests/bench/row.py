"""Dreamloop's own nights in a row, as people run them."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from dreamloop.config import Config, Dream, Night, Replay
from dreamloop.cycle import run_night
from dreamloop.ledger.store import Ledger
from dreamloop.log import setup
from dreamloop.paths import Home, default_home

Ended = tuple[int, int | None]  # a night's number, and the generation that served after it
_ENDED = "SELECT night, generation FROM endings WHERE outcome NOT IN ('failed', 'interrupted') ORDER BY night"


def config_of(pool: Path, logs: Path, seed: int) -> Config:
    """The defaults, in float32 like all contestants.

    General rows come from one pool of the base's own answers, and the grammar says all dreams by itself: of what the
    bundled model writes for them next to nothing passes (5 texts in 300 dreams), and a night's writing takes as long
    as its training. So no night asks for general answers of its own: not where an ability fell either, which a default
    installation does.
    """
    return Config(
        sources=(logs,), seed=seed, night=Night(rewrites=0), dream=Dream(reworded_share=0, sampled_share=0),
        replay=Replay(base_answers=False, chat_files=(pool,)),
    )  # fmt: skip


def live(home: Home, config: Config, nights: int) -> None:
    """Whole nights until so many came to an end."""
    home.create()
    if not home.models.is_symlink():
        shared = Home(default_home())
        shared.create()
        home.models.rmdir()
        home.models.symlink_to(shared.models)
    while len(ended_nights(home)) < nights:
        run_night(home, config, setup(), lambda: datetime.now(UTC))


def ended_nights(home: Home) -> list[Ended]:
    """The nights that came to an end."""
    with closing(Ledger(home.ledger)) as ledger:
        return [(number, serving) for number, serving in ledger.db.execute(_ENDED).fetchall()]


def served_by(home: Home, night: int) -> Path | None:
    """The adapter that served after a night; None is the base."""
    _, serving = ended_nights(home)[night - 1]
    return home.generations / f"{serving:06d}" if serving else None
