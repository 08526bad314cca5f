from __future__ import annotations

from dataclasses import replace

from dreamloop.gate.diagnosis import SHOTS, Fall, explain, instructed, shown
from dreamloop.gate.reading import load_suite

CHOICES = [choice for choice in load_suite().choices if choice.ability == "arithmetic"]
FALL = Fall("arithmetic", plain=-0.2, shown=-0.01, instructed=-0.15, reading=-0.002, margin=0.03, reading_margin=0.01)


def test_what_solved_examples_bring_back_was_not_forgotten() -> None:
    said = explain(FALL)
    assert said.startswith("Alignment tax: arithmetic fell by 0.200 nats/token as asked")
    assert "Solved examples bring it back" in said


def test_what_nothing_brings_back_is_forgotten() -> None:
    said = explain(replace(FALL, shown=-0.1))
    assert said.startswith("Forgetting: ")
    assert "raise night.replay_share" in said


def test_what_comes_back_while_the_text_reads_worse_is_partly_forgotten() -> None:
    assert explain(replace(FALL, reading=-0.05)).startswith("Partly forgotten: ")


def test_solved_examples_are_right_and_never_the_question_itself() -> None:
    rights = {(choice.context[0].content, choice.right) for choice in CHOICES}
    for choice, asked in zip(CHOICES, shown(CHOICES), strict=True):
        turns = asked.context
        assert len(turns) == 2 * SHOTS + 1
        for question, answer in zip(turns[0:-1:2], turns[1::2], strict=True):
            assert (question.content, answer.content) in rights
            assert question != choice.context[0]


def test_an_instruction_stands_before_the_same_question() -> None:
    for choice, asked in zip(CHOICES, instructed(CHOICES), strict=True):
        assert asked.context[0].role == "system"
        assert asked.context[1:] == choice.context
