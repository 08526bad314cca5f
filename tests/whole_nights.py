"""A whole night on the tiny model, at a fixed time."""

from __future__ import annotations

from datetime import UTC, datetime

from dreamloop import cycle
from dreamloop.config import Config
from dreamloop.ledger.history import History, NightRecord
from dreamloop.log import Silent
from dreamloop.paths import Home


def now() -> datetime:
    return datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def run(home: Home, config: Config) -> NightRecord:
    number = cycle.run_night(home, config, Silent(), now)
    return History(home.ledger, home.lock).night(number)
