from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dreamloop.finetune.mix import anchor_rows, stratified_batches, twin_batches
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


def test_the_anchor_takes_exactly_its_tokens_and_goes_round() -> None:
    rows = [Row((1,), (Branch((2,) * 10, (True,) * 10),)), Row((3,), (Branch((4,) * 10, (True,) * 10),))]
    first, second = anchor_rows(rows, 15, 0), anchor_rows(rows, 15, 1)
    assert [len(row.branches[0].tokens) for row in first] == [10, 5]
    assert [row.context for row in first] == [(1,), (3,)]
    assert [row.context for row in second] == [(3,), (1,)]
    assert sum(len(row.branches[0].tokens) for row in anchor_rows(rows, 99, 0)) == 20
