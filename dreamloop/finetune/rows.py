"""Examples to token rows; what cannot be used is dropped with a counted reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from dreamloop.errors import UnusableRow
from dreamloop.model.encode import Branch, ChatEncoder, Row
from dreamloop.records import ChatRow, Pair, Skip

CHOSEN, REJECTED = 0, 1  # branch order in a pair's row


def encode_pairs(encoder: ChatEncoder, pairs: Sequence[Pair], max_length: int) -> tuple[dict[Pair, Row], list[Skip]]:
    """One row a pair, context shared, branches chosen and rejected; twins are one unit.

    Pairs that cannot be encoded are left out and counted; with one twin the other goes too.
    """
    rows: dict[Pair, Row] = {}
    reasons: dict[Pair, str] = {}
    for pair in pairs:
        try:
            if pair.chosen.strip() == pair.rejected.strip():
                raise UnusableRow("chosen and rejected are the same")
            row = encoder.branches(pair.context, (pair.chosen, pair.rejected), max_length)
            rows[pair] = replace(row, unit=pair.twin or "")
        except UnusableRow as error:
            reasons[pair] = error.reason
    lost = {pair.twin for pair in reasons if pair.twin}
    reasons |= {pair: "its twin was dropped" for pair in rows if pair.twin in lost}
    return {pair: row for pair, row in rows.items() if pair not in reasons}, _counted(reasons.values())


def encode_bystanders(
    encoder: ChatEncoder, bystanders: Sequence[Pair], max_length: int
) -> tuple[dict[Pair, Row], list[Skip]]:
    """As `encode_pairs`, but a bystander's sides have several pairs of replies, and the k-th of both are a unit.

    Two replies that cannot be encoded on one side are left out on both, and what else the bystander is held by stays.
    """
    met: Counter[tuple[str | None, str]] = Counter()
    alone: list[Pair] = []
    for pair in bystanders:
        side = pair.twin, pair.provenance.signal
        alone.append(replace(pair, twin=f"{pair.twin}/{met[side]}"))
        met[side] += 1
    rows, skips = encode_pairs(encoder, alone, max_length)
    return {pair: rows[one] for pair, one in zip(bystanders, alone, strict=True) if one in rows}, skips


def encode_replay(
    encoder: ChatEncoder, replay: Sequence[ChatRow], max_length: int
) -> tuple[dict[ChatRow, Row], list[Skip]]:
    """One row a replay answer or piece of text; unusable ones are left out and counted."""
    rows: dict[ChatRow, Row] = {}
    reasons: list[str] = []
    for item in replay:
        if item in rows:
            reasons.append("the same twice")
            continue
        try:
            if item.context:
                rows[item] = encoder.completion(item.context, item.reply, max_length)
                continue
            rows[item] = encoder.prose(item.reply, max_length)
            if len(encoder.text(item.reply)) > max_length:
                reasons.append("plain text cut at the token limit")
        except UnusableRow as error:
            reasons.append(error.reason)
    return rows, _counted(reasons)


def chosen_only(row: Row) -> Row:
    """A pair's row without its rejected side."""
    return Row(row.context, (row.branches[CHOSEN],))


def words_only(row: Row) -> Row:
    """A pair's row without a score for the end of its replies.

    Both replies end, so the end says nothing about which is right; but a preference lowers what its replies have in
    common, and a model that ends its sentences less surely talks worse everywhere.
    """
    return replace(row, branches=tuple(Branch(one.tokens, (*one.scored[:-1], False)) for one in row.branches))


def scored_tokens(rows: Iterable[Row]) -> int:
    """Tokens that a loss is taken on."""
    return sum(sum(branch.scored) for row in rows for branch in row.branches)


def _counted(reasons: Iterable[str]) -> list[Skip]:
    listed = list(reasons)
    return [Skip("finetune", reason, listed.count(reason)) for reason in sorted(set(listed))]
