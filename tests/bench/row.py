"""Dreamloop's own nights in a row, as people run them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from dreamloop.config import Config, Dream, Night, Replay
from dreamloop.cycle import run_night
from dreamloop.keep import generations
from dreamloop.ledger.store import Ledger
from dreamloop.lock import only_one_night
from dreamloop.log import setup
from dreamloop.paths import Home, default_home
from dreamloop.settle import settle

Ended = tuple[int, int | None]  # a night's number, and the generation that served after it


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
    """Whole nights until there are so many; the number of each that came to an end is noted, and what then served."""
    home.create()
    if not home.models.is_symlink():
        shared = Home(default_home())
        shared.create()
        home.models.rmdir()
        home.models.symlink_to(shared.models)
    ended = ended_nights(home)
    for number in unnoted(home, ended):
        _note(home, ended, number)
    while len(ended) < nights:
        _note(home, ended, run_night(home, config, setup(), lambda: datetime.now(UTC)))


def unnoted(home: Home, ended: Sequence[Ended]) -> list[int]:
    """A night that came to its end and was not noted, because just then somebody stopped the benchmark."""
    with only_one_night(home.lock), closing(Ledger(home.ledger)) as ledger:
        settle(ledger, home, lambda: datetime.now(UTC))
        nights = ledger.db.execute(
            "SELECT night FROM endings WHERE outcome NOT IN ('failed', 'interrupted')"
        ).fetchall()
    return sorted(number for (number,) in nights if number not in {noted for noted, _ in ended})


def _note(home: Home, ended: list[Ended], number: int) -> None:
    ended.append((number, generations.pointed(home)))
    part = _notes(home).with_suffix(".part")
    part.write_text(json.dumps(ended))
    part.replace(_notes(home))


def _notes(home: Home) -> Path:
    return home.root / "serving.json"


def ended_nights(home: Home) -> list[Ended]:
    """The nights that came to an end, as they were noted."""
    notes = _notes(home)
    return [(number, serving) for number, serving in json.loads(notes.read_text())] if notes.is_file() else []


def served_by(home: Home, night: int) -> Path | None:
    """The adapter that served after a night; None is the base."""
    _, serving = ended_nights(home)[night - 1]
    return home.generations / f"{serving:06d}" if serving else None
