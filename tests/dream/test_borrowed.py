from __future__ import annotations

from dataclasses import replace

from shelves import PROVABLE, dreamer

from dreamloop.dream.books import Book, Shelf
from dreamloop.dream.borrowed import bystanders_of, lendable
from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.reading import load_suite

LENT = lendable([PROVABLE], lambda _: False)
TWINS = dreamer().dream(6, 1).twins


def of_book(accept: tuple[str, ...], push_back: tuple[str, ...]) -> Shelf:
    """A shelf with one book that has these replies."""
    book = PROVABLE.books["notes"]
    sections = {**book.phrases.sections, "accept": accept, "push_back": push_back}
    own = Book("notes", book.seeder, replace(book.phrases, sections=sections))
    return replace(PROVABLE, books={"notes": own})


def test_both_sides_are_held_by_the_same_replies_and_what_is_chosen_on_one_is_rejected_on_the_other() -> None:
    held = bystanders_of(TWINS, LENT, 4, 0)
    for right, wrong in zip(held[::2], held[1::2], strict=True):
        assert (right.pair.provenance.signal, wrong.pair.provenance.signal) == ("right", "wrong")
        assert right.pair.twin == wrong.pair.twin
        assert [(no, yes) for yes, no in wrong.borrowed] == list(right.borrowed)
        assert len(set(zip(right.replies()[::2], right.replies()[1::2], strict=True))) == 4
    assert [side.pair.twin for side in held[::2]] == [one.right.twin for one in TWINS]


def test_replies_are_borrowed_from_many_books_as_these_pair_them() -> None:
    held = bystanders_of(TWINS, LENT, 16, 0)
    borrowed = {two for side in held[::2] for two in side.borrowed}
    assert borrowed <= set(LENT["en"])
    owners = {kind for kind, book in PROVABLE.books.items()
              if set(zip(book.phrases["accept"], book.phrases["push_back"], strict=True)) & borrowed}  # fmt: skip
    assert len(owners) > 12


def test_the_same_seed_borrows_the_same_and_one_pair_of_replies_is_its_own() -> None:
    assert bystanders_of(TWINS, LENT, 4, 3) == bystanders_of(TWINS, LENT, 4, 3) != bystanders_of(TWINS, LENT, 4, 4)
    assert all(side.borrowed == () for side in bystanders_of(TWINS, LENT, 1, 3))


def test_what_has_a_slot_or_comes_near_a_gate_item_is_not_lent() -> None:
    shelf = of_book(
        ("Yes, it is {fact}.", "[yes|indeed], go on.", "Yes, the two agree in all they say."),
        ("No, stop.", "[no|never], wait.", "No, the two say things that differ a lot."),
    )
    asked = GateTexts(["the two say things that differ a lot"])
    lent = lendable([shelf], asked)
    assert lent == {"en": [("[yes|indeed], go on.", "[no|never], wait.")]}
    found = {two for side in bystanders_of(TWINS, lent, 4, 0)[::2] for two in side.borrowed}
    assert found <= {(yes, no) for yes in ("Yes, go on.", "Indeed, go on.") for no in ("No, wait.", "Never, wait.")}


def test_no_shipped_reply_comes_near_a_gate_item() -> None:
    assert lendable([PROVABLE], GateTexts(load_suite().texts())) == LENT
    assert len(LENT["en"]) > 180


def test_its_own_replies_are_not_lent_to_it_again_and_a_small_book_lends_what_it_has() -> None:
    (one,) = TWINS[:1]
    own = (one.right.accept, one.right.push_back)
    (right, _) = bystanders_of([one], {"en": [own, ("Yes.", "No.")]}, 4, 0)
    assert right.borrowed == (("Yes.", "No."),)
