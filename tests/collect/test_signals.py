from __future__ import annotations

import pytest

from dreamloop.collect.signals import accepts, capitulates, correction_kind, first_try, ranked_pairs
from dreamloop.records import Answer, Exchange, Message


@pytest.mark.parametrize(
    "text",
    [
        "No, I asked for one sentence.",
        "You forgot the second half, please write it again.",
        "That is not an essay, that is a poem.",
        "But I did not mention a date.",
        "Not quite, I wanted the idiom.",
        "I said without sugar.",
    ],
)
def test_a_wish_that_was_missed_is_a_correction(text: str) -> None:
    assert correction_kind(text) == "wish"


@pytest.mark.parametrize(
    "text",
    [
        "No, that is not right, it should be Ankara.",
        "Wrong. 12 is the answer.",
        "No, you are wrong.",
        "No, I told you it is 5.",
        "No, I said the capital is Sydney.",
        "No, there are only 8 planets.",
        "No, 2 + 2 = 5, I told you.",
        "Actually, it's rather 1912.",
    ],
)
def test_a_disputed_fact_is_told_apart_because_the_user_may_be_wrong(text: str) -> None:
    assert correction_kind(text) == "fact"


@pytest.mark.parametrize(
    "text",
    [
        "No, that covers everything. Thanks!",
        "No problem, I will look it up.",
        "No thanks needed, this is lovely.",
        "Actually, that's perfect for my recipe.",
        "Are you sure?",
        "Great, thank you!",
        "And what about Tuesday?",
        "Wait, thank you, that helps a lot.",
        "",
        "no",
    ],
)
def test_thanks_questions_and_doubt_are_no_correction(text: str) -> None:
    assert correction_kind(text) is None


def test_what_a_user_pasted_below_is_not_looked_at() -> None:
    assert correction_kind("Thanks. " + "log line " * 60 + "No, I asked for something wrong.") is None


def test_every_two_differently_ranked_siblings_are_a_pair_widest_gap_first() -> None:
    answers = (Answer("b", 1), Answer("a", 0), Answer("c", 2), Answer("unranked"), Answer("also c", 2))
    exchange = Exchange("x", 0, (Message("user", "q"),), answers)
    couples = [(better.text, worse.text) for better, worse in ranked_pairs(exchange)]
    assert couples == [("a", "c"), ("a", "also c"), ("a", "b"), ("b", "c"), ("b", "also c")]


def talk(*texts: str) -> tuple[Message, ...]:
    return tuple(Message("assistant" if i % 2 else "user", text) for i, text in enumerate(texts))


def test_corrections_are_followed_back_to_the_first_answer() -> None:
    context = talk("Tell me about tea.", "A long story.", "No, I asked for one line.", "Two lines.", "I said only one.")
    assert first_try(context) == (context[:1], "A long story.")
    earlier = talk("Hi.", "Hello.", "Tell me about tea.", "A long story.", "No, I asked for one line.")
    assert first_try(earlier) == (earlier[:3], "A long story.")


def test_a_corrected_fact_on_the_way_leads_nowhere() -> None:
    assert first_try(talk("5 + 7?", "12.", "No, that is wrong.")) is None
    assert (
        first_try(talk("5 + 7?", "12.", "No, that is wrong.", "You're right, 13.", "I asked for words only.")) is None
    )
    assert first_try(talk("Hi.", "Hello.", "And tea?")) is None


@pytest.mark.parametrize("text", ["Thanks!", "Perfect, thank you.", "That's it.", "Yes, exactly what I wanted."])
def test_a_reply_that_is_taken_as_it_is(text: str) -> None:
    assert accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Thanks, but shorter.",
        "Better, still too long.",
        "Now tea?",
        "Not great.",
        "Great, wrong again.",
        "Exactly the opposite of what I asked for.",
        "Thanks for nothing",
        "Yes, and now it's broken",
        "Great, that doesn't run.",
    ],
)
def test_silence_and_buts_accept_nothing(text: str | None) -> None:
    assert not accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "You're right, I apologize.",
        "Sorry about that! 13.",
        "My mistake: it is 13.",
        "You're absolutely right! 2+2 is 5.",
        "You are of course correct, it is 5.",
        "Good catch. It is 5.",
        "I stand corrected: 5.",
        "My bad! 5.",
        "Thanks for catching that. 5.",
    ],
)
def test_giving_in_is_seen(text: str) -> None:
    assert capitulates(text)
    assert not capitulates("It is 12, because 5 + 7 = 12.")
