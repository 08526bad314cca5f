"""Nothing is dreamed twice: exact digests and MinHash over word triples, in a file that opens at once.

MinHash estimates the Jaccard similarity of two texts' sets of word triples (Broder 1997). `datasketch` hashes; SQLite
keeps, for every text, a byte of each of its 128 hashes (b-bit MinHash, arXiv 0910.3349) and 16 keys of 8 hashes each
(locality-sensitive hashing), so that a question reads a few index pages however many years are stored. At a similarity
of 0.85 one of the keys agrees with probability 1 - (1 - 0.85^8)^16 = 0.994, and the estimate's standard error is 0.03.

The file is derived: the ledger holds every text, and what the file lacks is added from there when it is opened.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

from dreamloop.errors import StateError

THRESHOLD = 0.75  # estimated similarity from which a text counts as a repeat
PERMUTATIONS = 128
_BANDS, _ROWS = 16, 8
# Part of the stored numbers' meaning: whoever changes one of them raises _VERSION, and files are built anew.
_VERSION = 2
_SEED = 1
_SCHEME = "affine32"
_WORD = re.compile(r"\w+")
_BY_CHANCE = 1 / 256  # two bytes agree

_TABLES = """
CREATE TABLE marks (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE bands (key INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (key, id)) WITHOUT ROWID;
CREATE TABLE exact (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE reached (row INTEGER NOT NULL);
INSERT INTO reached VALUES (0);
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is remembered of a text: 128 bytes, 16 keys."""

    bytes: bytes
    keys: tuple[int, ...]


def mark_of(text: str) -> Mark:
    """The text's mark, over lower-cased word triples; case and punctuation do not make a text new."""
    words = _WORD.findall(text.lower())
    sketch = MinHash(num_perm=PERMUTATIONS, seed=_SEED, scheme=_SCHEME, permutations=_permutations())
    sketch.update_batch([" ".join(words[i : i + 3]).encode() for i in range(max(1, len(words) - 2))])
    return mark_from(sketch.hashvalues)


def mark_from(hashes: NDArray[np.unsignedinteger[Any]]) -> Mark:
    """The mark of 128 MinHash values."""
    return Mark(hashes.astype(np.uint8).tobytes(), _keys(hashes.astype(np.uint64)))


@cache
def _permutations() -> NDArray[np.uint64]:
    """The hash functions, which are the same for every text."""
    return MinHash(num_perm=PERMUTATIONS, seed=_SEED, scheme=_SCHEME).permutations  # type: ignore[no-any-return] # datasketch


def _keys(hashes: NDArray[np.uint64]) -> tuple[int, ...]:
    """One 32-bit number per band: the band itself in the upper four bits and a hash of its rows in the others."""
    bands = hashes.reshape(_BANDS, _ROWS)
    mixed = np.zeros(_BANDS, dtype=np.uint64)
    for row in range(_ROWS):  # FNV-1a over whole numbers, wrapping at 64 bits
        mixed = (mixed ^ bands[:, row]) * np.uint64(0x100000001B3)
    hashed = (mixed ^ (mixed >> np.uint64(32))) & np.uint64(0x0FFFFFFF)
    return tuple((band << 28) | int(value) for band, value in enumerate(hashed))


class Novelty:
    """An index of what must not come again. What is added is known at once and stays once it is `kept`.

    Args:
        path: the file; None keeps everything in memory, for a look or a test.
        threshold: estimated Jaccard similarity from which a text counts as a repeat.

    Raises:
        StateError: the file cannot be used; removing it is safe, the next night builds it anew from the ledger.
    """

    def __init__(self, path: Path | None = None, threshold: float = THRESHOLD) -> None:
        self._path, self._threshold = path, threshold
        with self._guarded():
            self._db = self._opened() or self._begun_anew()

    def close(self) -> None:
        """Close the file; what was not `kept` is forgotten."""
        self._db.close()

    @property
    def reached(self) -> int:
        """The ledger's row up to which everything is known."""
        with self._guarded():
            return int(self._db.execute("SELECT row FROM reached").fetchone()[0])

    def add(self, text: str, *digests: str) -> None:
        """Remember a text, and digests (hexadecimal) of which none may come again whatever stands around it."""
        self.insert(mark_of(text), digests)

    def insert(self, mark: Mark, digests: Sequence[str]) -> None:
        """The same with the mark at hand."""
        with self._guarded():
            row = self._db.execute("INSERT INTO marks (bytes) VALUES (?)", [mark.bytes]).lastrowid
            self._db.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", ((key, row) for key in mark.keys))
            self._db.executemany("INSERT OR IGNORE INTO exact VALUES (?)", ((_short(d),) for d in digests))

    def knows(self, text: str, *digests: str) -> bool:
        """Whether one of the digests, or something nearly equal to the text, was added before."""
        return self.holds(mark_of(text), digests)

    def holds(self, mark: Mark, digests: Sequence[str] = ()) -> bool:
        """The same with the mark at hand."""
        with self._guarded():
            if any(self._db.execute("SELECT 1 FROM exact WHERE digest = ?", [_short(d)]).fetchone() for d in digests):
                return True
            return self._nearest(mark) >= self._threshold

    def keep(self, reached: int) -> None:
        """Make everything added so far durable; ``reached`` is the ledger's row up to which all is in it."""
        with self._guarded():
            self._db.execute("UPDATE reached SET row = ?", [reached])
            self._db.commit()

    def begin_anew(self) -> None:
        """Forget everything: what the file knows is not what the ledger holds."""
        with self._guarded():
            self._db.close()
            self._db = self._begun_anew()

    def catch_up(self, missing: Iterable[tuple[int, str, Sequence[str]]]) -> None:
        """Add what the ledger holds and the file lacks: (row, text, digests) in order."""
        row = None
        for row, text, digests in missing:  # noqa: B007 - the last row is used below
            self.add(text, *digests)
        if row is not None:
            self.keep(row)

    def _nearest(self, mark: Mark) -> float:
        """The highest estimated similarity among what shares a key."""
        found = self._db.execute(_NEAR, mark.keys).fetchall()
        if not found:
            return 0.0
        stored = np.frombuffer(b"".join(row[0] for row in found), dtype=np.uint8).reshape(-1, PERMUTATIONS)
        equal = float((stored == np.frombuffer(mark.bytes, dtype=np.uint8)).mean(axis=1).max())
        return (equal - _BY_CHANCE) / (1 - _BY_CHANCE)

    def _opened(self) -> sqlite3.Connection | None:
        """The file as it is; None where there is none or it is no index of this version."""
        if self._path is None or not self._path.is_file():
            return None
        db = sqlite3.connect(self._path, timeout=30)
        with suppress(sqlite3.DatabaseError):
            if db.execute("PRAGMA user_version").fetchone()[0] == _VERSION:
                return _set_up(db)
        db.close()
        return None

    def _begun_anew(self) -> sqlite3.Connection:
        if self._path is not None:
            for name in (self._path.name, f"{self._path.name}-wal", f"{self._path.name}-shm"):
                self._path.with_name(name).unlink(missing_ok=True)
        db = _set_up(sqlite3.connect(self._path or ":memory:", timeout=30))
        for statement in (*_TABLES.split(";"), f"PRAGMA user_version = {_VERSION}"):
            db.execute(statement)
        db.commit()
        if self._path is not None:
            self._path.chmod(0o600)
        return db

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            raise StateError(
                f"The index of what was dreamed, {self._path}, cannot be used ({error}); free some disk space, or "
                "remove the file: the next night builds it anew from the ledger."
            ) from error


_NEAR = (
    "SELECT bytes FROM marks WHERE id IN (SELECT id FROM bands WHERE key IN "  # noqa: S608 - question marks only
    f"({', '.join('?' * _BANDS)}))"
)


def _set_up(db: sqlite3.Connection) -> sqlite3.Connection:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA mmap_size = 4294967296")  # the pages of a question come from the system's cache, not by reads
    return db


def _short(digest: str) -> bytes:
    """Half of a SHA-256 tells a billion texts apart."""
    return bytes.fromhex(digest)[:16]
