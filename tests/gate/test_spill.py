from __future__ import annotations

import pytest

from dreamloop.gate.spill import SPILL_TOKENS, Misplaced, beginning, misplaced, score_spill
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs
from dreamloop.records import Message

ONE, TWO = (Message("user", "How is glass made?"),), (Message("user", "Where is the key?"),)


def test_every_reply_stands_once_behind_a_request_that_it_does_not_belong_to() -> None:
    found = misplaced(["Aye.", "No.", "Aye.", "Maybe."], [ONE, TWO])
    assert found == (
        Misplaced("spill/0", ONE, "Aye."),
        Misplaced("spill/1", TWO, "No."),
        Misplaced("spill/2", ONE, "Maybe."),
    )


def test_without_requests_there_is_nothing_to_ask() -> None:
    assert misplaced(["Aye."], []) == ()


def test_only_the_beginning_of_a_reply_counts(tiny: Policy, tiny_encoder: ChatEncoder) -> None:
    reply = "Aye aye, captain. " * 20
    row = beginning(tiny_encoder, ONE, reply.strip())
    assert len(row.branches[0].tokens) == SPILL_TOKENS
    (scores,) = score_spill(tiny, tiny_encoder, [Misplaced("a", ONE, reply.strip())], Silent(), "tiny").values()
    whole = completion_logprobs(tiny, [tiny_encoder.branches(ONE, (reply.strip(),), 4096)])[0][0]
    assert scores == pytest.approx(whole[:SPILL_TOKENS].mean().item(), abs=1e-5)
