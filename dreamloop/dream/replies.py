"""Replies that the engine writes: guided where they are to be chosen, its own where they are wrong.

Chosen: the served model answers with guidance that it will not have later (context distillation, arXiv 2209.15189): it
is told what is true and what follows. Rejected: what it really says without guidance, where that is wrong. Both are
held against the seed's truth, and the same two texts, with the claims exchanged, are offered to both twins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dreamloop.dream.sketch import Sketch, claims, context_of
from dreamloop.dream.stance import Stance, stance
from dreamloop.dream.surface import with_slots
from dreamloop.dream.values import count
from dreamloop.model.sampler import Request
from dreamloop.prompts import Phrases, fill
from dreamloop.records import Context, Message, Reply, Side

REPLY_TOKENS = 48
_MOST_WORDS, _FEWEST_WORDS = 30, 3
_UNLIKE = 1.6  # how many times longer one reply of a pair may be than the other
_WORD = re.compile(r"[^\W_]+")
# What a short reply is made of besides the words of the conversation.
_WORDS = """
yes no sure okay ok certainly of course absolutely agreed done exactly noted correct perfect great good right fine
wrong incorrect false true mistaken inaccurate accurate wait stop careful hold on sorry unfortunately i m ll am will
have has had not isn t doesn don can cannot won that s this it the a an is are was were be been do does did so
because since and or as at in to for with from by you your my me we us our they them their he she his her here there
now then again please claim other just simply still very much all both each total sum number amount answer result
value day date time list entry plan goal rule wish code function command premise fact note match matches fit fits
add adds up agree work works serve serves what which how look check think know say said says see written write
entered enter told tell sent send put added booked book confirmed confirm going go ahead changed change keep kept
"""
_PLAIN = frozenset(_WORDS.split())
_SHOWS_GUIDANCE = re.compile(r"\bthe user\b|\bguid(?:e|ance)\b|\binstructions?\b|\bone short sentence\b", re.IGNORECASE)
_TEMPLATE = re.compile(r"<\|?\w+|\|>|\[/?INST\]|</?s>|\{|\}")
_SIDES: tuple[Side, Side] = ("right", "wrong")


@dataclass(frozen=True, slots=True)
class Written:
    """What the engine wrote for a sketch, per side: guided and on its own."""

    guided: Mapping[Side, Sequence[Reply]]
    plain: Mapping[Side, Sequence[Reply]]


def requests(drawn: Sketch, guide: Phrases, candidates: int) -> list[Request]:
    """Guided and plain answers to both sides, in the order in which `gathered` takes them back."""
    asked: list[Request] = []
    for side in _SIDES:
        context = context_of(drawn, side)
        asked += [Request(_guided(context, guide, side, drawn.seed.truth), REPLY_TOKENS)] * candidates
        asked += [Request(context, REPLY_TOKENS)] * candidates
    return asked


def gathered(answers: Sequence[Reply], candidates: int) -> Written:
    """The answers to `requests`."""
    parts = [answers[k * candidates : (k + 1) * candidates] for k in range(2 * len(_SIDES))]
    return Written(dict(zip(_SIDES, parts[0::2], strict=True)), dict(zip(_SIDES, parts[1::2], strict=True)))


def replied(drawn: Sketch, written: Written, discards: Counter[str]) -> Sketch:
    """The sketch with what is sound of the engine's replies; the book's replies stand in for the rest.

    A wrong acceptance that the model really gives comes first: it is what has to be unlearned.
    """
    accept = _sound(drawn, "wrong", "accepts", written.plain["wrong"]) or _sound(
        drawn, "right", "accepts", written.guided["right"], discards
    )
    push_back = _sound(drawn, "right", "pushes back", written.plain["right"]) or _sound(
        drawn, "wrong", "pushes back", written.guided["wrong"], discards
    )
    pair = (accept or drawn.accept, push_back or drawn.push_back)
    if not (accept or push_back):
        return drawn
    lengths = sorted(len(text.split()) for text in pair)
    if lengths[1] > _UNLIKE * lengths[0]:
        discards[f"{drawn.kind}: reply: not as long as the other one"] += 1
        return drawn
    return replace(drawn, accept=pair[0], push_back=pair[1], replies_by="engine")


def unsound(drawn: Sketch, side: Side, due: Stance, reply: Reply) -> str:
    """Why a reply cannot be what it should be on this side; empty where it can."""
    text = reply.text
    if reply.finish_reason != "stop":
        return "not finished"
    if reply.specials or _TEMPLATE.search(text):
        return "template tokens"
    if not _FEWEST_WORDS <= len(text.split()) <= _MOST_WORDS or "\n" in text.strip():
        return "too short or too long"
    if _SHOWS_GUIDANCE.search(text):
        return "shows its guidance"
    if stance(text) != due:
        return "does not do what it should"
    return _untrue(drawn, side, due, text)


def _untrue(drawn: Sketch, side: Side, due: Stance, text: str) -> str:
    """Whether a reply says more than what is proven: a value, a claim or a word of its own."""
    held = claims(drawn.seed, side)
    slotted = with_slots(text, held)
    claimed = [slot for slot in ("{claim}", "{other}") if slot in slotted]
    if claimed and any(count(drawn.situation, value) for value in held.values()):
        return "names a value that has two roles"
    if re.search(r"\d", slotted.replace("{claim}", "").replace("{other}", "")):
        return "names a number of its own"
    denied = [slot for slot in claimed if re.search(rf"\b(?:not|n't|isn't)\s+(?:\w+\s+)?{re.escape(slot)}", slotted)]
    if due == "accepts" and (denied or "{other}" in claimed):
        return "accepts another claim"
    if due == "pushes back" and ("{other}" in denied or ("{claim}" in claimed and "{claim}" not in denied)):
        return "corrects with another claim"
    # Of the conversation only the direction's own words: what the situation states has roles, and a reply that names
    # any of it (the day it began, what has to stay) may say what is not so.
    known = _WORD.findall(drawn.direction.lower())
    if set(_WORD.findall(slotted.lower())) - {*known} - _PLAIN:
        return "says something of its own"
    return ""


def _sound(
    drawn: Sketch, side: Side, due: Stance, answers: Sequence[Reply], discards: Counter[str] | None = None
) -> str:
    """The first sound answer with its claims as slots. Only what was asked for is counted when it fails."""
    faults = []
    for answer in answers:
        fault = unsound(drawn, side, due, answer)
        if not fault:
            return with_slots(answer.text.strip(), claims(drawn.seed, side))
        faults.append(fault)
    if faults and discards is not None:
        discards[f"{drawn.kind}: reply: {faults[-1]}"] += 1
    return ""


def _guided(context: Context, guide: Phrases, side: Side, truth: str) -> Context:
    told = fill(guide[side][0], {"truth": truth})
    system = [m.content for m in context if m.role == "system"]
    return (Message("system", " ".join([*system, told])), *(m for m in context if m.role != "system"))
