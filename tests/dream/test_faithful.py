from __future__ import annotations

from dataclasses import replace

import pytest
from shelves import KINDS, sketches

from dreamloop.dream.faithful import unfaithful, unproven

SENTENCE = "Petra moved the concert from Monday to Thursday, and it begins 3 hours later."
KEPT = ("Petra", "concert", "Monday", "Thursday", "3")


@pytest.mark.parametrize("kind", KINDS)
def test_what_grammar_says_holds_its_proof(kind: str) -> None:
    assert not [fault for drawn in sketches(kind, 150) if (fault := unproven(drawn))]


def test_a_text_that_lost_what_proves_it_is_refused() -> None:
    (drawn,) = sketches("sums", 1)
    assert unproven(replace(drawn, situation="Somebody bought two things.")) == "does not state what proves it"


def test_a_direction_without_its_claim_is_refused() -> None:
    (drawn,) = sketches("dates", 1)
    assert unproven(replace(drawn, direction="I will write it down."))


def test_a_claim_in_the_situation_is_refused_because_twins_would_differ_there() -> None:
    (drawn,) = sketches("facts", 1)
    assert unproven(replace(drawn, situation=drawn.situation + " It is {claim}.")) != ""


@pytest.mark.parametrize(
    "text",
    ["Petra shifted the concert from Monday to Thursday, and it begins 3 hours later.",
     "Petra moved the concert from Monday to Thursday and it starts 3 hours later."],
)  # fmt: skip
def test_other_words_for_the_same_are_taken(text: str) -> None:
    assert unfaithful(SENTENCE, text, KEPT) == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Petra moved the concert from Monday to Thursday, and it begins 3 hours later!", "the same again"),
        ("Petra moved the concert from Thursday to Monday, and it starts 3 hours later.", "lost or moved a value"),
        ("Petra moved the concert to Thursday, and it starts 3 hours later.", "lost or moved a value"),
        ("Petra moved the concert from Monday to Thursday, and 20 guests begin 3 hours later.", "changed a number"),
        ("Petra moved the concert from Monday to Thursday, it starts 3 hours earlier.", "changed a word that binds"),
        ("Petra never moved the concert from Monday to Thursday, and it starts 3 hours later.",
         "changed a word that binds"),
        ("Petra moved the concert from Monday to Thursday, and it starts 3 hours later?",
         "asks instead of saying, or the other way round"),
        ("Petra moved the concert from Monday to Thursday, starts 3 later.", "says something else"),
        (f"Petra moved the concert from Monday to Thursday, and it begins 3 hours later{', oh' * 12}",
         "much longer or shorter"),
        ("Petra moved the splendid evening concert from Monday to Thursday, it starts 3 hours later.",
         "says something else"),
        ("Petra moved the concert from Monday to Thursday, it begins, Klara, 3 hours later.", "named something new"),
    ],
)  # fmt: skip
def test_a_paraphrase_that_says_something_else_is_refused(text: str, fault: str) -> None:
    assert unfaithful(SENTENCE, text, KEPT) == fault


def test_a_value_that_changes_its_place_in_the_sentence_is_refused() -> None:
    sentence, turned = "My answer to Mirko is 4600.", "Mirko is my answer to 4600."
    assert unfaithful(sentence, turned, ("Mirko", "4600")) == "tied a value to something else"


def test_a_word_copied_from_the_examples_is_refused() -> None:
    text = "Petra shifted the concert from Monday to Thursday, and it begins 3 hours later."
    assert unfaithful(SENTENCE, text, KEPT, frozenset({"shifted"})) == "copied an example"
