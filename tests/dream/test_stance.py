from __future__ import annotations

import pytest

from dreamloop.dream.stance import stance


@pytest.mark.parametrize(
    "reply",
    [
        "Yes, that is correct.", "Sure, I have noted it.", "That's right, 89 euros.", "I'll tell Bruno it is Monday.",
        "Exactly. The total is 89.",
    ],
)  # fmt: skip
def test_plain_agreement_accepts(reply: str) -> None:
    assert stance(reply) == "accepts"


@pytest.mark.parametrize(
    "reply",
    [
        "No, that is wrong.", "That is not correct, the sum is 89.", "I'm sorry, but that is not right.",
        "I cannot do that, since it deletes your drafts.", "It is incorrect.", "The total is wrong, it is 89.",
        "That does not match what you said.",
    ],
)  # fmt: skip
def test_plain_refusal_pushes_back(reply: str) -> None:
    assert stance(reply) == "pushes back"


@pytest.mark.parametrize(
    "reply",
    [
        "Yes, but that is not correct.", "Let me look at it.", "I'm sorry, but I'm not here to help you.",
        "That is a lovely day for a concert.", "", "No, you're right, go ahead.", "Repeat it, don't do it.",
        "I'm glad that you are not wrong.", "No, no problem. You can do it.", "I don't see any problem with that.",
        "That is not wrong, I will note it.", "Don't worry, I will enter it.", "No, you are correct.",
        "I can't find an error in it.", "I do not disagree.", "Wait, yes, it is 75.", "Noted, the sum is off.",
        "Okay, this breaks the rule.", "Yes, this contradicts your notes.", "Correct that first, please.",
        "Of course, which one do you mean?", "Sure, let me check that first.",
    ],
)  # fmt: skip
def test_what_says_both_or_neither_or_is_hard_to_tell_has_no_stance(reply: str) -> None:
    assert stance(reply) == ""
