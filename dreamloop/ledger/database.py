"""The ledger's file: opened, migrated, guarded; one transaction for what belongs together."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlite_utils.db import Database

from dreamloop.errors import InvariantBroken, StateError
from dreamloop.ledger.schema import migrations
from dreamloop.records import Context, Message

# The same conversation or gate item may come again; a night's own rows never do.
_SEEN_AGAIN = {"trained_texts", "pairs", "corrections", "gate_items", "replays"}


class LedgerFile:
    """One open ledger file, in WAL mode."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._guarded():
            self.db = Database(sqlite3.connect(path, timeout=30))
            self.db.enable_wal()
            self.db.execute("PRAGMA foreign_keys = ON")
            self.db.execute("PRAGMA synchronous = FULL")
            migrations.apply(self.db)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file; committed rows are safe before this."""
        self.db.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            if "gate item" in str(error):
                raise InvariantBroken(
                    "A training item equals a gate item, so the gate could not be trusted; the night ends."
                ) from error
            raise StateError(f"The ledger {self.path} refused a row ({error}).") from error
        except sqlite3.DatabaseError as error:
            raise StateError(
                f"The ledger {self.path} cannot be used ({error}); free some disk space or restore the file."
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """What is written inside is there together or not at all.

        It is opened here, because sqlite-utils commits every statement that finds none open (since 4.0); and at once
        for writing, because one that reads first could not wait for another writer.
        """
        with self._guarded():
            self.db.execute("BEGIN IMMEDIATE")
            with self.db.conn:
                yield

    def _insert(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Inside a transaction; what is already there under its key stays as it is."""
        for row in rows:
            names = ", ".join(row)
            marks = ", ".join("?" for _ in row)
            ignore = "OR IGNORE " if table in _SEEN_AGAIN else ""
            self.db.execute(f"INSERT {ignore}INTO {table} ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608 - names come from this file

    def _write(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        with self._transaction():
            self._insert(table, rows)

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._guarded():
            return list(self.db.execute(query, list(values)).fetchall())

    def _one(self, query: str) -> Any:
        return self._rows(query)[0][0]


def context_json(context: Context) -> str:
    """A context as the ledger stores it."""
    return json.dumps([[message.role, message.content] for message in context], ensure_ascii=False)


def context_of(stored: str) -> Context:
    """A stored context."""
    return tuple(Message(role, content) for role, content in json.loads(stored))
