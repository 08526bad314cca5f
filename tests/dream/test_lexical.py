"""Words alone must not tell right from wrong: a classifier that sees a bag of words stays at chance.

Where only knowledge of the world tells a right claim from a wrong one, words may give something away; those kinds
report their figure (``pytest -s``) and have a wider limit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from shelves import KINDS, sketches

from dreamloop.dream.scenarios import pairs_of
from dreamloop.dream.sketch import twins_of
from dreamloop.records import Twins, flatten

pytestmark = pytest.mark.slow
TWINS = 1200  # per kind; half to learn from, half to be told apart
LIMIT = 0.55
WORLD_LIMIT = 0.65
OF_THE_WORLD = {"facts", "premises", "goals", "constraints"}


@cache
def dreamed(kind: str) -> tuple[Twins, ...]:
    return tuple(twins_of(drawn) for drawn in sketches(kind, TWINS, seed=11))


@pytest.mark.parametrize("presence", [False, True], ids=["counts", "presence"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bag_of_words_does_not_tell_wrong_contexts_from_right_ones(kind: str, presence: bool) -> None:
    texts = [flatten(s.context) for twins in dreamed(kind) for s in (twins.wrong, twins.right)]
    found = auc_of_words(texts, [1, 0] * TWINS, presence)
    print(f"{kind}: contexts {found:.3f}")
    assert found <= (WORLD_LIMIT if kind in OF_THE_WORLD else LIMIT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bag_of_words_does_not_tell_chosen_replies_from_rejected_ones(kind: str) -> None:
    pairs = [pair for twins in dreamed(kind) for pair in pairs_of(twins)]
    texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    found = auc_of_words(texts, [1, 0] * len(pairs), presence=False)
    print(f"{kind}: replies {found:.3f}")
    assert found <= (WORLD_LIMIT if kind in OF_THE_WORLD else LIMIT)


@pytest.mark.parametrize("kind", KINDS)
def test_the_length_of_a_reply_says_nothing_either(kind: str) -> None:
    pairs = [pair for twins in dreamed(kind) for pair in pairs_of(twins)]
    lengths = np.array([len(text) for pair in pairs for text in (pair.chosen, pair.rejected)], float)
    assert 0.45 <= auc(lengths, np.array([1, 0] * len(pairs))) <= 0.55


def test_the_classifier_finds_what_there_is_to_find() -> None:
    texts = [f"the {'odd' if k % 2 else 'even'} number {k}" for k in range(400)]
    assert auc_of_words(texts, [k % 2 for k in range(400)], presence=False) > 0.99


def auc_of_words(texts: Sequence[str], labels: Sequence[int], presence: bool) -> float:
    """AUC on the second half of a logistic regression that was fitted on the first."""
    split = len(texts) // 2
    words = sorted({word for text in texts[:split] for word in _words(text)})
    place = {word: k for k, word in enumerate(words)}
    rows = np.zeros((len(texts), len(words)), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in _words(text):
            if word in place:
                row[place[word]] += 1
    if presence:
        rows = np.minimum(rows, 1)
    target = np.array(labels)
    scores = rows[split:] @ _fitted(rows[:split], target[:split])
    return auc(scores, target[split:])


def _fitted(
    rows: NDArray[np.float32], target: NDArray[np.int_], rate: float = 0.5, decay: float = 1e-3
) -> NDArray[np.float32]:
    weights, velocity = (np.zeros(rows.shape[1], dtype=np.float32) for _ in range(2))
    bias = 0.0
    for _ in range(300):
        off = 1 / (1 + np.exp(-(rows @ weights + bias))) - target
        velocity = 0.9 * velocity - rate * (rows.T @ off / len(rows) + decay * weights)
        weights, bias = weights + velocity, bias - rate * float(off.mean())
    return weights


def auc(scores: NDArray[np.floating], target: NDArray[np.int_]) -> float:
    """The chance that a positive one scores higher than a negative one; ties count half."""
    order = np.unique(scores, return_inverse=True)[1]
    counts = np.bincount(order)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[order]
    positive = int(target.sum())
    return float((ranks[target == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(target) - positive)))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
