from __future__ import annotations

from dataclasses import replace

import pytest
from shelves import KINDS, SHIPPED, sketches

from dreamloop.dream.faithful import Synonyms, unfaithful, unproven
from dreamloop.prompts import load_phrases

SYNONYMS = Synonyms.read(load_phrases(SHIPPED / "en", "synonyms"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_grammar_says_holds_its_proof(kind: str) -> None:
    assert not [fault for drawn in sketches(kind, 150) if (fault := unproven(drawn))]


def test_a_text_that_lost_what_proves_it_is_refused() -> None:
    (drawn,) = sketches("sums", 1)
    assert unproven(replace(drawn, situation="Somebody bought two things.")) == "does not state what proves it"


@pytest.mark.parametrize("kind", ["commands", "updates", "notes"])
def test_what_only_the_direction_says_proves_nothing(kind: str) -> None:
    (drawn,) = sketches(kind, 1)
    assert unproven(replace(drawn, situation="Something happened.")) == "does not state what proves it"


def test_a_direction_without_its_claim_is_refused() -> None:
    (drawn,) = sketches("dates", 1)
    assert unproven(replace(drawn, direction="I will write it down."))


def test_a_claim_in_the_situation_is_refused_because_twins_would_differ_there() -> None:
    (drawn,) = sketches("facts", 1)
    assert unproven(replace(drawn, situation=drawn.situation + " It is {claim}.")) != ""


@pytest.mark.parametrize(
    ("original", "text"),
    [
        ("Bruno paid 34 euros for the lamp.", "Bruno spent 34 euros for the lamp."),
        ("I will tell Hana the total is 89 euros.", "I'll inform Hana that the total is 89 euros."),
        ("Please enter 72 there.", "Fill in 72 there!"),
        ("The race begins at 9:05 and lasts 40 minutes.", "The race starts at 9:05 and runs for 40 minutes."),
        ("We need to get rid of the folder cache.", "We need to throw away the folder cache."),
    ],
)
def test_other_words_for_the_same_are_taken(original: str, text: str) -> None:
    assert unfaithful(original, text, SYNONYMS) == ""


@pytest.mark.parametrize(
    "text",
    [
        "I will enter 89 on the form",
        "I'll enter 89 on the form!",
        "So I will just enter 89, on form.",
        "i WILL enter 89 on the form.",
    ],
)
def test_what_only_pauses_and_small_words_tell_apart_is_no_rewording(text: str) -> None:
    assert unfaithful("I will enter 89 on the form.", text, SYNONYMS) == "the same again"


@pytest.mark.parametrize(
    ("original", "text"),
    [
        ("The file cache can go, the file drafts has to stay.", "The file cache has to stay, the file drafts can go."),
        ("The first may go, the second is needed.", "The second may go, the first is needed."),
        ("Please remove cache and keep drafts.", "Please keep cache and remove drafts."),
        ("The soup is there, the stew is missing.", "The soup is missing, the stew is there."),
        ("I choose pork chops.", "I refuse pork chops."),
        ("Please put Tokyo as the answer.", "Please delete Tokyo as the answer."),
        ("Remind me to run each morning.", "Forbid me to run each morning."),
        ("It begins at 11:25 and lasts 40 minutes.", "It ends at 11:25 and lasts 40 minutes."),
        ("In the old plan it is 2, in the new one 11.", "In the new plan it is 2, in the old one 11."),
        ("Bruno paid 34 euros for the lamp.", "Bruno paid 43 euros for the lamp."),
        ("It comes 3 days after Monday.", "It comes 3 days before Monday."),
        ("I will enter 12 there.", "I will not enter 12 there."),
        ("I will enter 12 there.", "Will you enter 12 there?"),
        ("My answer to Mirko is 4600.", "Mirko is my answer to 4600."),
        ("The event is at 10:50, for 160 minutes.", "The event is at 10:50, at 160 minutes."),
    ],
)  # fmt: skip
def test_what_may_turn_the_label_round_is_refused(original: str, text: str) -> None:
    assert unfaithful(original, text, SYNONYMS) == "may mean something else"


def test_the_same_again_is_no_paraphrase() -> None:
    assert unfaithful("I will enter 12.", "I will enter 12.", SYNONYMS) == "the same again"


def test_no_word_has_two_meanings_in_the_list() -> None:
    phrases = [phrase for phrase, _ in SYNONYMS.same]
    assert len(phrases) == len(set(phrases))
    binding = {
        "not",
        "no",
        "before",
        "after",
        "keep",
        "remove",
        "old",
        "new",
        "first",
        "second",
        "more",
        "less",
        "than",
    }
    assert not binding & SYNONYMS.free
