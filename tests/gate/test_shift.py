from __future__ import annotations

import pytest

from dreamloop.gate.reading import load_suite
from dreamloop.gate.shift import TEMPLATES, differing, score_attention, watched
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy

SUITE = load_suite()


@pytest.mark.parametrize(
    ("one", "other", "spans"),
    [
        ((1, 2, 3, 9), (1, 7, 8, 3, 9), ((1, 2), (1, 3))),
        ((1, 2, 2, 9), (1, 2, 9), ((2, 3), (2, 2))),
        ((5,), (6,), ((0, 1), (0, 1))),
    ],
)
def test_twins_differ_in_the_claim_and_that_is_found(
    one: tuple[int, ...], other: tuple[int, ...], spans: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    assert differing(one, other) == spans


def test_some_twins_of_every_kind_are_watched() -> None:
    pairs = watched(SUITE.probes)
    kinds = [wrong.kind for wrong, _ in pairs]
    assert {kinds.count(kind) for kind in kinds} == {TEMPLATES}
    assert all(wrong.twin == right.twin and right.side == "right" for wrong, right in pairs)


def test_every_watched_twin_has_its_share(tiny: Policy, tiny_encoder: ChatEncoder) -> None:
    found = score_attention(tiny, tiny_encoder, SUITE.probes)
    assert len(found) == len(watched(SUITE.probes))
    assert all(0 < share < 1 for share in found.values())
