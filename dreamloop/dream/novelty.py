"""Nothing is dreamed twice: exact digests, and MinHash over word triples for near-duplicates.

MinHash estimates the Jaccard similarity of two texts' word-triple sets (Broder 1997); LSH finds the
candidates without comparing all. A signature is 64 hashes, 256 bytes, kept in the ledger, so that years
of nights are indexed in seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

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
    """An index of texts that must not come again.

    Args:
        seen: signatures from earlier nights.
        threshold: estimated Jaccard similarity from which a text counts as a repeat.
    """

    def __init__(self, seen: Iterable[bytes] = (), threshold: float = 0.85) -> None:
        self._index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
        self._threshold = threshold
        self._count = 0
        for stored in seen:
            self.add(stored)

    def add(self, stored: bytes) -> None:
        """Remember a signature."""
        self._index.insert(self._count, _sketch(stored))
        self._count += 1

    def knows(self, candidate: bytes) -> bool:
        """Whether something nearly equal was added before."""
        return bool(self._index.query(_sketch(candidate)))


def overlaps(texts: Sequence[str], held_out: Sequence[str], threshold: float = 0.6) -> list[bool]:
    """For each text, whether it nearly equals one of the held-out texts (invariant 5)."""
    index = Novelty((signature(text) for text in held_out), threshold)
    return [index.knows(signature(text)) for text in texts]


def _sketch(stored: bytes) -> MinHash:
    values = np.frombuffer(stored, dtype="<u4")
    return MinHash(num_perm=PERMUTATIONS, seed=_SEED, scheme=_SCHEME, hashvalues=values)
