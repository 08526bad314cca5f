from __future__ import annotations

from dataclasses import replace

from dreamloop.finetune.rows import (
    chosen_only,
    encode_bystanders,
    encode_pairs,
    encode_replay,
    scored_tokens,
    words_only,
)
from dreamloop.model.encode import Branch, ChatEncoder, Row
from dreamloop.records import ChatRow, Message, Pair, Provenance

WHERE = Provenance("test", "c", 0, "right", "strong")


def pair(n: int, twin: str | None, chosen: str = "Yes.") -> Pair:
    return Pair((Message("user", f"question {n}"),), chosen, "No.", WHERE, twin)


def test_a_pair_that_does_not_fit_takes_its_twin_along_and_is_counted(tiny_encoder: ChatEncoder) -> None:
    pairs = [pair(0, "a", "word " * 400), pair(1, "a"), pair(2, "b"), pair(3, "b"), pair(4, None, "No.")]
    rows, skips = encode_pairs(tiny_encoder, pairs, 200)
    assert [p.twin for p in rows] == ["b", "b"]
    assert {(skip.reason, skip.count) for skip in skips} == {
        ("longer than the token limit", 1),
        ("its twin was dropped", 1),
        ("chosen and rejected are the same", 1),
    }


def test_twins_are_a_unit_and_single_pairs_are_none(tiny_encoder: ChatEncoder) -> None:
    rows, _ = encode_pairs(tiny_encoder, [pair(0, "a"), pair(1, "a"), pair(2, None)], 200)
    assert [row.unit for row in rows.values()] == ["a", "a", ""]
    assert [words_only(row).unit for row in rows.values()] == ["a", "a", ""]


def test_each_pair_of_replies_of_a_bystander_is_a_unit_and_one_that_does_not_fit_is_left_out_on_both_sides(
    tiny_encoder: ChatEncoder,
) -> None:
    def both(good: str, bad: str) -> list[Pair]:
        right = Pair((Message("user", "one"),), good, bad, WHERE, "a")
        return [right, Pair((Message("user", "other"),), bad, good, replace(WHERE, signal="wrong"), "a")]

    own, long, more = both("Yes.", "No."), both("word " * 400, "Wrong."), both("Fine.", "Bad.")
    rows, skips = encode_bystanders(tiny_encoder, [*own, *long, *more], 200)
    assert list(rows) == [*own, *more]
    units = [row.unit for row in rows.values()]
    assert units[0] == units[1] != units[2] == units[3]
    assert [replace(row, unit="") for row in rows.values()] == [
        tiny_encoder.branches(pair.context, (pair.chosen, pair.rejected), 200) for pair in rows
    ]
    assert [(skip.reason, skip.count) for skip in skips] == [("longer than the token limit", 2)]


def test_an_empty_reply_is_dropped_and_counted(tiny_encoder: ChatEncoder) -> None:
    rows, skips = encode_pairs(tiny_encoder, [pair(0, None, "")], 200)
    assert not rows
    assert [(skip.reason, skip.count) for skip in skips] == [("empty or too short reply", 1)]


def test_replay_without_a_context_is_plain_text_and_every_token_but_the_first_counts(tiny_encoder: ChatEncoder) -> None:
    text = ChatRow((), "The lazy dog answers.", "notes")
    empty = ChatRow((), "", "notes")
    rows, skips = encode_replay(tiny_encoder, [text, empty], 200)
    (row,) = rows.values()
    assert (*row.context, *row.branches[0].tokens) == tiny_encoder.text(text.reply)
    assert scored_tokens([row]) == len(row) - 1
    assert [(skip.reason, skip.count) for skip in skips] == [("fewer than two tokens", 1)]


def test_the_chosen_side_alone_keeps_its_context(tiny_encoder: ChatEncoder) -> None:
    rows, _ = encode_pairs(tiny_encoder, [pair(0, None)], 200)
    (row,) = rows.values()
    assert chosen_only(row).context == row.context
    assert chosen_only(row).branches == row.branches[:1]


def test_words_only_scores_everything_but_the_end_of_each_reply() -> None:
    row = Row((1, 2), (Branch((3, 4, 9), (True, True, True)), Branch((5, 9), (True, True))))
    assert words_only(row) == Row((1, 2), (Branch((3, 4, 9), (True, True, False)), Branch((5, 9), (True, False))))
    assert scored_tokens([words_only(row)]) == 3
