"""Held-out perplexity: does the model still read as well as yesterday?

One number per document: its mean negative log-prob per token in nats; exp of it is the document's
perplexity. The difference of two documents' numbers is the log of their perplexities' ratio. Long documents are
read in pieces, and a document counts once however long it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamloop.gate.suite import Document
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs

PIECE_TOKENS = 512
CONVERSATION_TOKENS = 4096


def score_documents(
    policy: Policy, encoder: ChatEncoder, documents: Sequence[Document], progress: Progress, who: str
) -> dict[str, float]:
    """Mean negative log-prob per token of each document, in nats, by item name."""
    rows: list[Row] = []
    owners: list[str] = []
    for document in documents:
        pieces = (
            [encoder.every_turn(document.turns, CONVERSATION_TOKENS)]
            if document.turns
            else encoder.pieces(document.text, PIECE_TOKENS)
        )
        rows += pieces
        owners += [document.item] * len(pieces)
    totals = {document.item: 0.0 for document in documents}
    counts = dict.fromkeys(totals, 0)
    scores = completion_logprobs(policy, rows, PIECE_TOKENS, progress, f"gate: perplexity, {who}")
    for owner, branches in zip(owners, scores, strict=True):
        totals[owner] -= branches[0].sum().item()
        counts[owner] += len(branches[0])
    return {item: totals[item] / counts[item] for item in totals}
