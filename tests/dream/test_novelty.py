from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dreamloop.dream.novelty import Novelty, signature

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


def test_texts_near_the_threshold_are_found_every_time() -> None:
    words = [f"word{k}" for k in range(60)]
    missed = 0
    for start in range(100):
        text = " ".join(f"{word}x{start}" for word in words)
        changed = text.replace(f"word30x{start}", "other")  # 3 of 58 triples differ: Jaccard 55/61 = 0.90
        missed += not Novelty([signature(text)], threshold=0.8).knows(signature(changed))
    assert missed == 0


def test_an_exact_digest_is_known_whatever_the_similarity() -> None:
    index = Novelty(exact=["abc"])
    assert index.knows(signature(TEXT), "abc")
    assert not index.knows(signature(TEXT), "abd")
