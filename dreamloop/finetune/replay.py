"""General replay: ordinary questions with ordinary answers, so that a night unlearns nothing.

Either the base model's own answers to general prompts, which are what "unchanged" means for this
model, or rows from the user's file.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dreamloop.errors import ConfigError
from dreamloop.log import Progress
from dreamloop.model.sampler import Request, Sampler
from dreamloop.records import ChatRow, Message, Skip

OVERSAMPLE = 1.6  # small models leave some answers unfinished
MAX_NEW_TOKENS = 128


def base_answers(
    sampler: Sampler, prompts: Sequence[str], count: int, seed: int, progress: Progress
) -> tuple[list[ChatRow], list[Skip]]:
    """``count`` finished answers of the base model to general prompts drawn by ``seed``.

    Answers that hit the token limit are left out and counted: they have no end of turn to learn.
    """
    if count == 0:
        return [], []
    asked = random.Random(seed).sample(list(prompts), min(len(prompts), round(count * OVERSAMPLE) + 2))
    requests = [Request((Message("user", prompt),), MAX_NEW_TOKENS) for prompt in asked]
    replies = sampler.sample(requests, None, seed, progress, "base answers for replay")
    finished = [
        ChatRow(request.context, reply.text, "base model")
        for request, reply in zip(requests, replies, strict=True)
        if reply.finish_reason == "stop" and len(reply.text.split()) >= 3
    ]
    unfinished = len(replies) - len(finished)
    skips = [Skip("replay", "answer of the base model not finished or empty", unfinished)] if unfinished else []
    return finished[:count], skips


def from_file(path: Path, count: int, seed: int) -> tuple[list[ChatRow], list[Skip]]:
    """``count`` rows of a JSONL file of ``{"messages": [{"role", "content"}, ...]}``, drawn by ``seed``.

    Raises:
        ConfigError: the file cannot be read or holds no usable row.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The replay file {path} cannot be read ({error}); check finetune.replay_file.") from error
    rows: list[ChatRow] = []
    reasons: Counter[str] = Counter()
    for line in filter(str.strip, lines):
        row = _row(line, path.name)
        if row:
            rows.append(row)
        else:
            reasons["replay line is no conversation that ends with a reply"] += 1
    if not rows:
        raise ConfigError(f'The replay file {path} holds no usable line; each should be {{"messages": [...]}}.')
    random.Random(seed).shuffle(rows)
    return rows[:count], [Skip("replay", reason, n) for reason, n in reasons.items()]


def _row(line: str, source: str) -> ChatRow | None:
    try:
        raw: Any = json.loads(line)
        messages = [Message(turn["role"], turn["content"]) for turn in raw["messages"]]
    except (ValueError, KeyError, TypeError):
        return None
    texts = all(isinstance(m.content, str) and m.role in {"system", "user", "assistant"} for m in messages)
    if not texts or len(messages) < 2 or messages[-1].role != "assistant":
        return None
    return ChatRow(tuple(messages[:-1]), messages[-1].content, source)
