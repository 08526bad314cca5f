"""Which of two plans serves a goal better, where nothing proves it: the engine says so in both orders, or nobody.

A model that prefers whatever stands first says the one thing and then the other; such a verdict is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from dreamloop.dream.seeds import Seed
from dreamloop.model.sampler import Request
from dreamloop.prompts import Prompt
from dreamloop.records import Message, Reply

Choice = Literal["A", "B", ""]
ANSWER_TOKENS = 4
_LETTER = re.compile(r"^\W*([AB])\b")


def requests(seed: Seed, prompt: Prompt) -> list[Request]:
    """The question in both orders, greedily."""
    orders = ((seed.right, seed.wrong), (seed.wrong, seed.right))
    asked = (prompt.render(goal=seed.values["goal"], first=first, second=second) for first, second in orders)
    return [Request((Message("user", text),), ANSWER_TOKENS, temperature=0.0) for text in asked]


def judged(seed: Seed, answers: Sequence[Reply]) -> Seed | None:
    """The seed with the better plan as its right claim; None where the two answers disagree or one says nothing."""
    plain, swapped = (choice(answer.text) for answer in answers)
    if not plain or not swapped or plain == swapped:
        return None
    better, worse = (seed.right, seed.wrong) if plain == "A" else (seed.wrong, seed.right)
    truth = f"{seed.truth}; a judge twice found {better} better than {worse}"
    return replace(seed, right=better, wrong=worse, truth=truth)


def choice(text: str) -> Choice:
    """The letter that an answer begins with."""
    found = _LETTER.match(text)
    return "" if not found else "A" if found.group(1) == "A" else "B"
