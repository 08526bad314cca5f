"""What the nights behind a generation have learned, out of the ledger, to be learned once more from the base.

Stacked nights add up what each cost; one adapter trained on all their pairs pays once. Of a night of which the gate
kept a part, as large a part of its pairs is learned again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dreamloop.dream.scenarios import HeldOut, pairs_of
from dreamloop.ledger.store import Ledger
from dreamloop.records import ChatRow, Pair, Twins

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Learned:
    """Mined pairs and twins, those of the latest nights first, and the general rows that went with them."""

    mined: tuple[Pair, ...]
    twins: tuple[Twins, ...]
    replay: tuple[ChatRow, ...]
    too_close: int

    def pairs(self) -> list[Pair]:
        """Everything that is to be trained on."""
        return [*self.mined, *(pair for twins in self.twins for pair in pairs_of(twins))]


def learned_by(
    ledger: Ledger, generation: int, kinds: Collection[str], most: int, held_out: HeldOut
) -> Learned:  # fmt: skip
    """At most so many pairs that a generation has learned, without what the gate asks today.

    Args:
        generation: the one that serves. kinds: of twins; others are left as the base has them.
        most: pairs; later nights go before earlier ones. held_out: whether any of some texts comes near a gate item.
    """
    mined: dict[str, Pair] = {}
    twins: dict[str, Twins] = {}
    replay: dict[str, ChatRow] = {}
    close = 0
    for night in ledger.lineage(generation):
        share = ledger.scale_of(night)
        for pair in _part(ledger.mined_of(night), share):
            if held_out(pair.texts()):
                close += 1
            elif len(mined) + 2 * len(twins) < most:
                mined[pair.digest] = pair
        for one in _part([twins for twins in ledger.twins_of(night) if twins.right.kind in kinds], share):
            if held_out(one.turns()):
                close += 2
            elif len(mined) + 2 * len(twins) + 1 < most:
                twins[one.right.twin] = one
        replay |= {row.digest: row for row in ledger.replayed_of(night)}
    return Learned(tuple(mined.values()), tuple(twins.values()), tuple(replay.values()), close)


def _part(every: Sequence[T], share: float) -> Sequence[T]:
    return every[: math.ceil(share * len(every))]
