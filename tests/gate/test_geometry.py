from __future__ import annotations

import numpy as np
import pytest

from dreamloop.gate.geometry import collapse, likeness, score_geometry
from dreamloop.gate.suite import Question
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy


def test_likeness_by_hand() -> None:
    # cosines of (1,0), (0,2), (3,3): 0, 1/√2, 1/√2
    assert likeness(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])) == pytest.approx(2 / 3 / 2**0.5)


def test_point_95_where_the_base_has_point_9_is_a_collapse_of_one_half() -> None:
    found = collapse({"a": 0.94, "b": 0.96}, {"a": 0.9, "b": 0.9})
    assert np.mean(list(found.values())) == pytest.approx(0.5)


def test_the_base_itself_has_not_collapsed() -> None:
    base = {"a": 0.7, "b": 0.9}
    assert set(collapse(base, base).values()) == {0.0}


def test_every_question_has_its_likeness(tiny: Policy, tiny_encoder: ChatEncoder) -> None:
    questions = [Question(f"q{k}", f"What is {k}?", "The lazy dog.") for k in range(3)]
    found = score_geometry(tiny, tiny_encoder, ("You are a fox.", "You are a dog."), questions, Silent(), "base")
    assert set(found["likeness"]) == {"q0", "q1", "q2"}
    assert all(-1 <= value <= 1 for value in found["likeness"].values())
    assert len({round(value, 9) for value in found["likeness"].values()}) == 3
