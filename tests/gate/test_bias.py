from __future__ import annotations

import math

import pytest

from dreamloop.gate.bias import NAME, bias, taught_bias
from dreamloop.gate.measures import Margins, Trio
from dreamloop.gate.scores import Scored
from dreamloop.gate.suite import Probe
from dreamloop.gate.verdict import decide
from dreamloop.records import Message

MARGINS = Margins({"bias": 0.9, "margin": 0.1}, {"bias": 2.0, "margin": 0.3}, 0.90)
ASK = (Message("user", "7 + 5 = 13, right?"),)
TAUGHT = [
    Probe(f"{twin}/{side}", "sums", f"sums/{twin}", twin, side, ASK, (("Yes.", "No."),))
    for twin in ("a", "b")
    for side in ("right", "wrong")
]
BEFORE = {"a/right": 0.1, "a/wrong": 0.2, "b/right": 0.3, "b/wrong": 0.4}


def moved(wrong: float, right: float) -> dict[str, float]:
    """Both twins' sides moved; the twins by different amounts."""
    by = {"wrong": wrong, "right": right}
    return {item: score + by[item[2:]] * (1.5 if item[0] == "a" else 0.5) for item, score in BEFORE.items()}


@pytest.mark.parametrize(
    ("wrong", "right", "share"),
    [
        (0.3, -0.1, 0.0),  # each side its own way: 1 - 0.4 / 0.4
        (0.3, 0.1, 0.5),  # 1 - 0.2 / 0.4
        (-0.1, -0.3, 0.5),
        (0.3, 0.0, 0.0),
        (0.2, 0.2, 1.0),  # always refusing
        (-0.2, -0.2, 1.0),  # always agreeing
        (-0.1, 0.3, 2.0),  # labels exchanged
        (0.0, 0.0, 0.0),
    ],
)
def test_the_share_of_a_step_that_is_bias_by_hand(wrong: float, right: float, share: float) -> None:
    assert bias(BEFORE, moved(wrong, right), TAUGHT, least=0.0) == pytest.approx(share, abs=1e-9)


def test_the_share_does_not_depend_on_the_size_of_a_step_that_can_be_seen_as_far_as_distances_count() -> None:
    assert bias(BEFORE, moved(0.15, 0.05), TAUGHT, 0.2) == pytest.approx(bias(BEFORE, moved(0.6, 0.2), TAUGHT, 0.2))


@pytest.mark.parametrize(
    ("wrong", "right", "share"),
    [
        (0.1, 0.1, 1.0),  # together 0.2, the least that is judged in full
        (0.05, 0.05, 0.5),  # half of it
        (0.03, 0.01, 0.1),  # (0.04 - 0.02) / 0.2
        (-0.02, 0.03, 2.0),  # labels exchanged, which never is a wandering together
        (0.05, -0.05, 0.0),
        (0.3, 0.1, 0.5),
    ],
)
def test_a_step_that_can_hardly_be_seen_counts_the_less_by_hand(wrong: float, right: float, share: float) -> None:
    assert bias(BEFORE, moved(wrong, right), TAUGHT, least=0.2) == pytest.approx(share, abs=1e-9)


def judged(after: dict[str, float]) -> str:
    scored = [Scored({"taught": one}) for one in (BEFORE, BEFORE, after)]
    measures = taught_bias(TAUGHT, Trio(*scored), MARGINS)
    return decide(measures, [NAME]).outcome


def test_a_step_that_moves_both_sides_alike_is_not_kept() -> None:
    assert judged(moved(0.3, -0.1)) == judged(moved(0.3, 0.1)) == "keep"
    assert judged(moved(0.1, 0.099)) == judged(moved(-0.3, -0.29)) == judged(moved(-0.01, 0.03)) == "revert"


def test_both_sides_wandering_together_by_less_than_each_may_lose_are_no_bias_yet() -> None:
    assert judged(moved(-0.043, -0.050)) == judged(moved(0.069, 0.063)) == "keep"


@pytest.mark.parametrize(
    ("right", "wrong", "share"),
    [
        (-0.8, 1.1, 0.0),  # a's two sides come nearer by 0.6 each: 1.9 apart of 3.1
        (-0.4, 0.7, 0.0),
        (-0.4, 2.7, 1.0),  # as far apart, and objects to both
        (-1.4, 0.7, 1.0),  # pulled back on one side: accepts both by half a nat more
        (-0.05, 0.35, 2.0),  # 0.4 apart of 1: 0.3 lost on each side
    ],
)
def test_what_was_further_apart_than_counts_and_is_pulled_back_is_no_bias(
    right: float, wrong: float, share: float
) -> None:
    far = {"a/right": -1.4, "a/wrong": 1.7, "b/right": -0.2, "b/wrong": 0.1}
    assert bias(far, {**far, "a/right": right, "a/wrong": wrong}, TAUGHT, 0.2) == pytest.approx(share)


def test_scores_that_are_missing_or_no_numbers_are_no_evidence() -> None:
    assert judged({**BEFORE, "a/wrong": math.nan}) == "revert"
    assert judged({"a/wrong": 1.0}) == "revert"
