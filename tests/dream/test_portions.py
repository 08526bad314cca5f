from __future__ import annotations

import random
from collections import Counter

import pytest

from dreamloop.dream.axes import Coverage
from dreamloop.dream.portions import instead, portions, technical_share
from dreamloop.records import Tally

KINDS = ("sums", "products", "units", "dates", "clock", "code", "bugs", "commands", "notes", "lists", "facts", "goals")
TECHNICAL = set(KINDS[:8])


def drawn(count: int, share: float = 0.4, falling: frozenset[str] = frozenset(), seed: int = 0) -> Counter[str]:
    return Counter(portions(count, KINDS, share, 0.2, falling, Coverage(), random.Random(seed)))


@pytest.mark.parametrize("count", [1, 5, 10, 46, 200])
def test_a_night_has_as_many_twins_as_wanted_and_no_kind_more_than_a_fifth(count: int) -> None:
    chosen = drawn(count)
    assert chosen.total() == count
    assert max(chosen.values()) <= max(1, count // 5)


def test_ten_twins_hold_at_least_eight_kinds() -> None:
    assert all(len(drawn(10, seed=seed)) >= 8 for seed in range(20))


def test_a_kind_that_lags_far_behind_does_not_come_twice_before_eight_came_once() -> None:
    past = Coverage(Tally("kind", kind, 9) for kind in KINDS if kind not in {"facts", "notes"})
    chosen = Counter(portions(10, KINDS, 0.4, 0.2, (), past, random.Random(0)))
    assert len(chosen) >= 8
    assert chosen["facts"] == chosen["notes"] == 2


def test_the_technical_share_is_kept_on_average_over_small_nights() -> None:
    technical = sum(chosen[kind] for seed in range(200) for chosen in [drawn(3, seed=seed)] for kind in TECHNICAL)
    assert technical / 600 == pytest.approx(0.4, abs=0.05)


def test_a_falling_ability_gets_half_as_much_again_and_two_thirds_of_it() -> None:
    assert technical_share(0.4, ()) == 0.4
    assert technical_share(0.4, {"code"}) == pytest.approx(0.6)
    chosen = drawn(30, technical_share(0.4, {"code"}), frozenset({"code"}))
    assert sum(chosen[kind] for kind in TECHNICAL) == 18
    assert sum(chosen[kind] for kind in ("code", "bugs", "commands")) >= 12


def test_kinds_that_were_dreamed_least_come_first() -> None:
    past = Coverage(Tally("kind", kind, 5) for kind in KINDS if kind not in {"facts", "units"})
    chosen = portions(2, KINDS, 0.5, 0.5, frozenset(), past, random.Random(0))
    assert sorted(chosen) == ["facts", "units"]


def test_what_a_night_has_already_counts_for_its_shares() -> None:
    before = Counter({"sums": 2, "notes": 2, "code": 2})
    for seed in range(20):
        more = Counter(portions(4, KINDS, 0.4, 0.2, (), Coverage(), random.Random(seed), before))
        assert more.total() == 4
        assert not more.keys() & before.keys()
        assert sum(more[kind] for kind in TECHNICAL) == 0  # four of ten are there
    assert Counter(portions(2, KINDS, 0.4, 0.2, (), Coverage(), random.Random(0), Counter(notes=8))).total() == 2


def test_what_takes_the_place_of_another_kind_leaves_no_kind_with_more_than_its_share() -> None:
    night = Counter({"sums": 2, "facts": 1})
    for seed in range(20):
        chosen = Counter(instead(7, KINDS[:9], 0.2, night, Coverage(), random.Random(seed)))
        assert chosen.total() == 7
        assert chosen["sums"] == 0
        assert max(chosen.values()) <= 2


def test_where_there_are_few_kinds_each_may_have_more_than_its_share() -> None:
    assert Counter(portions(9, ("notes", "lists", "facts"), 0.4, 0.2, (), Coverage(), random.Random(0))) == {
        "notes": 3, "lists": 3, "facts": 3,
    }  # fmt: skip
