from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamloop.dream.novelty import Novelty, mark_of
from dreamloop.errors import StateError

TEXT = "The kettle costs 72 euros and the mirror costs 67 euros, so I will enter a total of 139 euros tonight."
OTHER = "Chiara moved the concert to Friday, and the rehearsal is two days earlier."


@given(st.text(max_size=300))
def test_a_text_is_always_known_again(text: str) -> None:
    index = Novelty()
    index.add(text)
    assert index.knows(text)


def test_a_text_with_one_more_word_is_a_repeat_and_another_text_is_not() -> None:
    index = Novelty()
    index.add(TEXT)
    assert index.knows(TEXT + " Thanks")
    assert not index.knows(OTHER)


def test_case_and_punctuation_do_not_make_a_text_new() -> None:
    index = Novelty()
    index.add(TEXT)
    assert index.knows(TEXT.upper().replace(",", ";"))


def test_a_mark_is_small_and_keeps_its_meaning_across_releases() -> None:
    mark = mark_of("one two three")
    assert (len(mark.bytes), len(mark.keys)) == (128, 16)
    assert mark.bytes.hex()[:16] == "039426d7f3a81dcd"
    assert mark.keys[:2] == (126121986, 434724450)


def test_texts_above_the_threshold_are_found_and_texts_far_below_it_are_not() -> None:
    words = [f"word{k}" for k in range(39)]
    missed = mistaken = 0
    for start in range(200):
        index = Novelty()
        index.add(" ".join(f"{word}x{start}" for word in words))
        near = [f"{word}x{start}" if k != 20 else "other" for k, word in enumerate(words)]  # 34 of 40: Jaccard 0.85
        far = [f"{word}x{start}" if k % 8 else "other" for k, word in enumerate(words)]  # 24 of 50: Jaccard 0.48
        missed += not index.knows(" ".join(near))
        mistaken += index.knows(" ".join(far))
    assert missed <= 6
    assert mistaken == 0


def test_an_exact_digest_is_known_whatever_the_similarity() -> None:
    index = Novelty()
    index.add(TEXT, "ab" * 32)
    assert index.knows(OTHER, "ab" * 32)
    assert not index.knows(OTHER, "cd" * 32)


def test_what_was_kept_is_there_after_the_file_is_opened_again_and_the_rest_is_not(tmp_path: Path) -> None:
    index = Novelty(tmp_path / "novelty.db")
    index.add(TEXT)
    index.keep(4)
    index.add(OTHER)
    index.close()  # as a crash would
    again = Novelty(tmp_path / "novelty.db")
    assert again.knows(TEXT)
    assert not again.knows(OTHER)
    assert again.reached == 4
    assert (tmp_path / "novelty.db").stat().st_mode & 0o777 == 0o600


def test_what_the_file_lacks_is_taken_from_the_ledger(tmp_path: Path) -> None:
    index = Novelty(tmp_path / "novelty.db")
    index.catch_up([(2, TEXT, ("ab" * 32,)), (4, OTHER, ())])
    assert index.knows(OTHER)
    assert index.knows("something else altogether, not alike", "ab" * 32)
    assert index.reached == 4


@pytest.mark.parametrize("content", [b"", b"no database at all", None])
def test_a_file_that_is_no_index_of_this_version_is_begun_anew(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "novelty.db"
    if content is None:  # an index of another version
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 99")
        db.execute("CREATE TABLE marks (something TEXT)")
        db.close()
    else:
        path.write_bytes(content)
    index = Novelty(path)
    assert index.reached == 0
    index.add(TEXT)
    assert index.knows(TEXT)


def test_a_file_that_cannot_be_written_is_one_sentence_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="builds it anew from the ledger"):
        Novelty(tmp_path / "nowhere" / "novelty.db")
