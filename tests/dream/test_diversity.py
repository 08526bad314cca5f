from __future__ import annotations

import math

import pytest
from shelves import PROVABLE, dreamer

from dreamloop.dream.diversity import diversity, entropy, falling, known_values
from dreamloop.records import Dreamed, Message, Scenario, Twins


def twins(text: str) -> Twins:
    right = Scenario("k", "k/1", "right", "t", (Message("user", text),), "Yes.", "No.", "proof")
    return Twins(right, right)


def test_distinct_runs_and_their_entropy_by_hand() -> None:
    found = diversity(Dreamed((twins("a b a b"), twins("a b")), ()), covered=0.25, refused=0.5)
    assert found is not None
    # Words a b a b a b: 2 of 6 are distinct, 2 (ab, ba) of 5 pairs, 2 (aba, bab) of 4 triples.
    assert (found.distinct_1, found.distinct_2, found.distinct_3) == pytest.approx((2 / 6, 2 / 5, 2 / 4))
    assert found.entropy == pytest.approx(-(3 / 5) * math.log2(3 / 5) - (2 / 5) * math.log2(2 / 5))
    assert (found.twins, found.words, found.covered, found.refused) == (2, 6, 0.25, 0.5)


def test_entropy_is_nothing_where_all_is_the_same_and_full_where_nothing_is() -> None:
    assert entropy(["x"] * 8) == 0
    assert entropy(list("abcdefgh")) == pytest.approx(3)


def test_only_so_many_words_count_so_that_large_nights_compare_with_small_ones() -> None:
    small, large = (dreamer().dream(count, 0) for count in (30, 90))
    first, second = (diversity(one, 0, 0) for one in (small, large))
    assert first is not None
    assert second is not None
    assert first.words == second.words
    assert first.distinct_2 == pytest.approx(second.distinct_2, abs=0.1)


def test_without_dreams_there_is_nothing_to_measure() -> None:
    assert diversity(Dreamed((), ()), 0, 0) is None


def night(**changes: float) -> dict[str, float]:
    return {"words": 600, "distinct_2": 0.8, "distinct_3": 0.9, "entropy": 8.5, "refused": 0.05, **changes}


def test_a_fall_is_told_once_it_lasts_and_names_what_falls_and_the_way_out() -> None:
    steady = [night() for _ in range(4)]
    assert falling([*steady, *(night(entropy=8.45) for _ in range(4))]) == ()
    assert falling([*steady, night(entropy=7.0)]) == ()  # one night is not a trend
    (told,) = falling([*steady, *(night(entropy=8.0) for _ in range(4))])
    assert "entropy went from 8.50 to 8.00" in told
    assert "dream.books" in told


def test_small_nights_have_no_part_in_the_trend() -> None:
    assert falling([*(night() for _ in range(4)), *(night(entropy=6.0, words=90) for _ in range(4))]) == ()


def test_more_and_more_repeats_are_told_as_well() -> None:
    (told,) = falling([*(night() for _ in range(4)), *(night(refused=0.4) for _ in range(4))])
    assert "refused went from 0.05 to 0.40" in told


def test_every_known_value_is_dreamed_sooner_or_later() -> None:
    known, used = known_values([PROVABLE]), set()
    asleep = dreamer()
    for seed in range(30):
        used |= {(a.name, a.value) for t in asleep.dream(40, seed).twins for a in t.right.axes}
    assert known - used == set()
    assert len(known) >= 300
