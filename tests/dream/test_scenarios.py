from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import pytest

from dreamloop.dream.novelty import Novelty
from dreamloop.dream.scenarios import dream, fingerprint, load_books, pairs_of
from dreamloop.dream.seeds import SEEDERS
from dreamloop.errors import ConfigError
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.reading import load_suite
from dreamloop.paths import prompts_folder
from dreamloop.records import flatten


def nothing_held_out(_: Sequence[str]) -> bool:
    return False


BOOKS = load_books(prompts_folder(), tuple(SEEDERS))


def test_thirty_nights_repeat_nothing_and_hold_every_kind_and_both_sides() -> None:
    novelty = Novelty()
    texts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for night in range(30):
        for twins in dream(10, BOOKS, night, novelty, nothing_held_out).twins:
            texts.update(flatten(s.context) for s in (twins.right, twins.wrong))
            kinds[twins.right.kind] += 1
            assert (twins.right.side, twins.wrong.side) == ("right", "wrong")
    assert max(texts.values()) == 1
    assert set(kinds) == set(SEEDERS)
    assert kinds.total() >= 290


def test_the_same_seed_and_past_give_the_same_dreams() -> None:
    first = dream(8, BOOKS, 5, Novelty(), nothing_held_out)
    assert dream(8, BOOKS, 5, Novelty(), nothing_held_out) == first
    past = Novelty(fingerprint(twins) for twins in first.twins)
    again = dream(8, BOOKS, 5, past, nothing_held_out)
    assert not {t.right.twin for t in first.twins} & {t.right.twin for t in again.twins}
    assert sum(skip.count for skip in again.skips) >= 1


def test_the_two_pairs_of_twins_offer_the_same_replies_with_the_sides_exchanged() -> None:
    for twins in dream(7, BOOKS, 1, Novelty(), nothing_held_out).twins:
        right, wrong = pairs_of(twins)
        assert (right.chosen, right.rejected) == (wrong.rejected, wrong.chosen)
        assert right.twin == wrong.twin
        assert right.chosen == twins.right.accept


def test_scenarios_that_share_the_wording_of_their_situation_share_its_name() -> None:
    dreamed = dream(40, BOOKS, 2, Novelty(), nothing_held_out).twins
    for kind in SEEDERS:
        own = [twins for twins in dreamed if twins.right.kind == kind]
        assert all(twins.right.template == twins.wrong.template for twins in own)
        for a, b in combinations(own, 2):
            alike = [_begins_as(BOOKS[kind]["situation"], t.right.context[0].content) for t in (a, b)]
            assert (a.right.template == b.right.template) is (alike[0] == alike[1])


def _begins_as(situations: Sequence[str], text: str) -> int:
    """Which situation a text was made of: the one whose fixed words are all in it, and most of them."""
    words = [re.sub(r"\{\w+\}", " ", situation).lower().split() for situation in situations]
    return max(range(len(words)), key=lambda k: (all(w in text.lower() for w in words[k]), len(words[k])))


def test_no_dream_comes_near_a_gate_item() -> None:
    suite = load_suite()
    novelty = Novelty()
    texts = [
        s.context[-1].content
        for night in range(20)
        for twins in dream(14, BOOKS, night, novelty, nothing_held_out).twins
        for s in (twins.right, twins.wrong)
    ]
    assert len(texts) > 400
    held_out = GateTexts(suite.texts())
    assert not [text for text in texts if held_out([text])]


def test_what_resembles_a_held_out_item_is_discarded_and_counted() -> None:
    (twins,) = dream(1, BOOKS, 3, Novelty(), nothing_held_out).twins
    held_out = GateTexts([twins.right.context[0].content])
    again = dream(1, BOOKS, 3, Novelty(), held_out)
    assert any("gate item" in skip.reason for skip in again.skips)


def test_two_hundred_nights_with_their_lessons_repeat_no_scenario() -> None:
    novelty = Novelty()
    digests: Counter[str] = Counter()
    for night in range(200):
        for count, seed in ((10, night), (36, 10_000 + night)):
            for twins in dream(count, BOOKS, seed, novelty, nothing_held_out).twins:
                digests.update([twins.right.digest, twins.wrong.digest])
    assert max(digests.values()) == 1
    assert digests.total() > 10_000


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="riddles"):
        load_books(prompts_folder(), ("sums", "riddles"))
