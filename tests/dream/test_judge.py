from __future__ import annotations

import pytest
from shelves import sketches

from dreamloop.dream.judge import choice, judged, requests
from dreamloop.paths import prompts_folder
from dreamloop.prompts import load_prompt
from dreamloop.records import Reply

PROMPT = load_prompt(prompts_folder(), "judge")
SEED = sketches("opinions", 1)[0].seed


def answers(first: str, second: str) -> list[Reply]:
    return [Reply(first, "stop", 1), Reply(second, "stop", 1)]


def test_both_orders_are_asked_greedily() -> None:
    plain, swapped = requests(SEED, PROMPT)
    assert plain.temperature == swapped.temperature == 0
    assert f"A: {SEED.right}" in plain.context[0].content
    assert f"A: {SEED.wrong}" in swapped.context[0].content


def test_the_plan_that_wins_in_both_orders_is_the_right_one() -> None:
    assert judged(SEED, answers("A", "B")) is not None
    swapped = judged(SEED, answers("B", "A."))
    assert swapped is not None
    assert (swapped.right, swapped.wrong) == (SEED.wrong, SEED.right)
    assert "a judge twice found" in swapped.truth


@pytest.mark.parametrize("pair", [("A", "A"), ("B", "B"), ("A", "both"), ("", "B")])
def test_a_judge_that_says_the_one_and_then_the_other_is_not_believed(pair: tuple[str, str]) -> None:
    assert judged(SEED, answers(*pair)) is None


@pytest.mark.parametrize(("text", "letter"), [("A", "A"), (" B.", "B"), ("**A**", "A"), ("Answer: A", ""), ("Ah", "")])
def test_only_the_letter_that_an_answer_begins_with_counts(text: str, letter: str) -> None:
    assert choice(text) == letter
