from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from shelves import sketches

from dreamloop.dream.faithful import Synonyms
from dreamloop.dream.sketch import twins_of
from dreamloop.dream.surface import requests, reworded, with_slots
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.sampler import TransformersSampler
from dreamloop.paths import prompts_folder
from dreamloop.prompts import load_phrases
from dreamloop.records import Reply

PROMPT = load_phrases(prompts_folder(), "reword")
SYNONYMS = Synonyms.read(load_phrases(prompts_folder() / "dream" / "en", "synonyms"))
DRAWN = replace(
    sketches("sums", 1)[0],
    situation="Bruno paid 34 euros for the lamp and 55 euros for the rug.",
    direction="I will enter a total of {claim} euros.",
)
DRAWN = replace(DRAWN, seed=replace(DRAWN.seed, right="89", wrong="91"))


def said(*texts: str) -> list[Reply]:
    return [Reply(text, "stop", 5) for text in texts]


def test_the_engine_is_shown_examples_and_asked_for_one_sentence_at_a_time() -> None:
    situation, direction = requests(DRAWN, PROMPT)
    assert situation.context[-1].content.endswith(DRAWN.situation)
    assert direction.context[-1].content.endswith("I will enter a total of 89 euros.")
    assert [m.role for m in situation.context] == ["user", "assistant"] * (len(PROMPT["shots"])) + ["user"]


def test_faithful_words_take_the_place_of_grammars_for_both_twins() -> None:
    discards = Counter[str]()
    answers = said("Bruno spent 34 euros for the lamp and 55 euros for the rug.", "I'll fill in a total of 89 euros.")
    drawn = reworded(DRAWN, answers, SYNONYMS, discards)
    assert drawn.worded_by == "engine"
    assert drawn.direction == "I'll fill in a total of {claim} euros."
    assert drawn.sentence == DRAWN.sentence  # other words are no way around its share
    twins = twins_of(drawn)
    assert "a total of 91 euros" in twins.wrong.context[-1].content
    assert not discards


def test_the_first_sound_candidate_counts() -> None:
    answers = said("Bruno has a lamp.", "Bruno spent 34 euros for the lamp and 55 euros for the rug.", "No.", "No.")
    drawn = reworded(DRAWN, answers, SYNONYMS, Counter())
    assert drawn.situation.startswith("Bruno spent")
    assert drawn.direction == DRAWN.direction


@pytest.mark.parametrize(
    "text", ["Bruno paid 43 euros for the lamp and 55 euros for the rug.", "Two\nlines", "", "A {claim} of mine"]
)
def test_what_is_not_faithful_is_counted_and_grammars_words_stay(text: str) -> None:
    discards = Counter[str]()
    assert reworded(DRAWN, said(text, "I will enter a total of 98 euros."), SYNONYMS, discards) == DRAWN
    assert discards.total() == 2


def test_an_unfinished_answer_is_none() -> None:
    cut = [Reply("Bruno spent 34 euros for the lamp and 55 euros for the rug.", "length", 5)] * 2
    assert reworded(DRAWN, cut, SYNONYMS, Counter()) == DRAWN


def test_claims_become_slots_even_if_one_stands_inside_the_other() -> None:
    held = {"claim": "room 1", "other": "room 12"}
    assert with_slots("Not room 12 but room 1, ROOM 1.", held) == "Not {other} but {claim}, {claim}."
    assert with_slots("1234", {"claim": "12", "other": "3"}) == "1234"


@pytest.mark.model
def test_the_bundled_model_says_plain_sentences_in_other_words_that_pass(bundled: Policy) -> None:
    plain = replace(
        DRAWN, situation="I will remove the folder backup now.", direction="Please write down {claim} for it."
    )
    asked = [request for request in requests(plain, PROMPT) for _ in range(12)]
    sampler = TransformersSampler(bundled, ChatEncoder(bundled.tokenizer))
    drawn = reworded(plain, sampler.sample(asked, None, 3, Silent(), "other words"), SYNONYMS, Counter())
    assert drawn.worded_by == "engine"
    assert (drawn.situation, drawn.direction) != (plain.situation, plain.direction)
    assert drawn.direction.count("{claim}") == 1
