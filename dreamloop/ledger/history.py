"""Reading the ledger: what `status`, `history` and `show` print.

Through Python's own sqlite3, opened read-only: sqlite-utils imports pandas and numpy wherever they are
installed, a quarter of a second that a one-line answer should not cost. A reader can never change or
create the file.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamloop.errors import ConfigError, StateError
from dreamloop.ledger.past import TRIED, called, past_nights, potentials
from dreamloop.lock import is_held
from dreamloop.records import PastNight, Potential

Row = dict[str, Any]

_WITHOUT_BASE: Row = dict.fromkeys(("base", "base_change", "base_low", "base_high", "base_margin", "informative"))


@dataclass(frozen=True, slots=True)
class NightRecord:
    """One night as the ledger tells it; JSON columns are decoded."""

    night: Row
    model: Row | None
    stages: list[Row]
    reads: list[Row]
    skips: list[Row]
    mined: list[Row]
    rewrites: list[Row]
    scenarios: list[Row]
    diversity: Row | None
    plan: Row | None
    training: Row | None
    trials: list[Row]
    measures: list[Row]
    verdict: Row | None


class History:
    """A ledger opened for reading.

    Args:
        path: the ledger file.
        lock: the home's lock; a night without an ending runs only while somebody holds it.
    """

    def __init__(self, path: Path, lock: Path) -> None:
        self._path, self._lock = path, lock
        if not path.is_file():
            raise StateError(f"There is no ledger at {path} yet; 'dreamloop cycle' runs the first night.")
        try:
            self._db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
            self._db.row_factory = sqlite3.Row
            self._db.execute("SELECT 1 FROM nights LIMIT 1")
        except sqlite3.DatabaseError as error:
            raise StateError(f"The ledger {path} cannot be read ({error}); restore it from a backup.") from error

    def nights(self, limit: int) -> list[Row]:
        """The latest nights, newest first."""
        return [self._told(row) for row in self._all("SELECT * FROM history ORDER BY night DESC LIMIT ?", limit)]

    def count(self) -> dict[str, int]:
        """How many nights ended how."""
        outcomes = (self._told(row)["outcome"] for row in self._all("SELECT outcome, reason FROM history"))
        return dict(sorted(Counter(outcomes).items()))

    def pending(self) -> int:
        """Mined pairs that no night has trained on and come to a judgement."""
        query = (
            f"SELECT count(*) AS n FROM pairs WHERE digest NOT IN (SELECT digest FROM trained WHERE night IN {TRIED}) "  # noqa: S608
            "AND digest NOT IN (SELECT digest FROM set_aside)"
        )
        return int(self._all(query)[0]["n"])

    def waiting(self, rewrites: int) -> int:
        """What tonight may make use of: mined pairs, and at most so many corrections that no night has rewritten."""
        query = "SELECT count(*) AS n FROM corrections WHERE digest NOT IN (SELECT correction FROM rewrites)"
        return self.pending() + min(rewrites, int(self._all(query)[0]["n"]))

    def last_proof(self) -> Row | None:
        """What a server last showed of a generation; None in a ledger that no server was proven in."""
        return self._first("SELECT * FROM proofs ORDER BY rowid DESC LIMIT 1") if self._knows("proofs") else None

    def night(self, number: int) -> NightRecord:
        """Everything about one night.

        Raises:
            ConfigError: there is no such night.
        """
        nights = self._all("SELECT * FROM history JOIN nights USING (night) WHERE night = ?", number)
        if not nights:
            last = self._all("SELECT coalesce(max(night), 0) AS n FROM nights")[0]["n"]
            raise ConfigError(f"There is no night {number}; the ledger holds nights 1 to {last}.")
        return NightRecord(
            night=_decoded(self._told(nights[0]), "config", "versions"),
            model=self._first("SELECT * FROM models WHERE night = ?", number),
            stages=self._all("SELECT stage, seconds FROM stages WHERE night = ? ORDER BY rowid", number),
            reads=self._all("SELECT * FROM reads WHERE night = ? ORDER BY path", number),
            skips=self._all("SELECT stage, reason, count FROM skips WHERE night = ? ORDER BY rowid", number),
            mined=self._all(
                "SELECT signal, strength, count(*) AS n FROM pairs WHERE night = ? GROUP BY signal, strength", number
            ),
            rewrites=self._all("SELECT outcome, count(*) AS n FROM rewrites WHERE night = ? GROUP BY outcome", number),
            scenarios=self._scenarios(number),
            diversity=self._diversity("WHERE night = ?", number),
            plan=self._plan(number),
            training=_decoded_or_none(
                self._first("SELECT recipe, report FROM trainings WHERE night = ?", number), "recipe", "report"
            ),
            trials=self._trials(number),
            measures=self._measures(number),
            verdict=_decoded_or_none(
                self._first("SELECT outcome, reasons FROM verdicts WHERE night = ?", number), "reasons"
            ),
        )

    def past(self) -> list[PastNight]:
        """What the nights so far tell tonight's plan; nothing in a ledger from before there were plans."""
        return past_nights(self._db) if self._knows("plans") else []  # a reader applies no migration

    def potentials(self, model: str) -> list[Potential]:
        """What the base that the configuration calls so could be taught, where it was asked."""
        return potentials(self._db, called(self._db, model)) if self._knows("surveys") else []

    def last_diversity(self) -> Row | None:
        """How varied the latest dreams were; None where none was measured."""
        return self._diversity("ORDER BY night DESC LIMIT 1")

    def _scenarios(self, number: int) -> list[Row]:
        """Those dreamed that night, and those of a night that broke off which it took up."""
        taken_up = " OR twin IN (SELECT twin FROM taken_up WHERE night = ?1)" if self._knows("taken_up") else ""
        return self._all(f"SELECT * FROM scenarios WHERE night = ?1{taken_up} ORDER BY rowid", number)  # noqa: S608

    def _plan(self, number: int) -> Row | None:
        found = self._first("SELECT plan FROM plans WHERE night = ?", number) if self._knows("plans") else None
        return json.loads(found["plan"]) if found else None

    def _diversity(self, which: str, *values: Any) -> Row | None:
        if not self._knows("diversity"):
            return None
        return _decoded_or_none(self._first(f"SELECT * FROM diversity {which}", *values), "told")  # noqa: S608

    def _trials(self, number: int) -> list[Row]:
        if not self._knows("trials"):
            return []
        rows = self._all("SELECT attempt, scale, outcome, reasons FROM trials WHERE night = ? ORDER BY attempt", number)
        return [_decoded(row, "reasons") for row in rows]

    def _measures(self, number: int) -> list[Row]:
        """Those of the last trial."""
        last = " AND attempt = (SELECT max(attempt) FROM measures WHERE night = ?1)" if self._knows("trials") else ""
        rows = self._all(f"SELECT * FROM measures WHERE night = ?1{last} ORDER BY rowid", number)  # noqa: S608
        return [{**_WITHOUT_BASE, **row} for row in rows]

    def _knows(self, table: str) -> bool:
        """Whether the ledger has this table: one from an earlier release may not, and a reader applies no migration."""
        return bool(self._all("SELECT 1 FROM sqlite_master WHERE name = ?", table))

    def _told(self, row: Row) -> Row:
        if row["outcome"] != "running" or is_held(self._lock):
            return row
        return {**row, "outcome": "interrupted", "reason": "The process ended in the middle; it changed nothing."}

    def _all(self, query: str, *values: Any) -> list[Row]:
        try:
            return [dict(row) for row in self._db.execute(query, values)]
        except sqlite3.DatabaseError as error:
            raise StateError(f"The ledger {self._path} cannot be read ({error}); restore it from a backup.") from error

    def _first(self, query: str, *values: Any) -> Row | None:
        rows = self._all(query, *values)
        return rows[0] if rows else None


def _decoded(row: Row, *columns: str) -> Row:
    return {key: json.loads(value) if key in columns and value is not None else value for key, value in row.items()}


def _decoded_or_none(row: Row | None, *columns: str) -> Row | None:
    return None if row is None else _decoded(row, *columns)
