"""Who lives through many nights: dreamloop, and a naive loop on the same pairs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from naive import naive_night

from dreamloop.config import Config, Dream, Night, Replay
from dreamloop.cycle import run_night
from dreamloop.dream.scenarios import pairs_of
from dreamloop.finetune.recipe import recipe_of
from dreamloop.keep import generations
from dreamloop.ledger.store import Ledger
from dreamloop.log import Silent, setup
from dreamloop.model.bundled import ensure_bundled
from dreamloop.paths import Home, default_home
from dreamloop.records import Pair, Recipe


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
    notes = _notes(home)
    ended = json.loads(notes.read_text()) if notes.is_file() else []
    while len(ended) < nights:
        number = run_night(home, config, setup(), lambda: datetime.now(UTC))
        ended.append([number, generations.pointed(home)])
        part = notes.with_suffix(".part")
        part.write_text(json.dumps(ended))
        part.replace(notes)


def imitate(home: Home, place: Path, config: Config, nights: int) -> None:
    """The naive loop on the same nights' pairs."""
    ledger = Ledger(home.ledger)
    before: Path | None = None
    for k, (night, _) in enumerate(ended_nights(home)[:nights], 1):
        after = place / f"{k:02d}"
        if not after.is_dir():
            part = after.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            pairs = learned_first(ledger, night)
            if pairs:
                recipe = at_its_rates(ledger, night, recipe_of(config.finetune, config.seed))
                naive_night(str(ensure_bundled(home.models, Silent())), before, part, pairs, recipe)
            elif before:
                shutil.copytree(before, part)
            if part.is_dir():
                part.replace(after)
        before = after if after.is_dir() else before
    ledger.close()


def learned_first(ledger: Ledger, night: int) -> list[Pair]:
    """What a night trained on that no night before had: nothing where all was learned once more from the base."""
    if any(past.rebased for past in ledger.past() if past.number == night):
        return []
    return [*ledger.mined_of(night), *(pair for twins in ledger.twins_of(night) for pair in pairs_of(twins))]


def _notes(home: Home) -> Path:
    return home.root / "serving.json"


def ended_nights(home: Home) -> list[tuple[int, int | None]]:
    """Number of each night that came to an end, and the generation that served after it."""
    return [(number, serving) for number, serving in json.loads(_notes(home).read_text())]


def at_its_rates(ledger: Ledger, night: int, recipe: Recipe) -> Recipe:
    """The recipe at the learning rates that the night had, which its plan may have raised."""
    (stored,) = ledger.db.execute("SELECT recipe FROM trainings WHERE night = ?", [night]).fetchall()
    had = json.loads(stored[0])
    return replace(recipe, **{name: had[name] for name in ("sft_learning_rate", "dpo_learning_rate")})


def contestant(home: Path, name: str, seed: int, night: int) -> Path | None:
    """The adapter of a contestant after a night; None is the base."""
    if name == "naive":
        after = home / f"seed-{seed}" / "naive" / f"{night:02d}"
        return after if after.is_dir() else None
    if name != "dreamloop":
        return None
    place = Home(home / f"seed-{seed}" / "home")
    _, serving = ended_nights(place)[night - 1]
    return place.generations / f"{serving:06d}" if serving else None
