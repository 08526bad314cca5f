"""What the naive loop still needs of a seed whose nights are over: so that it can be run on another machine.

Its nights train on the pairs that dreamloop's did, at their rates, and both stand in the ledger. The rest is taken out;
packed, a row of ten nights is small enough to be committed until it is used (seen: 0.4 MB).
"""

from __future__ import annotations

import lzma
import sqlite3
from contextlib import closing
from pathlib import Path

from lived import RESULTS

from dreamloop.paths import Home

_LEFT_OUT = {  # by table, of which rows
    "evidence": "1", "suite_scores": "1", "measures": "1", "coverage": "1", "trained_texts": "1", "gate_items": "1",
    "scenarios": "use != 'training'",
}  # fmt: skip


def stash(seed: int, folder: Path = RESULTS) -> Path:
    """Where a seed's is."""
    return folder / f"seed-{seed}.ledger.xz"


def put_by(ledger: Path, to: Path) -> None:
    """Pack a copy of a ledger."""
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        source.backup(copy)
        for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            copy.execute(f'DROP TRIGGER "{name}"')  # rows may not go as long as they are there
        for table, rows in _LEFT_OUT.items():
            copy.execute(f"DELETE FROM {table} WHERE {rows}")  # noqa: S608 - from above
        copy.execute("VACUUM")
        packed = lzma.compress(copy.serialize())
    part = to.with_suffix(".part")
    part.write_bytes(packed)
    part.replace(to)


def take_out(packed: Path, home: Home) -> None:
    """Make a home of it; no adapter is there, only what was learned from."""
    home.create()
    part = home.ledger.with_suffix(".part")  # that it is there says that all of this was done
    part.write_bytes(lzma.decompress(packed.read_bytes()))
    part.replace(home.ledger)
