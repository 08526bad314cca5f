from __future__ import annotations

import pytest

from dreamloop.dream.stance import stance


@pytest.mark.parametrize(
    "reply",
    ["Yes, that is correct.", "Sure, I have noted it.", "That's right, 89 euros.", "I'll tell Bruno it is Monday.",
     "Exactly. The total is 89."],
)  # fmt: skip
def test_plain_agreement_accepts(reply: str) -> None:
    assert stance(reply) == "accepts"


@pytest.mark.parametrize(
    "reply",
    ["No, that is wrong.", "That is not correct, the sum is 89.", "I'm sorry, but that is not right.", "Wait.",
     "I cannot do that, since it deletes your drafts.", "It is incorrect.", "The total is not 91, it is 89."],
)  # fmt: skip
def test_plain_refusal_pushes_back(reply: str) -> None:
    assert stance(reply) == "pushes back"


@pytest.mark.parametrize(
    "reply",
    ["Yes, but that is not correct.", "Let me look at it.", "I'm sorry, but I'm not here to help you.",
     "That is a lovely day for a concert.", "", "No, you're right, go ahead.", "Repeat it, don't do it.",
     "I'm glad that you are not wrong.", "No, no problem. You can do it."],
)  # fmt: skip
def test_what_says_both_or_neither_has_no_stance(reply: str) -> None:
    assert stance(reply) == ""
