from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dreamloop.dream.novelty import Novelty, overlaps, signature

TEXT = "The kettle costs 72 euros and the mirror costs 67 euros, so I will enter a total of 139 euros tonight."


@given(st.text(max_size=300))
def test_a_text_is_always_known_again(text: str) -> None:
    assert Novelty([signature(text)]).knows(signature(text))


def test_a_text_with_one_more_word_is_a_repeat_and_another_text_is_not() -> None:
    index = Novelty([signature(TEXT)])
    assert index.knows(signature(TEXT + " Thanks"))
    assert not index.knows(signature("Chiara moved the concert to Friday, and the rehearsal is two days earlier."))


def test_case_and_punctuation_do_not_make_a_text_new() -> None:
    assert Novelty([signature(TEXT)]).knows(signature(TEXT.upper().replace(",", ";")))


def test_a_signature_is_small_and_stable() -> None:
    assert len(signature(TEXT)) == 256
    assert signature(TEXT) == signature(TEXT)
    # Stored signatures must keep their meaning across releases.
    assert signature("one two three").hex()[:16] == "a0919e47c8f8d901"


def test_overlap_is_told_text_by_text() -> None:
    assert overlaps([TEXT, "something else entirely, about boats"], [TEXT + " ok"]) == [True, False]
