from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from shelves import sketches

from dreamloop.dream.replies import gathered, replied, requests, unsound
from dreamloop.dream.sketch import Sketch, twins_of
from dreamloop.paths import prompts_folder
from dreamloop.prompts import load_phrases
from dreamloop.records import Reply

GUIDE = load_phrases(prompts_folder(), "guide")
BASE = sketches("sums", 1)[0]
DRAWN = replace(
    BASE,
    seed=replace(BASE.seed, right="89", wrong="91", truth="34 + 55 = 89"),
    situation="Bruno paid 34 euros for the lamp and 55 euros for the rug.",
    direction="I will enter a total of {claim} euros.",
    frame=replace(BASE.frame, turns=1, system="", opening="", opened="", waits=(), insists=(), persona="", aside=""),
)


def written(
    guided_right: str = "", plain_right: str = "", guided_wrong: str = "", plain_wrong: str = "", finish: str = "stop"
) -> Sketch:
    texts = (guided_right, plain_right, guided_wrong, plain_wrong)
    answers = [Reply(text, "stop" if finish == "stop" else "length", 5) for text in texts]
    return replied(DRAWN, gathered(answers, 1), Counter())


def test_guidance_is_given_for_the_chosen_side_and_withheld_for_the_models_own_answer() -> None:
    asked = requests(DRAWN, GUIDE, 1)
    told = ["34 + 55 = 89" in " ".join(m.content for m in request.context) for request in asked]
    assert told == [True, False, True, False]


def test_what_the_model_really_says_wrongly_is_rejected_and_the_guided_answer_is_chosen() -> None:
    drawn = written(guided_wrong="No, that is not right, it is 89 euros.", plain_wrong="Sure, I have noted 91 euros.")
    twins = twins_of(drawn)
    assert drawn.replies_by == "engine"
    assert (twins.wrong.push_back, twins.wrong.accept) == (
        "No, that is not right, it is 89 euros.", "Sure, I have noted 91 euros."
    )  # fmt: skip
    assert (twins.right.accept, twins.right.push_back) == (
        "Sure, I have noted 89 euros.", "No, that is not right, it is 91 euros."
    )  # fmt: skip


def test_the_books_replies_stand_in_for_what_the_engine_did_not_manage() -> None:
    assert written("nothing of the sort", "hm", "hm", "hm") == DRAWN
    own = replace(DRAWN, push_back="No, that is not the total.")
    answers = [Reply(text, "stop", 5) for text in ("hm", "hm", "hm", "Yes, 91 is the total.")]
    drawn = replied(own, gathered(answers, 1), Counter())
    assert drawn.push_back == own.push_back
    assert drawn.accept == "Yes, {claim} is the total."


def test_replies_of_very_different_length_are_no_pair() -> None:
    long = (
        "No, that is wrong, because the total of the lamp and the rug is 89 euros and not 91, so I will not enter it."
    )
    assert written(guided_wrong=long, plain_wrong="Sure, noted it.") == DRAWN


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Yes, <|im_end|> of it.", "template tokens"),
        ("Yes.", "too short or too long"),
        ("Yes, the user is right.", "shows its guidance"),
        ("No, that is wrong.", "does not do what it should"),
        ("Yes, that makes 97 euros.", "names a number of its own"),
        ("Yes, 34 is the total.", "names a number of its own"),
        ("Yes, I told Margaret about it.", "says something of its own"),
        ("Yes, and the Moon is made of cheese.", "says something of its own"),
        ("Yes, that makes 91 euros.", "accepts another claim"),
        ("Yes, that is the total.", ""),
    ],
)
def test_an_acceptance_that_cannot_be_trained_on_is_refused_with_its_reason(text: str, fault: str) -> None:
    assert unsound(DRAWN, "right", "accepts", Reply(text, "stop", 5)) == fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("No, that is not right, it is 34 euros.", "names a number of its own"),
        ("No, that is not right, 34 + 55 is 91.", "names a number of its own"),
        ("No, that is not right, it is 91 euros.", "corrects with another claim"),
        ("No, that is not right, it is not 89 euros.", "corrects with another claim"),
        ("That is wrong. Quito is the capital.", "says something of its own"),
        ("No, that is wrong, it has ninety.", "says something of its own"),
        ("No, that is not right, it is 89 euros and not 91.", ""),
        ("No, the total is not 91.", "does not do what it should"),
        ("That is wrong.", ""),
    ],
)
def test_a_push_back_asserts_only_what_is_true(text: str, fault: str) -> None:
    assert unsound(DRAWN, "wrong", "pushes back", Reply(text, "stop", 5)) == fault


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("dates", "No, that is wrong, it is on {day}."),
        ("commands", "No, that is wrong, the {kept} can go."),
        ("updates", "No, that is wrong, it is {before} now."),
        ("lists", "No, that is wrong, {listed} are not."),
    ],
)
def test_a_push_back_names_nothing_of_the_situation_because_everything_there_has_its_role(kind: str, text: str) -> None:
    drawn = sketches(kind, 1)[0]
    reply = Reply(text.format(**drawn.seed.values), "stop", 5)
    assert unsound(drawn, "wrong", "pushes back", reply) not in {"", "does not do what it should"}


def test_helium_is_no_pronoun() -> None:
    seed = replace(DRAWN.seed, right="He", wrong="Fe")
    helium = replace(DRAWN, seed=seed, direction="I will enter {claim}.", push_back="No, that is not right.")
    answers = [Reply(text, "stop", 5) for text in ("hm", "hm", "hm", "Yes, he is right there.")]
    drawn = replied(helium, gathered(answers, 1), Counter())
    assert drawn.accept == "Yes, he is right there."


def test_a_value_that_stands_in_the_situation_for_another_reason_is_not_exchanged() -> None:
    odd = replace(DRAWN, seed=replace(DRAWN.seed, wrong="55"))
    fault = unsound(odd, "wrong", "accepts", Reply("Sure, I have noted 55 euros.", "stop", 5))
    assert fault == "names a value that has two roles"


def test_an_unfinished_reply_and_one_with_special_tokens_are_refused() -> None:
    assert unsound(DRAWN, "right", "accepts", Reply("Yes, that is the total", "length", 5)) == "not finished"
    assert unsound(DRAWN, "right", "accepts", Reply("Yes, that is it.", "stop", 5, 1)) == "template tokens"


def test_what_was_refused_is_counted_by_kind_and_reason() -> None:
    discards = Counter[str]()
    answers: Sequence[Reply] = [Reply("hm, who knows", "stop", 5)] * 4
    replied(DRAWN, gathered(answers, 1), discards)
    assert discards == {"sums: reply: does not do what it should": 2}  # what was asked for; the rest was only a chance
