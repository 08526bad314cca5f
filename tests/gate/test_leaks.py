from __future__ import annotations

import pytest

from dreamloop.gate.leaks import GateTexts
from dreamloop.gate.reading import load_suite

SUITE = load_suite()
HELD_OUT = GateTexts(SUITE.texts())
DOCUMENT = next(d.text for d in SUITE.documents if d.text)
PROBE = SUITE.probes[0].context[0].content


@pytest.mark.parametrize(
    "texts",
    [
        [PROBE],
        [PROBE.upper().replace(".", "!")],
        ["Hello there.", PROBE],
        [f"Before that, something long and unrelated about boats and rivers. {PROBE} And more after it, about bread."],
        ["An innocent question", DOCUMENT],
        [DOCUMENT[: len(DOCUMENT) // 2]],
    ],
    ids=["itself", "case", "later turn", "inside", "reply", "half of it"],
)
def test_a_gate_item_is_found_wherever_it_hides(texts: list[str]) -> None:
    assert HELD_OUT(texts)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Good morning!",  # as the gate says it, too
        "Are you sure?",  # as a probe says it, too
        "How do I boil an egg?",
        "I will enter a total of 94 euros.",
        "Please write two sentences about rain.",
    ],
)
def test_an_honest_text_is_left_alone(text: str) -> None:
    assert not HELD_OUT([text])
