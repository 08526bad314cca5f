"""General replay: ordinary questions with ordinary answers, so that a night unlearns nothing.

The base model's own answers to general prompts, which are what "unchanged" means for this model; chat rows from the
user's files; plain text in pieces, as in pretraining.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dreamloop.config import Replay
from dreamloop.errors import ConfigError
from dreamloop.finetune.blend import interleave, shares, weights
from dreamloop.log import Progress
from dreamloop.model.sampler import Request, Sampler
from dreamloop.records import ChatRow, Message, Skip

OVERSAMPLE = 1.6  # small models leave some answers unfinished
MAX_NEW_TOKENS = 192
PIECE = 1500  # characters of plain text in a row, about 350 tokens


@dataclass(frozen=True, slots=True)
class Prompts:
    """Questions for the base model: ``general`` ones, and ``practice`` of what fell, for half of its answers."""

    general: Sequence[str]
    practice: Sequence[str] = ()


def mixed(
    knobs: Replay, total: int, seed: int, prompts: Prompts, sampler: Sampler, progress: Progress
) -> tuple[list[ChatRow], list[Skip]]:
    """``total`` rows from the configured sources, interleaved so that any beginning holds the same shares.

    Args:
        knobs: the sources and how they are mixed. total: rows wanted. seed: decides which rows.
        prompts: questions for the base model. sampler: asks it. progress: where to show that.

    Raises:
        ConfigError: a file cannot be read or holds nothing.
    """
    chats: dict[str, list[ChatRow]] = {}
    skips: list[Skip] = []
    for path in knobs.chat_files:
        rows, unusable = chat_rows(path)
        chats[path.name] = [*chats.get(path.name, []), *rows]
        skips += unusable
    texts = [row for path in knobs.text_files for row in text_rows(path)]
    sizes = {"base": len(prompts.general)} if knobs.base_answers else {}
    sizes |= {name: len(rows) for name, rows in chats.items()}
    plain = min(len(texts), total if not sizes else round(total * knobs.text_share))
    counts = shares(total - plain, sizes, weights(sizes, knobs.mix, knobs.temperature, knobs.quality))
    wanted = counts.get("base", 0)
    practice, undone = base_answers(sampler, prompts.practice, wanted // 2 if prompts.practice else 0, seed, progress)
    answers, unfinished = base_answers(sampler, prompts.general, wanted - len(practice), seed, progress)
    taken = [
        practice,
        answers,
        *(drawn(rows, counts[name], seed) for name, rows in chats.items()),
        drawn(texts, plain, seed),
    ]
    return interleave([rows for rows in taken if rows]), [*skips, *undone, *unfinished]


def base_answers(
    sampler: Sampler, prompts: Sequence[str], count: int, seed: int, progress: Progress
) -> tuple[list[ChatRow], list[Skip]]:
    """``count`` finished answers of the base model to prompts drawn by ``seed``, all of them before any comes again.

    Answers that hit the token limit are left out and counted: they have no end of turn to learn.
    """
    if count == 0 or not prompts:
        return [], []
    asked = _in_rounds(list(prompts), round(count * OVERSAMPLE) + 2, random.Random(seed))
    requests = [Request((Message("user", prompt),), MAX_NEW_TOKENS) for prompt in asked]
    replies = sampler.sample(requests, None, seed, progress, "base answers for replay")
    finished = [
        ChatRow(request.context, reply.text, "base model")
        for request, reply in zip(requests, replies, strict=True)
        if reply.finish_reason == "stop" and len(reply.text.split()) >= 3
    ]
    unfinished = len(replies) - len(finished)
    skips = [Skip("replay", "answer of the base model not finished or empty", unfinished)] if unfinished else []
    return list(dict.fromkeys(finished))[:count], skips


def _in_rounds(prompts: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """As many prompts, drawn without putting back until none is left and then from all of them again."""
    asked: list[str] = []
    while len(asked) < count:
        asked += rng.sample(prompts, min(len(prompts), count - len(asked)))
    return asked


def chat_rows(path: Path) -> tuple[list[ChatRow], list[Skip]]:
    """All rows of a JSONL file of ``{"messages": [{"role", "content"}, ...]}`` that end with a reply.

    Raises:
        ConfigError: the file cannot be read or holds no usable row.
    """
    rows: list[ChatRow] = []
    unusable = 0
    for line in filter(str.strip, _text(path, "chat_files").split("\n")):  # a string may hold other line separators
        row = _row(line, path.name)
        if row:
            rows.append(row)
        else:
            unusable += 1
    if not rows:
        raise ConfigError(f'The replay file {path} holds no usable line; each should be {{"messages": [...]}}.')
    return rows, [Skip("replay", "replay line is no conversation that ends with a reply", unusable)] if unusable else []


def text_rows(path: Path) -> list[ChatRow]:
    """A plain text file in pieces of whole paragraphs, each a row without a context.

    Raises:
        ConfigError: the file cannot be read or is empty.
    """
    pieces: list[str] = []
    paragraphs = filter(str.strip, _text(path, "text_files").split("\n\n"))
    for paragraph in (part for whole in paragraphs for part in _cut(whole.strip("\n").rstrip())):
        if pieces and len(pieces[-1]) + len(paragraph) <= PIECE:
            pieces[-1] += "\n\n" + paragraph
        else:
            pieces.append(paragraph)
    if not pieces:
        raise ConfigError(f"The text file {path} is empty; take it out of replay.text_files.")
    return [ChatRow((), piece, path.name) for piece in pieces]


def drawn(rows: Sequence[ChatRow], count: int, seed: int) -> list[ChatRow]:
    """``count`` of the rows, the same ones for the same seed."""
    return random.Random(seed).sample(list(rows), min(count, len(rows)))


def _cut(paragraph: str) -> list[str]:
    """A paragraph in parts that fit a row, cut between words where it has any."""
    parts = []
    while len(paragraph) > PIECE:
        end = paragraph.rfind(" ", 1, PIECE) if " " in paragraph[1:PIECE] else PIECE
        parts.append(paragraph[:end])
        paragraph = paragraph[end:].lstrip()
    return [*parts, paragraph]


def _text(path: Path, knob: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The replay file {path} cannot be read ({error}); check replay.{knob}.") from error


def _row(line: str, source: str) -> ChatRow | None:
    try:
        raw: Any = json.loads(line)
        messages = [Message(turn["role"], turn["content"]) for turn in raw["messages"]]
    except (ValueError, KeyError, TypeError):
        return None
    texts = all(isinstance(m.content, str) and m.role in ("system", "user", "assistant") for m in messages)
    if not texts or len(messages) < 2 or messages[-1].role != "assistant":
        return None
    return ChatRow(tuple(messages[:-1]), messages[-1].content, source)
