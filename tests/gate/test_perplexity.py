from __future__ import annotations

import pytest
import torch

from dreamloop.gate.perplexity import OPENING_TOKENS, beginnings, score_documents
from dreamloop.gate.suite import Document
from dreamloop.log import Silent
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.records import Message


def test_every_turn_counts_with_its_first_tokens_only() -> None:
    scored = [False] + [True] * 10 + [False] * 3 + [True] * 2
    first, second = beginnings(scored, torch.arange(12.0))
    assert first.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert second.tolist() == [10, 11]
    assert OPENING_TOKENS == 8


def test_a_long_document_counts_every_token_once_and_a_conversation_its_answers(
    tiny: Policy, tiny_encoder: ChatEncoder
) -> None:
    talk = (
        Message("user", "Hello?"),
        Message("assistant", "Yes."),
        Message("user", "So?"),
        Message("assistant", "No."),
    )
    documents = [Document("text", "prose", text="word " * 600), Document("talk", "chat", turns=talk)]
    found = score_documents(tiny, tiny_encoder, documents, Silent(), "tiny")
    assert set(found["perplexity"]) == {"text", "talk"}
    assert set(found["openings"]) == {"talk"}
    # Answers that are shorter than an opening are their own openings.
    assert found["openings"]["talk"] == pytest.approx(found["perplexity"]["talk"], rel=1e-5)
