"""Geometry: has the model begun to make the same of everyone?

Twelve personas are asked the same questions and given the same answers; the mean hidden state over an answer's
tokens, about 70 % up the trunk, differs only by what the persona changes in the model. If training pushes all
personas into one direction, their states grow alike.

    M1       = mean cosine over all pairs of personas, per question, then over questions
    collapse = (M1 - M1 of the base) / (1 - M1 of the base)

0 is the base, 1 means that all personas are one: 0.950 where the base has 0.900 is a collapse of 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dreamloop.gate.suite import Question
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.states import mean_states
from dreamloop.records import Message

DEPTH = 0.7
_TOKENS = 1024

Floats = NDArray[np.float64]


def score_geometry(
    policy: Policy, encoder: ChatEncoder, personas: Sequence[str], questions: Sequence[Question], progress: Progress,
    who: str,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Likeness of the personas by question: ``likeness`` as it is, ``centred`` around the mean over everything."""
    rows = [
        encoder.completion(
            encoder.seated((Message("system", persona), Message("user", question.ask))), question.answer, _TOKENS, 2
        )
        for question in questions
        for persona in personas
    ]
    states = mean_states(policy, rows, DEPTH, 512, progress, f"gate: geometry, {who}")
    vectors = np.stack([state.numpy().astype(float) for state in states])
    vectors = vectors.reshape(len(questions), len(personas), -1)
    centred = vectors - vectors.mean(axis=(0, 1))
    names = [question.item for question in questions]
    return {"likeness": _by_question(names, vectors), "centred": _by_question(names, centred)}


def _by_question(names: Sequence[str], vectors: Floats) -> dict[str, float]:
    return {name: likeness(own) for name, own in zip(names, vectors, strict=True)}


def likeness(vectors: Floats) -> float:
    """Mean cosine over all pairs of different rows of (P, H)."""
    count = len(vectors)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    return float((cosines.sum() - np.trace(cosines)) / (count * (count - 1)))


def collapse(own: Mapping[str, float], base: Mapping[str, float]) -> dict[str, float]:
    """Each question's share of the way from the base to one single persona; the mean over questions is the collapse."""
    room = 1 - float(np.mean([base[name] for name in own])) or np.nan  # a base whose personas are one cannot collapse
    return {name: (own[name] - base[name]) / room for name in own}
