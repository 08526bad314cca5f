from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.model.encode import Branch, Row
from dreamloop.model.pack import Pack, pack, plan


@given(st.lists(st.integers(1, 80), max_size=40), st.integers(10, 100))
def test_every_item_is_packed_once_and_no_pack_is_over_budget(lengths: list[int], budget: int) -> None:
    bins = plan(lengths, budget)
    assert sorted(item for items in bins for item in items) == list(range(len(lengths)))
    for items in bins:
        assert sum(lengths[i] for i in items) <= budget or len(items) == 1


def visible(batch: Pack) -> list[list[int]]:
    """Who sees whom, as the dense mask that the segments stand for."""
    seen = torch.zeros(len(batch.strip.tokens), len(batch.strip.tokens), dtype=torch.int)
    for segment in batch.strip.segments:
        own = slice(*segment.own)
        seen[own, own] = torch.ones(segment.length, segment.length, dtype=torch.int).tril()
        seen[own, slice(*segment.context)] = 1
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
        ((0, 3), (0, 0), (0, 2)),
        ((3, 4), (0, 1), (0, 2)),
        ((4, 6), (0, 0), (0, 0)),
    ]
    assert batch.predictors.tolist() == [0, 1, 0, 4]
    assert len(batch) == 8


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
