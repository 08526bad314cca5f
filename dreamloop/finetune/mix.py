"""The night's order: which examples share an optimizer step.

Twins are never split: in one step the part of the gradient that only shifts a bias cancels between
them, and what is left is the difference that makes a direction right or wrong. Deterministic from the
recipe's seed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from dreamloop.errors import UnusableRow
from dreamloop.model.encode import Branch, ChatEncoder, Row
from dreamloop.records import ChatRow, Pair, Skip

T = TypeVar("T")

CHOSEN, REJECTED = 0, 1  # branch order in a pair's row


def encode_pairs(encoder: ChatEncoder, pairs: Sequence[Pair], max_length: int) -> tuple[dict[Pair, Row], list[Skip]]:
    """One row a pair, context shared, branches chosen and rejected.

    Pairs that cannot be encoded are left out and counted; with one twin the other goes too.
    """
    rows: dict[Pair, Row] = {}
    reasons: dict[Pair, str] = {}
    for pair in pairs:
        try:
            if pair.chosen.strip() == pair.rejected.strip():
                raise UnusableRow("chosen and rejected are the same")
            rows[pair] = encoder.branches(pair.context, (pair.chosen, pair.rejected), max_length)
        except UnusableRow as error:
            reasons[pair] = error.reason
    lost = {pair.twin for pair in reasons if pair.twin}
    reasons |= {pair: "its twin was dropped" for pair in rows if pair.twin in lost}
    return {pair: row for pair, row in rows.items() if pair not in reasons}, _counted(reasons.values())


def encode_replay(
    encoder: ChatEncoder, replay: Sequence[ChatRow], max_length: int
) -> tuple[dict[ChatRow, Row], list[Skip]]:
    """One row a replay answer; unusable ones are left out and counted."""
    rows: dict[ChatRow, Row] = {}
    reasons: list[str] = []
    for item in replay:
        try:
            rows[item] = encoder.completion(item.context, item.reply, max_length)
        except UnusableRow as error:
            reasons.append(error.reason)
    return rows, _counted(reasons)


def chosen_only(row: Row) -> Row:
    """A pair's row without its rejected side."""
    return Row(row.context, (row.branches[CHOSEN],))


def twin_batches(pairs: Iterable[Pair], size: int, seed: int) -> list[list[Pair]]:
    """Shuffle twins and single pairs, then cut into steps of about ``size`` pairs with no twin split."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.twin or pair.digest].append(pair)
    units = [sorted(groups[key], key=lambda pair: pair.digest) for key in sorted(groups)]
    random.Random(seed).shuffle(units)
    count = max(1, sum(map(len, units)) // size)
    batches: list[list[Pair]] = [[] for _ in range(min(count, len(units)))]
    # The largest units first, each into the emptiest step: even steps without splitting a twin.
    for unit in sorted(units, key=len, reverse=True):
        min(batches, key=len).extend(unit)
    return batches


def even_batches(items: Sequence[T], size: int, seed: int) -> list[list[T]]:
    """Shuffle and deal out, so that no step is left with a small rest."""
    shuffled = list(items)
    random.Random(seed).shuffle(shuffled)
    count = max(1, len(shuffled) // size)
    return [shuffled[k::count] for k in range(min(count, len(shuffled)))]


def anchor_rows(rows: Sequence[Row], tokens: int, step: int) -> list[Row]:
    """Replay rows for one step's KL anchor: exactly ``tokens`` scored tokens, or all there are.

    Steps start at different rows and go round, so that a night sees every replay row.
    """
    taken: list[Row] = []
    left = tokens
    for k in range(len(rows)):
        if left <= 0:
            break
        row = rows[(step + k) % len(rows)]
        branch = row.branches[0]
        kept = branch.tokens[:left]
        taken.append(Row(row.context, (Branch(kept, branch.scored[:left]),)))
        left -= len(kept)
    return taken


def _counted(reasons: Iterable[str]) -> list[Skip]:
    listed = list(reasons)
    return [Skip("finetune", reason, listed.count(reason)) for reason in sorted(set(listed))]
