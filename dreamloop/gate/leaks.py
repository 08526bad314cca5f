"""Invariant 5: nothing that is trained on may be, quote or nearly be what the gate asks.

Exact comparison of word triples, text by text: a gate item hidden in a later turn, in a reply, or inside
a longer text is found too, because what counts is how much of the item the text contains.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

CONTAINED = 0.6  # share of an item's word triples that may not appear in one text
WITHIN = 0.8  # share of a text's own triples that may not come from one item
_FEWEST = 5  # triples below which a text is too short for WITHIN to mean anything
_WORD = re.compile(r"\w+")


class GateTexts:
    """The gate's items as sets of word triples. Call it with the texts of one training item."""

    def __init__(self, items: Iterable[str]) -> None:
        self._sizes: list[int] = []
        self._holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for item in items:
            triples = _triples(item)
            for triple in triples:
                self._holders[triple].append(len(self._sizes))
            self._sizes.append(len(triples))

    def __call__(self, texts: Sequence[str]) -> bool:
        """Whether any of the texts comes too near an item."""
        return any(self._near(text) for text in texts)

    def _near(self, text: str) -> bool:
        triples = _triples(text)
        shared = Counter(item for triple in triples for item in self._holders.get(triple, ()))
        return any(
            count >= CONTAINED * self._sizes[item] or (len(triples) >= _FEWEST and count >= WITHIN * len(triples))
            for item, count in shared.items()
        )


def _triples(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
