"""Nothing is dreamed twice: exact digests, and MinHash over word triples for near-duplicates.

MinHash estimates the Jaccard similarity of two texts' word-triple sets (Broder 1997); LSH finds the
candidates without comparing all. A signature is 64 hashes, 256 bytes, kept in the ledger, so that years
of nights are indexed in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from datasketch import MinHash, MinHashLSH

PERMUTATIONS = 64
# Part of the stored signatures' meaning: never change these.
_SEED = 1
_SCHEME = "affine32"
_WORD = re.compile(r"\w+")


def signature(text: str) -> bytes:
    """The text's MinHash signature over lower-cased word triples: 64 little-endian uint32."""
    words = _WORD.findall(text.lower())
    sketch = MinHash(num_perm=PERMUTATIONS, seed=_SEED, scheme=_SCHEME)
    sketch.update_batch([" ".join(words[i : i + 3]).encode() for i in range(max(1, len(words) - 2))])
    return np.asarray(sketch.hashvalues, dtype="<u4").tobytes()


class Novelty:
    """An index of what must not come again.

    LSH only proposes, tuned to miss nothing near the threshold; the estimated similarity decides.

    Args:
        seen: signatures from earlier nights.
        exact: digests from earlier nights; equal ones are refused whatever their similarity.
        threshold: estimated Jaccard similarity from which a text counts as a repeat.
    """

    def __init__(self, seen: Iterable[bytes] = (), exact: Iterable[str] = (), threshold: float = 0.85) -> None:
        self._index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, weights=(0.05, 0.95))
        self._threshold = threshold
        self._sketches: list[MinHash] = []
        self._exact = set(exact)
        for stored in seen:
            self.add(stored)

    def add(self, stored: bytes, *digests: str) -> None:
        """Remember a signature, and the digests of what it stands for."""
        sketch = _sketch(stored)
        self._index.insert(len(self._sketches), sketch)
        self._sketches.append(sketch)
        self._exact.update(digests)

    def knows(self, candidate: bytes, *digests: str) -> bool:
        """Whether one of the digests, or something nearly equal, was added before."""
        if not self._exact.isdisjoint(digests):
            return True
        sketch = _sketch(candidate)
        return any(sketch.jaccard(self._sketches[k]) >= self._threshold for k in self._index.query(sketch))


def _sketch(stored: bytes) -> MinHash:
    values = np.frombuffer(stored, dtype="<u4")
    return MinHash(num_perm=PERMUTATIONS, seed=_SEED, scheme=_SCHEME, hashvalues=values)
