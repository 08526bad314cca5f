from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dreamloop.model.encode import Branch, Row
from dreamloop.model.pack import pack, plan


@given(st.lists(st.integers(1, 80), max_size=40), st.integers(10, 100))
def test_every_item_is_packed_once_and_no_pack_is_over_budget(lengths: list[int], budget: int) -> None:
    bins = plan(lengths, budget)
    assert sorted(item for items in bins for item in items) == list(range(len(lengths)))
    for items in bins:
        assert sum(lengths[i] for i in items) <= budget or len(items) == 1


def test_branches_continue_the_contexts_positions_and_do_not_see_each_other() -> None:
    row = Row((5, 6), (Branch((7, 8), (True, True)), Branch((9,), (True,))))
    (batch,) = pack([row], 16)
    assert batch.tokens.tolist() == [5, 6, 7, 8, 9]
    assert batch.positions.tolist() == [0, 1, 2, 3, 2]
    assert batch.visible.int().tolist() == [
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
    assert batch.visible.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_unscored_tokens_are_context_for_what_follows() -> None:
    row = Row((1,), (Branch((2, 3, 4), (True, False, True)),))
    (batch,) = pack([row], 8)
    assert batch.predictors.tolist() == [0, 2]
    assert batch.targets.tolist() == [2, 4]
