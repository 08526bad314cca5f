"""Capability by margins: how much more likely is the right reply than the same reply with one fault?

A margin moves long before the greedy answer flips, needs no sampling, and costs two short replies. Three abilities
are asked like this: arithmetic, code, and going on with a conversation (its own next answer against another one's).
"""

from __future__ import annotations

from collections.abc import Sequence

from dreamloop.gate.suite import Choice, Document
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder
from dreamloop.model.policy import Policy
from dreamloop.model.score import completion_logprobs

CHOICE_TOKENS = 4096


def score_choices(
    policy: Policy, encoder: ChatEncoder, choices: Sequence[Choice], progress: Progress, who: str
) -> dict[str, float]:
    """Log-prob per token of the right reply minus that of the wrong one, in nats, by item name."""
    rows = [
        encoder.branches(encoder.seated(choice.context), (choice.right, choice.wrong), CHOICE_TOKENS)
        for choice in choices
    ]
    scores = completion_logprobs(policy, rows, 512, progress, f"gate: capability, {who}")
    return {
        choice.item: (right.mean() - wrong.mean()).item()
        for choice, (right, wrong) in zip(choices, scores, strict=True)
    }


def coherence(documents: Sequence[Document]) -> list[Choice]:
    """Each conversation's last answer against the last answer of the next conversation, after its own turns."""
    talks = [document for document in documents if document.turns and document.turns[-1].role == "assistant"]
    return [
        Choice(
            f"coherence/{talk.item}", talk.item, "coherence", talk.turns[:-1],
            right=talk.turns[-1].content, wrong=talks[(k + 1) % len(talks)].turns[-1].content,
        )
        for k, talk in enumerate(talks)
        if len(talks) > 1
    ]  # fmt: skip
