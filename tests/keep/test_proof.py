"""The arithmetic of the proof, by hand."""

from __future__ import annotations

import math
import re

import pytest

from dreamloop.keep.proof import judge_swap, slope
from dreamloop.records import Scores, ServedScores, Witness, Witnesses

BASE: Scores = (-1.0, -2.0, -3.0, -1.5)
OLD: Scores = (-0.9, -2.1, -2.8, -1.5)
NEW: Scores = (-0.7, -2.4, -2.6, -1.3)
WITNESSES = Witnesses((Witness((1,), (2, 3, 4, 5), BASE, OLD, NEW),), tuple(range(192)))


def served(
    adapter: Scores, before: Scores = BASE, after: Scores | None = None, long_prompt: Scores = (-1.0,) * 191
) -> ServedScores:
    return ServedScores((before,), (adapter,), (after or before,), long_prompt)


def test_a_slope_is_the_share_that_arrived() -> None:
    # seen = half of expected, exactly: (1·2 + 2·4) / (4 + 16) = 0.5
    assert slope([1, 2], [2, 4], 0) == (0.5, 0.0)
    # noise 2 on (3, 4): error 2 / sqrt(9 + 16) = 0.4
    assert slope([3, 4], [3, 4], 2) == (1.0, 0.4)
    assert math.isnan(slope([1, 2], [0, 0], 1)[0])


def test_the_candidate_passes() -> None:
    proof = judge_swap(WITNESSES, served(NEW), 0.1)
    assert proof.passed
    assert (proof.share, proof.share_of_all) == pytest.approx((1.0, 1.0))
    assert proof.reason == "The server shows 100% of tonight's change and its base is as before."


def test_rounding_that_moves_base_and_adapter_alike_does_not_count() -> None:
    bent = tuple(value + 0.01 for value in BASE)
    proof = judge_swap(WITNESSES, served(tuple(value + 0.01 for value in NEW), before=bent), 0.1)
    assert proof.passed
    assert proof.base_off == pytest.approx(0.01)
    # noise √2 · 0.01 over √(0.2² + 0.3² + 0.2² + 0.2²)
    assert proof.share_error == pytest.approx(math.sqrt(2) * 0.01 / math.sqrt(0.21))


def test_numbers_too_coarse_for_tonights_change_prove_nothing() -> None:
    bent = tuple(value + 0.05 for value in BASE)
    proof = judge_swap(WITNESSES, served(tuple(value + 0.05 for value in NEW), before=bent), 0.1)
    assert "too coarse to prove anything: a share is known to ± 15%" in proof.reason
    assert "(0.050 nats per token off on the base)" in proof.reason
    assert "set 'dtype' to the server's" in proof.reason


def test_noise_of_the_format_on_the_adapters_side_is_forgiven() -> None:
    before = tuple(b + e for b, e in zip(BASE, (0.01, -0.01, 0.01, -0.01), strict=True))
    adapter = tuple(n + e for n, e in zip(NEW, (-0.01, -0.01, 0.01, 0.01), strict=True))
    assert judge_swap(WITNESSES, served(adapter, before=before), 0.1).passed


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (served(OLD), r"shows 0% ± 0% of tonight's change, so it answers like the incumbent"),
        (served(tuple(b + 0.9 * (n - b) for n, b in zip(NEW, BASE, strict=True))), r"answers like .* a part of"),
        (served((-0.62, -2.4, -2.68, -1.3)), r"differ from the candidate's by 0\.057 .* a part of the adapter"),
        (served(BASE), r"of tonight's change"),
        (served(tuple(2 * n - o for n, o in zip(NEW, OLD, strict=True))), r"shows 200% ± 0% of tonight's change"),
        (served(NEW, after=NEW), r"base model changed with the swap: it shows 100%"),
        (served(NEW, before=tuple(value - 1 for value in BASE)), r"1\.000 nats per token off, allowed are 0\.1"),
        (served((math.nan, *NEW[1:])), r"not finite"),
        (served(NEW, long_prompt=(-1.0, math.nan)), r"prompt of 3 tokens are not finite"),
        (served(NEW, long_prompt=()), r"prompt of 1 tokens are not finite"),
    ],
)
def test_anything_else_is_refused_with_its_reason(scores: ServedScores, words: str) -> None:
    proof = judge_swap(WITNESSES, scores, 0.1)
    assert not proof.passed
    assert re.search(words, proof.reason), proof.reason


def test_a_night_that_went_back_towards_the_base_is_not_proven_by_the_base() -> None:
    back = tuple((b + o) / 2 for b, o in zip(BASE, OLD, strict=True))
    witnesses = Witnesses((Witness((1,), (2, 3, 4, 5), BASE, OLD, back),), WITNESSES.long_prompt)
    assert not judge_swap(witnesses, served(BASE), 0.1).passed
    assert judge_swap(witnesses, served(back), 0.1).passed


def test_a_candidate_that_is_the_incumbent_proves_nothing() -> None:
    same = Witnesses((Witness((1,), (2, 3, 4, 5), BASE, OLD, OLD),), WITNESSES.long_prompt)
    assert "nothing that could be proven" in judge_swap(same, served(OLD), 0.1).reason
