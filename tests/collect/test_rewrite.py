from __future__ import annotations

from collections.abc import Sequence

import pytest

from dreamloop.collect.rewrite import choose, draft
from dreamloop.log import Progress, Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Adapter, Policy
from dreamloop.model.sampler import Request
from dreamloop.paths import prompts_folder
from dreamloop.prompts import load_prompt
from dreamloop.records import Correction, Message, Pair, Provenance, Reply, Written

WHERE = Provenance("test", "c", 1, "text correction", "medium")
REWRITE, TOLD = (load_prompt(prompts_folder(), name) for name in ("rewrite", "told"))
CORRECTION = Correction((Message("user", "Name a day."),), "The fox.", "No, I asked for a day.", WHERE)


class Scripted:
    """An engine that says what it was given: what a real one writes cannot be arranged."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = replies
        self.asked: list[Request] = []

    def sample(
        self, requests: Sequence[Request], adapter: Adapter | None, seed: int, progress: Progress, what: str
    ) -> list[Reply]:
        self.asked += requests
        return list(self.replies)


def rewritten(engine: Scripted, policy: Policy, encoder: ChatEncoder, max_length: int = 1024) -> Written:
    drafts = draft([CORRECTION], engine, None, encoder, REWRITE, max_length, 0, Silent())
    (result,) = choose(drafts, policy, encoder, TOLD)
    return result


def written(policy: Policy, encoder: ChatEncoder, reply: Reply) -> tuple[str, Pair | None]:
    result = rewritten(Scripted(reply), policy, encoder)
    return result.outcome, result.pair


def test_the_correction_is_a_hint_that_the_pair_does_not_carry(tiny: Policy, tiny_encoder: ChatEncoder) -> None:
    engine = Scripted(Reply("Monday is a day.", "stop", 5))
    result = rewritten(engine, tiny, tiny_encoder)
    assert "No, I asked for a day." in engine.asked[0].context[-1].content
    if result.pair:
        assert result.pair.context == CORRECTION.context
    assert result.outcome in {"written", "not likelier than the first reply, even when told"}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("Monday is a", "length", 3), "not finished"),
        (Reply("Monday", "stop", 1), "too short"),
        (Reply("You're right, I apologize: Monday.", "stop", 9), "apologises or gives in instead of answering"),
        (Reply("The fox..", "stop", 4), "too short"),
        (Reply("No, I asked for a day!", "stop", 6), "repeats the correction"),
    ],
)
def test_a_bad_rewrite_is_refused_with_its_reason(
    tiny: Policy, tiny_encoder: ChatEncoder, reply: Reply, reason: str
) -> None:
    assert written(tiny, tiny_encoder, reply) == (reason, None)


def test_a_correction_too_long_for_the_model_is_counted_and_nothing_is_asked(
    tiny: Policy, tiny_encoder: ChatEncoder
) -> None:
    engine = Scripted()
    result = rewritten(engine, tiny, tiny_encoder, 140)
    assert (result.outcome, engine.asked) == ("too long for the model, or refused by its template", [])
