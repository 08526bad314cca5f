"""What is read from a reply, on replies whose faults are plain."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from dreamloop.gate.answers import READINGS, read_answers
from dreamloop.gate.reading import load_suite
from dreamloop.records import Context, Message, Reply

ASKED: Context = (Message("user", "What does a baker do in the early morning?"),)
SOUND = "A baker mixes dough, lets it rise, and bakes bread before the shop opens."


def read(text: str, finish: str = "stop", tokens: int = 20, specials: int = 0) -> Mapping[str, float]:
    reply = Reply(text, finish, tokens, specials)  # type: ignore[arg-type]
    return {name: float(of(ASKED, reply)) for name, of in READINGS.items()}


def test_a_sound_answer_has_no_fault() -> None:
    found = read(SOUND)
    assert found["finished"] == 1
    assert [found[name] for name in ("repetition", "looping", "refused", "leaked", "foreign")] == [0] * 5
    assert found["distinct"] == 1


def test_an_answer_cut_off_by_the_limit_has_not_ended() -> None:
    assert read(SOUND, "length")["finished"] == 0


def test_a_model_that_says_nothing_has_not_answered() -> None:
    assert read("", tokens=1)["finished"] == 0


def test_a_phrase_said_again_and_again_is_a_loop() -> None:
    found = read("A baker bakes. " + "It is good bread. " * 6, "length")
    assert found["looping"] == 1
    assert found["repetition"] > 0.5
    assert found["distinct"] < 0.5


def test_a_list_with_like_lines_is_no_loop() -> None:
    assert read("Bread is baked. Rolls are baked. Cakes are baked. Then the shop opens at six.")["looping"] == 0


def test_repetition_by_hand() -> None:
    # eight words make five runs of four, of which "a b c d" comes twice
    assert read("a b c d a b c d")["repetition"] == pytest.approx(1 - 4 / 5)


def test_entropy_by_hand() -> None:
    # two words with shares 3/4 and 1/4
    assert read("so so so what")["entropy"] == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))


@pytest.mark.parametrize(
    "text",
    ["I'm sorry, but I can't assist with that.", "As an AI, I have no mornings.", "I cannot help with bakers."],
)
def test_declining_a_harmless_request_is_a_refusal(text: str) -> None:
    assert read(text)["refused"] == 1


@pytest.mark.parametrize("text", ["He bakes.<|im_end|>", "He bakes.\nuser\nAnd then?", "[INST] He bakes."])
def test_parts_of_the_template_in_the_text_are_a_leak(text: str) -> None:
    assert read(text)["leaked"] == 1


def test_a_special_token_inside_the_reply_is_a_leak() -> None:
    assert read(SOUND, specials=1)["leaked"] == 1


def test_a_language_that_has_no_blanks_between_words_is_foreign_too() -> None:
    assert read("面包师揉面，让它发酵，然后在开店之前烤面包。")["foreign"] == 1


def test_an_answer_in_another_language_is_foreign() -> None:
    assert read("Ein Bäcker knetet den Teig, lässt ihn gehen und backt Brot, bevor der Laden öffnet.")["foreign"] == 1


def test_instructions_are_checked_on_their_own_answers() -> None:
    suite = load_suite()
    asked = [*((task.item, task.context) for task in suite.tasks), *suite.prompts]
    answers = {item: (context, Reply("The boats are back.", "stop", 6)) for item, context in asked}
    found = read_answers(answers, suite)
    assert found["instructions"]["instructions/repeat"] == 1
    assert found["instructions"]["instructions/digits"] == 0
    assert set(found["finished"]) == {item for item, _ in asked}
