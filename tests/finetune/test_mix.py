from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dreamloop.finetune.mix import Picked, anchor_rows, stratified_batches, twin_batches
from dreamloop.model.encode import Branch, Row
from dreamloop.records import Message, Pair, Provenance


def pair(n: int, twin: str | None, chosen: str = "Yes.") -> Pair:
    return Pair(
        (Message("user", f"question {n}"),), chosen, "No.", Provenance("test", str(n), 0, "right", "strong"), twin
    )


@given(st.integers(0, 12), st.integers(0, 9), st.integers(1, 9), st.integers(0, 99))
def test_twins_always_share_a_step_and_every_pair_is_used_once(twins: int, single: int, size: int, seed: int) -> None:
    pairs = [pair(2 * k + side, f"t{k}") for k in range(twins) for side in (0, 1)]
    pairs += [pair(1000 + k, None) for k in range(single)]
    if not pairs:
        return
    batches = twin_batches(pairs, size, seed)
    assert sorted(p.digest for batch in batches for p in batch) == sorted(p.digest for p in pairs)
    for batch in batches:
        names = [p.twin for p in batch if p.twin]
        assert all(names.count(name) == 2 for name in names)


def test_the_order_follows_from_the_seed() -> None:
    pairs = [pair(k, None) for k in range(20)]
    assert twin_batches(pairs, 4, 1) == twin_batches(list(reversed(pairs)), 4, 1)
    assert twin_batches(pairs, 4, 1) != twin_batches(pairs, 4, 2)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 20), st.integers(0, 99))
def test_every_step_holds_its_share_of_each_source(own: int, general: int, size: int, seed: int) -> None:
    steps = stratified_batches((range(own), range(100, 100 + general)), size, seed)
    assert sorted(item for step in steps for source in step for item in source) == [
        *range(own),
        *range(100, 100 + general),
    ]
    for source in (0, 1):
        lengths = [len(step[source]) for step in steps]
        assert max(lengths, default=0) - min(lengths, default=0) <= 1
    assert all(any(step) for step in steps)


def rows(first: int, count: int, length: int) -> list[Row]:
    return [Row((first + k,), (Branch((1,) * length, (True,) * length),)) for k in range(count)]


def lengths(picked: list[Picked]) -> list[int]:
    return [len(pick.row.branches[0].tokens) for pick in picked]


def test_the_anchor_takes_exactly_its_tokens_and_goes_round() -> None:
    first, second = (anchor_rows([rows(0, 2, 10)], 15, step, 2) for step in (0, 1))
    assert lengths(first) == [10, 5]
    assert [pick.number for pick in first] == [0, 1]
    assert [pick.number for pick in second] == [1, 0]
    assert lengths(anchor_rows([rows(0, 2, 10)], 99, 0, 2)) == [10, 10]
    assert anchor_rows([], 99, 0, 2) == []


def test_every_anchor_holds_each_sources_share_of_tokens() -> None:
    for step in range(8):
        picked = anchor_rows([rows(0, 6, 40), rows(100, 2, 350)], 256, step, 8)
        tokens = [sum(lengths([pick for pick in picked if pick.source == source])) for source in (0, 1)]
        assert tokens == [192, 64]


@given(st.integers(1, 40), st.integers(1, 40))
def test_few_steps_begin_spread_over_all_rows_and_many_begin_at_each(count: int, steps: int) -> None:
    starts = [anchor_rows([rows(0, count, 10)], 5, step, steps)[0].number for step in range(steps)]
    assert len(set(starts)) == min(count, steps)
    if steps < count:
        assert max(starts) >= count - -(-count // steps)
