"""What is said: turns, contexts and replies, and the digest under which they are known."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


def digest_of(*parts: str) -> str:
    """SHA-256 over the parts with unambiguous borders; 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


Context = tuple[Message, ...]


def flatten(context: Context) -> str:
    """The context as one text, for digests and near-duplicate search; never fed to a model."""
    return "\n".join(f"{message.role}: {message.content}" for message in context)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an engine wrote: the text, why it stopped, and how many tokens it took.

    ``specials`` counts special tokens before the end of the turn, which the text leaves out; 0 from an engine that
    does not tell.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    tokens: int
    specials: int = 0
