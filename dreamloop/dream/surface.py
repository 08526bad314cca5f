"""The engine says a scenario's two sentences in other words; what is not faithful is refused, and grammar's words stay.

Situation and direction are asked for apart, because the claim may be exchanged in the direction only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dreamloop.dream.faithful import Synonyms, unfaithful
from dreamloop.dream.sketch import Sketch, claims
from dreamloop.dream.values import whole
from dreamloop.model.sampler import Request
from dreamloop.prompts import Phrases, fill
from dreamloop.records import Message, Reply

_SLOTS = ("{claim}", "{other}")
_ROOM = 2.5  # tokens that a word of an answer may take
_HOT = 0.8


def requests(drawn: Sketch, prompt: Phrases) -> list[Request]:
    """What to ask for a sketch: its situation, then its direction."""
    direction = fill(drawn.direction, claims(drawn.seed, "right"))
    return [_request(sentence, prompt) for sentence in (drawn.situation, direction)]


def reworded(drawn: Sketch, answers: Sequence[Reply], synonyms: Synonyms, discards: Counter[str]) -> Sketch:
    """The sketch with the first faithful answer for each sentence; its own words where there is none."""
    situations, directions = answers[: len(answers) // 2], answers[len(answers) // 2 :]
    situation = _first(drawn.situation, situations, synonyms, drawn.kind, discards)
    held = claims(drawn.seed, "right")
    said = _first(fill(drawn.direction, held), directions, synonyms, drawn.kind, discards)
    slotted = with_slots(said, held) if said else ""
    if said and [slotted.count(slot) for slot in _SLOTS] != [drawn.direction.count(slot) for slot in _SLOTS]:
        discards[f"{drawn.kind}: in other words: lost the claim"] += 1
        slotted = ""
    if not situation and not slotted:
        return drawn
    # The sentence's name stays: said with other words it is still the one that may be dreamed so often.
    told, asked = situation or drawn.situation, slotted or drawn.direction
    return replace(drawn, situation=told, direction=asked, worded_by="engine")


def with_slots(text: str, held: Mapping[str, str]) -> str:
    """The text with its claims as slots again; the longer claim is looked for first, one may stand inside the other."""
    longest = sorted(held.items(), key=lambda item: -len(item[1]))
    for slot, value in longest:
        text = whole(value).sub(lambda _, slot=slot: f"{{{slot}}}", text)  # type: ignore[misc] # bound at once
    return text


def _first(original: str, answers: Sequence[Reply], synonyms: Synonyms, kind: str, discards: Counter[str]) -> str:
    """The first answer that may stand for the original and is not it."""
    faults = []
    for answer in answers:
        text = answer.text.strip().strip('"').strip()
        fault = _fault(answer, text) or unfaithful(original, text, synonyms)
        if not fault:
            return text
        faults.append(fault)
    if faults:
        discards[f"{kind}: in other words: {faults[-1]}"] += 1
    return ""


def _fault(answer: Reply, text: str) -> str:
    if answer.finish_reason != "stop" or answer.specials:
        return "not finished"
    if not text or "\n" in text or "{" in text:
        return "not one sentence"
    return ""


def _request(sentence: str, prompt: Phrases) -> Request:
    shots = [line.partition(" | ") for line in prompt["shots"]]
    ask = prompt["ask"][0]
    turns = [(fill(ask, {"sentence": plain}), other) for plain, _, other in shots]
    said = [m for asked, told in turns for m in (Message("user", asked), Message("assistant", told))]
    room = 16 + int(_ROOM * len(sentence.split()))
    return Request((*said, Message("user", fill(ask, {"sentence": sentence}))), room, _HOT)
