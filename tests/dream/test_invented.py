from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from dreamloop.dream.invented import code, name, two_codes, two_names

seeds = st.integers(0, 10_000)


@given(seeds)
def test_two_codes_differ_and_have_the_same_shape(seed: int) -> None:
    first, second = two_codes(random.Random(seed))
    assert first != second
    assert [letter.isdigit() for letter in first] == [letter.isdigit() for letter in second]


def test_half_of_them_differ_in_one_digit_only() -> None:
    rng = random.Random(1)
    pairs = [two_codes(rng) for _ in range(1000)]
    near = sum(sum(a != b for a, b in zip(*pair, strict=True)) == 1 for pair in pairs)
    assert 450 <= near <= 560


@given(seeds)
def test_two_names_differ_and_are_one_word_each(seed: int) -> None:
    first, second = two_names(random.Random(seed))
    assert first != second
    assert first.isalpha()
    assert first.istitle()


def test_hardly_any_value_comes_twice() -> None:
    rng = random.Random(2)
    assert len({code(rng) for _ in range(1000)}) > 950
    assert len({name(rng) for _ in range(1000)}) > 950


def test_the_same_seed_gives_the_same_values() -> None:
    assert two_codes(random.Random(3)) == two_codes(random.Random(3))
