from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.model.encode import Branch, Row
from dreamloop.model.pack import Pack, pack

BEGINNINGS = tuple(range(100, 112)), tuple(range(100, 109)), tuple(range(200, 210)), ()


def contexts() -> st.SearchStrategy[tuple[int, ...]]:
    """Many of them begin alike: with all of a beginning, or with some of it."""
    ends = st.lists(st.integers(1, 3), min_size=1, max_size=12).map(tuple)
    return st.tuples(st.sampled_from(BEGINNINGS), ends).map(lambda two: two[0] + two[1])


@given(st.lists(st.tuples(contexts(), st.integers(1, 60)), max_size=30), st.integers(10, 150), st.booleans())
def test_every_row_is_packed_once_and_no_pack_is_over_budget(
    drawn: list[tuple[tuple[int, ...], int]], budget: int, frozen: bool
) -> None:
    rows = [Row(context, (Branch((2,) * tokens, (True,) * tokens),)) for context, tokens in drawn]
    packs = pack(rows, budget, frozen_contexts=frozen)
    assert sorted(span.row for batch in packs for span in batch.spans) == list(range(len(rows)))
    for batch in packs:
        assert len(batch) <= budget or len(batch.spans) == 1


def test_rows_whose_contexts_begin_alike_meet_in_one_pack_whatever_their_order() -> None:
    one, other, branch = tuple(range(10, 30)), tuple(range(40, 60)), Branch((1, 2), (True, True))
    packs = pack([Row(context, (branch,)) for context in (one, other, one, other, one)], 26)
    assert [[span.row for span in batch.spans] for batch in packs] == [[0, 2, 4], [1, 3]]
    assert [len(batch) for batch in packs] == [26, 24]  # 20 and 2 for each row


@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from(["", "a", "b", "c"])), max_size=20), st.integers(10, 90))
def test_no_pack_holds_only_a_part_of_a_unit(drawn: list[tuple[int, str]], budget: int) -> None:
    rows = [Row((1,), (Branch((2,) * tokens, (True,) * tokens),), unit) for tokens, unit in drawn]
    packs = pack(rows, budget)
    assert sorted(span.row for batch in packs for span in batch.spans) == list(range(len(rows)))
    for unit in {unit for _, unit in drawn if unit}:
        assert sum(any(rows[span.row].unit == unit for span in batch.spans) for batch in packs) == 1


def visible(batch: Pack) -> list[list[int]]:
    """Who sees whom, as the dense mask that the segments stand for."""
    seen = torch.zeros(len(batch.strip.tokens), len(batch.strip.tokens), dtype=torch.int)
    for segment in batch.strip.segments:
        own = slice(*segment.own)
        seen[own, own] = torch.ones(segment.length, segment.length, dtype=torch.int).tril()
        for piece in segment.context:
            seen[own, slice(*piece)] = 1
    result: list[list[int]] = seen.tolist()
    return result


def test_branches_continue_the_contexts_positions_and_do_not_see_each_other() -> None:
    row = Row((5, 6), (Branch((7, 8), (True, True)), Branch((9,), (True,))))
    (batch,) = pack([row], 16)
    assert batch.strip.tokens.tolist() == [5, 6, 7, 8, 9]
    assert batch.strip.positions.tolist() == [0, 1, 2, 3, 2]
    assert visible(batch) == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]
    assert batch.predictors.tolist() == [1, 2, 1]
    assert batch.targets.tolist() == [7, 8, 9]


def test_rows_of_one_pack_do_not_see_each_other() -> None:
    rows = [Row((1,), (Branch((2,), (True,)),)), Row((3,), (Branch((4,), (True,)),))]
    (batch,) = pack(rows, 8)
    assert visible(batch) == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_a_frozen_context_runs_first_except_for_the_token_that_predicts_the_reply() -> None:
    rows = [Row((1, 2, 3), (Branch((4, 5), (True,) * 2), Branch((6,), (True,)))), Row((7,), (Branch((8,), (True,)),))]
    (batch,) = pack(rows, 16, frozen_contexts=True)
    assert batch.prelude is not None
    assert batch.prelude.tokens.tolist() == [1, 2]
    assert batch.strip.tokens.tolist() == [3, 4, 5, 6, 7, 8]
    assert batch.strip.positions.tolist() == [2, 3, 4, 3, 0, 1]
    assert [(s.own, s.context, s.memory) for s in batch.strip.segments] == [
        ((0, 3), (), ((0, 2),)),
        ((3, 4), ((0, 1),), ((0, 2),)),
        ((4, 6), (), ()),
    ]
    assert batch.predictors.tolist() == [0, 1, 0, 4]
    assert len(batch) == 8


def test_contexts_that_begin_alike_share_that_beginning() -> None:
    start = tuple(range(10, 19))
    branch = Branch((1,), (True,))
    rows = [Row((*start, 30), (branch,)), Row((*start[:8], 40, 41), (branch, branch)), Row((*start, 30), (branch,))]
    (batch,) = pack(rows, 99)
    assert batch.strip.tokens.tolist() == [*start, 30, 1, 1, 40, 41, 1, 1]
    assert batch.strip.positions.tolist() == [*range(11), 10, 8, 9, 10, 10]
    assert [(s.own, s.context) for s in batch.strip.segments] == [
        ((0, 11), ()),
        ((11, 12), ((0, 10),)),
        ((12, 15), ((0, 8),)),
        ((15, 16), ((0, 8), (12, 14))),
    ]
    assert [span.row for span in batch.spans] == [0, 2, 1, 1]
    assert batch.predictors.tolist() == [9, 9, 13, 13]


def test_frozen_contexts_that_begin_alike_share_that_beginning() -> None:
    start, branch = tuple(range(10, 19)), Branch((1,), (True,))
    (batch,) = pack([Row((*start, 30), (branch,)), Row((*start, 40, 30), (branch,))], 99, frozen_contexts=True)
    assert batch.prelude is not None
    assert batch.prelude.tokens.tolist() == [*start, 40]
    assert batch.prelude.positions.tolist() == list(range(10))
    assert [(s.own, s.context) for s in batch.prelude.segments] == [((0, 9), ()), ((9, 10), ((0, 9),))]
    assert batch.strip.tokens.tolist() == [30, 1, 30, 1]
    assert batch.strip.positions.tolist() == [9, 10, 10, 11]
    assert [s.memory for s in batch.strip.segments] == [((0, 9),), ((0, 9), (9, 10))]


def test_without_contexts_longer_than_a_token_there_is_nothing_to_freeze() -> None:
    rows = [Row((7,), (Branch((8, 9), (True, True)),))]
    frozen, full = pack(rows, 16, frozen_contexts=True)[0], pack(rows, 16)[0]
    assert frozen.prelude is None
    assert frozen.strip.segments == full.strip.segments


def test_unscored_tokens_are_context_for_what_follows() -> None:
    row = Row((1,), (Branch((2, 3, 4), (True, False, True)),))
    (batch,) = pack([row], 8)
    assert batch.predictors.tolist() == [0, 2]
    assert batch.targets.tolist() == [2, 4]
