"""The naive loop over a row of nights: on the pairs that dreamloop's nights had, at their rates."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from naive import naive_night
from row import ended_nights

from dreamloop.config import Config
from dreamloop.dream.scenarios import pairs_of
from dreamloop.finetune.recipe import recipe_of
from dreamloop.ledger.store import Ledger
from dreamloop.log import Silent
from dreamloop.model.bundled import ensure_bundled
from dreamloop.paths import Home
from dreamloop.records import Pair, Recipe

_SECONDS = "seconds.txt"  # beside the adapter


def place_of(seed: Path, ledger: Path) -> Path:
    """Where a seed's naive adapters are: none that another version of this loop left, nor of other nights."""
    total = hashlib.sha256()
    for name in ("naive", "imitation"):
        total.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        total.update(repr(db.execute("SELECT night, started_at FROM nights ORDER BY night").fetchall()).encode())
    return seed / f"naive-{total.hexdigest()[:8]}"


def imitate(home: Home, place: Path, config: Config, nights: int) -> None:
    """One adapter after the other, each with what it took; nights that were run are not run again."""
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
                began = time.monotonic()
                naive_night(str(ensure_bundled(home.models, Silent())), before, part, pairs, recipe)
                (part / _SECONDS).write_text(f"{time.monotonic() - began:.1f}")
            elif before:
                shutil.copytree(before, part)
                (part / _SECONDS).unlink(missing_ok=True)
            if part.is_dir():
                part.replace(after)
        before = after if after.is_dir() else before
    ledger.close()


def learned_first(ledger: Ledger, night: int) -> list[Pair]:
    """What a night trained on that no night before had: nothing where all was learned once more from the base."""
    if any(past.rebased for past in ledger.past() if past.number == night):
        return []
    return [*ledger.mined_of(night), *(pair for twins in ledger.twins_of(night) for pair in pairs_of(twins))]


def at_its_rates(ledger: Ledger, night: int, recipe: Recipe) -> Recipe:
    """The recipe at the learning rates that the night had, which its plan may have raised."""
    (stored,) = ledger.db.execute("SELECT recipe FROM trainings WHERE night = ?", [night]).fetchall()
    had = json.loads(stored[0])
    return replace(recipe, **{name: had[name] for name in ("sft_learning_rate", "dpo_learning_rate")})


def imitated(place: Path, night: int) -> Path | None:
    """The adapter after a night; None where nothing was learned by then."""
    after = place / f"{night:02d}"
    return after if after.is_dir() else None


def seconds(place: Path) -> tuple[float, ...]:
    """Of the nights that trained."""
    return tuple(float(path.read_text()) for path in sorted(place.glob(f"[0-9][0-9]/{_SECONDS}")))
