"""Held-out perplexity: does the model still read ordinary text as well as yesterday?

One number per document: its mean negative log-prob per token in nats; exp of it is the document's
perplexity. The difference of two documents' numbers is the log of their perplexities' ratio.
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamloop.gate.suite import Document
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs

DOCUMENT_TOKENS = 512


def score_documents(
    policy: Policy, encoder: ChatEncoder, documents: Sequence[Document], progress: Progress, who: str
) -> dict[str, float]:
    """Mean negative log-prob per token of each document, in nats, by item name."""
    rows = [
        encoder.every_turn(document.turns, DOCUMENT_TOKENS)
        if document.turns
        else encoder.prose(document.text, DOCUMENT_TOKENS)
        for document in documents
    ]
    scores = completion_logprobs(policy, rows, DOCUMENT_TOKENS, progress, f"gate: perplexity, {who}")
    return {document.item: -branches[0].mean().item() for document, branches in zip(documents, scores, strict=True)}
