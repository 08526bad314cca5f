"""The chosen side where a log has none: the engine answers again, told what its user had wished.

The correction is a hint that the served model will not have (context distillation): it shapes the new
answer and is not part of the pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from dreamloop.collect.signals import capitulates
from dreamloop.errors import UnusableRow
from dreamloop.log import Progress
from dreamloop.model.encode import ChatEncoder, Row
from dreamloop.model.policy import Adapter, Policy
from dreamloop.model.sampler import Request, Sampler
from dreamloop.model.score import completion_logprobs
from dreamloop.prompts import Prompt
from dreamloop.records import Context, Correction, Message, Pair, Reply, Written

ROOM_FOR_REPLY = 128  # tokens
NEARLY_THE_SAME = 0.9  # difflib ratio


@dataclass(frozen=True, slots=True)
class Draft:
    """What the engine wrote for one correction; ``fault`` says why it is refused, empty where it is not."""

    correction: Correction
    text: str
    fault: str


def draft(
    corrections: Sequence[Correction], sampler: Sampler, adapter: Adapter | None, encoder: ChatEncoder,
    rewrite: Prompt, max_length: int, seed: int, progress: Progress,
) -> list[Draft]:  # fmt: skip
    """Let the engine write the chosen side of each correction; only finished, new answers have no fault.

    Args:
        corrections: with their contexts.
        sampler, adapter: who writes. encoder: counts the tokens.
        rewrite: asks for the new answer after the first one and the correction.
        max_length: tokens that context and reply may have. seed: of the sampling.
        progress: where to show it.
    """
    asked = [(*c.context, Message("assistant", c.rejected), _remark(rewrite, c)) for c in corrections]
    usable = [i for i, context in enumerate(asked) if _fits(encoder, context, max_length - ROOM_FOR_REPLY)]
    requests = [Request(asked[i], ROOM_FOR_REPLY) for i in usable]
    replies = sampler.sample(requests, adapter, seed, progress, "rewriting corrected replies")
    drafts = [Draft(c, "", "too long for the model, or refused by its template") for c in corrections]
    for i, reply in zip(usable, replies, strict=True):
        drafts[i] = Draft(corrections[i], reply.text, _fault(corrections[i], reply))
    return drafts


def choose(drafts: Sequence[Draft], policy: Policy, encoder: ChatEncoder, told: Prompt) -> list[Written]:
    """Take a draft only if the model, told the correction beforehand, finds it likelier than its first reply.

    Args:
        drafts: as written. policy, encoder: what judges.
        told: puts the correction into the request, so that the first answer is not there to be copied.
    """
    passed = [d for d in drafts if not d.fault]
    triples = [(_told(told, d.correction), d.text, d.correction.rejected) for d in passed]
    better = dict(zip((d.correction.digest for d in passed), _preferred(triples, policy, encoder), strict=True))
    return [_written(d, better.get(d.correction.digest, False)) for d in drafts]


def _written(draft: Draft, better: bool) -> Written:
    outcome = draft.fault or ("written" if better else "not likelier than the first reply, even when told")
    pair = Pair(draft.correction.context, draft.text, draft.correction.rejected, draft.correction.provenance)
    return Written(draft.correction.digest, outcome, pair if outcome == "written" else None)


def _fits(encoder: ChatEncoder, context: Context, limit: int) -> bool:
    try:
        return len(encoder.chat(context, generation_prompt=True)) <= limit
    except UnusableRow:
        return False


def _remark(rewrite: Prompt, correction: Correction) -> Message:
    return Message("user", rewrite.render(correction=correction.correction.strip()))


def _told(told: Prompt, correction: Correction) -> Context:
    request = told.render(request=correction.context[-1].content, correction=correction.correction.strip())
    return (*correction.context[:-1], Message("user", request))


def _fault(correction: Correction, reply: Reply) -> str:
    """Why a written reply is refused; empty where it is not."""
    if reply.finish_reason != "stop":
        return "not finished"
    if len(reply.text.split()) < 3:
        return "too short"
    if capitulates(reply.text):
        return "apologises or gives in instead of answering"
    if SequenceMatcher(None, reply.text, correction.rejected).ratio() > NEARLY_THE_SAME:
        return "nearly the first reply again"
    if SequenceMatcher(None, reply.text, correction.correction).ratio() > NEARLY_THE_SAME:
        return "repeats the correction"
    return ""


def _preferred(triples: Sequence[tuple[Context, str, str]], policy: Policy, encoder: ChatEncoder) -> list[bool]:
    """Whether, in the context, the first text has the higher log-prob per token."""
    rows: list[Row | None] = []
    for context, new, old in triples:
        try:
            rows.append(encoder.branches(context, (new, old), 4096))
        except UnusableRow:
            rows.append(None)
    scored = iter(completion_logprobs(policy, [row for row in rows if row is not None]))
    return [row is not None and (s := next(scored))[0].mean().item() > s[1].mean().item() for row in rows]
