from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from shelves import PROVABLE, dreamer

from dreamloop.dream.books import Shelf
from dreamloop.dream.borrowed import held_pairs
from dreamloop.dream.scenarios import HeldOut, pairs_of
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.reading import load_suite
from dreamloop.records import Pair

TWINS = dreamer().dream(6, 1).twins


def held(count: int, seed: int = 0, shelf: Shelf = PROVABLE, held_out: HeldOut = lambda _: False) -> list[Pair]:
    return held_pairs(TWINS, [shelf], count, held_out, random.Random(seed))


def replies(pairs: Sequence[Pair]) -> dict[str, list[tuple[str, str]]]:
    """What each bystander is held by: accepting and pushing back."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in pairs:
        if pair.provenance.signal == "right":
            found[pair.twin or ""].append((pair.chosen, pair.rejected))
    return found


def book_of(accept: tuple[str, ...], push_back: tuple[str, ...]) -> Shelf:
    """A shelf with one book, which has these replies."""
    book = PROVABLE.books["notes"]
    sections = {**book.phrases.sections, "accept": accept, "push_back": push_back}
    return replace(PROVABLE, books={"notes": replace(book, phrases=replace(book.phrases, sections=sections))})


def test_both_sides_have_the_same_replies_and_what_is_chosen_on_one_is_rejected_on_the_other() -> None:
    pairs = held(4)
    assert [pair.twin for pair in pairs[::8]] == [one.right.twin for one in TWINS]
    for k, (right, wrong) in enumerate(zip(pairs[::2], pairs[1::2], strict=True)):
        assert (right.provenance.signal, wrong.provenance.signal) == ("right", "wrong")
        assert right.twin == wrong.twin
        if k % 4:  # its own may name what each side claims
            assert (right.chosen, right.rejected) == (wrong.rejected, wrong.chosen)


def test_the_first_replies_are_its_own_and_all_are_different() -> None:
    own = [pair for one in TWINS for pair in pairs_of(one)]
    assert held(1) == own
    assert [pair for k, pair in enumerate(held(8)) if k % 16 < 2] == own
    for seed in range(20):
        assert all(len(said) == len(set(said)) == 16 for said in replies(held(16, seed)).values())


def test_replies_are_lent_by_many_books_as_these_pair_them() -> None:
    lent = {two for said in replies(held(16)).values() for two in said[1:]}
    owners = Counter(
        kind
        for kind, book in PROVABLE.books.items()
        if set(zip(book.phrases["accept"], book.phrases["push_back"], strict=True)) & lent
    )
    assert len(owners) > 12
    assert lent <= {
        two
        for book in PROVABLE.books.values()
        for two in zip(book.phrases["accept"], book.phrases["push_back"], strict=True)
    }


def test_the_same_seed_lends_the_same() -> None:
    assert held(4, 3) == held(4, 3) != held(4, 4)


def test_what_has_a_slot_or_comes_near_a_gate_item_is_not_lent_and_a_small_book_lends_what_it_has() -> None:
    shelf = book_of(
        ("Yes, it is {fact}.", "[yes|indeed], go on.", "Yes, the two agree in all they say."),
        ("No, stop.", "[no|never], wait.", "No, the two say things that differ a lot."),
    )
    near = GateTexts(["the two say things that differ a lot"])
    lent = {two for said in replies(held(4, 0, shelf, near)).values() for two in said[1:]}
    assert lent
    assert lent <= {(yes, no) for yes in ("Yes, go on.", "Indeed, go on.") for no in ("No, wait.", "Never, wait.")}


def test_no_shipped_reply_comes_near_a_gate_item() -> None:
    assert held(16, held_out=GateTexts(load_suite().texts())) == held(16)
