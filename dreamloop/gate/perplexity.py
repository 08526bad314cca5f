"""Held-out perplexity: does the model still read as well as yesterday, and does it still begin to answer as it did?

One number per document: its mean negative log-prob per token in nats; exp of it is the document's
perplexity. The difference of two documents' numbers is the log of their perplexities' ratio. Long documents are
read in pieces, and a document counts once however long it is. How assistant turns begin is looked at by itself: a new
persona, another language or a refusal shows in the first words, and is soon lost in the mean over a long reply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor

from dreamloop.gate.suite import Document
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs

PIECE_TOKENS = 512
CONVERSATION_TOKENS = 4096
OPENING_TOKENS = 8


def score_documents(
    policy: Policy, encoder: ChatEncoder, documents: Sequence[Document], progress: Progress, who: str
) -> dict[str, dict[str, float]]:
    """Mean negative log-prob per token in nats, by item name.

    ``perplexity`` is each document's, ``openings`` that of the first tokens of a conversation's assistant turns.
    """
    rows: list[Row] = []
    owners: list[Document] = []
    for document in documents:
        pieces = (
            [encoder.every_turn(document.turns, CONVERSATION_TOKENS)]
            if document.turns
            else encoder.pieces(document.text, PIECE_TOKENS)
        )
        rows += pieces
        owners += [document] * len(pieces)
    scores = completion_logprobs(policy, rows, PIECE_TOKENS, progress, f"gate: perplexity, {who}")
    whole: dict[str, list[Tensor]] = {document.item: [] for document in documents}
    begun: dict[str, list[Tensor]] = {}
    for document, row, branches in zip(owners, rows, scores, strict=True):
        whole[document.item].append(branches[0])
        if document.turns:
            begun[document.item] = beginnings(row.branches[0].scored, branches[0])
    return {"perplexity": _means(whole), "openings": _means(begun)}


def beginnings(scored: Sequence[bool], logprobs: Tensor) -> list[Tensor]:
    """The first log-probs of every run of scored tokens; ``logprobs`` has those of the scored tokens only."""
    found, done = [], 0
    for is_scored, run in groupby(scored):
        length = len(list(run))
        if is_scored:
            found.append(logprobs[done : done + min(length, OPENING_TOKENS)])
            done += length
    return found


def _means(read: Mapping[str, Sequence[Tensor]]) -> dict[str, float]:
    return {item: -torch.cat(list(parts)).mean().item() for item, parts in read.items()}
