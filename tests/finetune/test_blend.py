from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dreamloop.finetune.blend import interleave, shares, weights

SIZES = {"base": 100, "big": 900, "small": 25}


def test_weights_by_size_by_its_root_and_by_quality() -> None:
    assert weights(SIZES, "proportional", 2.0, {}) == {"base": 100.0, "big": 900.0, "small": 25.0}
    assert weights(SIZES, "temperature", 2.0, {}) == {"base": 10.0, "big": 30.0, "small": 5.0}
    assert weights(SIZES, "quality", 2.0, {"small": 3.0}) == {"base": 1.0, "big": 1.0, "small": 3.0}


def test_temperature_one_is_proportional_and_a_large_one_is_equal() -> None:
    assert weights(SIZES, "temperature", 1.0, {}) == weights(SIZES, "proportional", 1.0, {})
    even = weights(SIZES, "temperature", 1e9, {})
    assert max(even.values()) - min(even.values()) < 1e-6


def test_rows_are_dealt_by_the_largest_remainders() -> None:
    # 10 by 10:30:5 is 2.22, 6.67, 1.11: the one row left goes to the largest rest
    assert shares(10, SIZES, weights(SIZES, "temperature", 2.0, {})) == {"base": 2, "big": 7, "small": 1}


def test_what_a_small_source_cannot_give_the_others_give() -> None:
    assert shares(10, {"a": 2, "b": 50, "c": 50}, {"a": 8.0, "b": 1.0, "c": 1.0}) == {"a": 2, "b": 4, "c": 4}


sizes = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 30), min_size=1)


@given(sizes, st.integers(0, 100), st.lists(st.floats(0.01, 10), min_size=5, max_size=5))
def test_the_sum_is_what_is_wanted_or_all_there_is_and_nobody_gives_more_than_he_has(
    sizes: dict[str, int], total: int, weighing: list[float]
) -> None:
    given_ = shares(total, sizes, dict(zip("abcde", weighing, strict=True)))
    assert sum(given_.values()) == min(total, sum(sizes.values()))
    assert all(0 <= given_[name] <= sizes[name] for name in sizes)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 60))
def test_any_beginning_holds_the_shares_of_the_whole(lengths: list[int], cut: int) -> None:
    sources = [[(s, k) for k in range(n)] for s, n in enumerate(lengths)]
    mixed = interleave(sources)
    assert sorted(mixed) == sorted(item for source in sources for item in source)
    beginning = mixed[:cut]
    for number, length in enumerate(lengths):
        own = [item for item in beginning if item[0] == number]
        assert own == sources[number][: len(own)]
        assert abs(len(own) - len(beginning) * length / len(mixed)) <= len(lengths)
