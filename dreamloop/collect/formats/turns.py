"""What the linear formats share: turns in any spelling to messages, and messages to exchanges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from dreamloop.records import Answer, Context, Exchange, Message, Role

_ROLES: dict[str, Role] = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant",
    "chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "system": "system", "developer": "system",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn; ``original`` is what the model wrote where a person edited its reply."""

    message: Message
    original: str | None = None


def turn(speaker: Any, content: Any, original: Any = None) -> Turn:
    """One turn of a log.

    Args:
        speaker: the role in any of the usual spellings.
        content: text, or a list of blocks of which those with text count.

    Raises:
        ValueError: an unknown speaker, or no text at all.
    """
    role = _ROLES.get(str(speaker))
    if role is None:
        raise ValueError("turn by an unknown speaker")
    edited = original if isinstance(original, str) and original.strip() and original != content else None
    return Turn(Message(role, text_of(content)), edited)


def text_of(content: Any) -> str:
    """The text of a message: itself, or its text blocks joined.

    Raises:
        ValueError: there is none.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        blocks = [b.get("text") for b in content if isinstance(b, dict)]
        texts = [text for text in blocks if isinstance(text, str)]
        if texts:
            return "\n".join(texts)
    raise ValueError("message without text")


def joined(turns: Iterable[Turn]) -> list[Turn]:
    """Neighbours of one role as one turn; an answer before the first question has no context and is dropped."""
    found: list[Turn] = []
    asked = False
    for item in turns:
        role, text = item.message.role, item.message.content
        asked = asked or role == "user"
        if role == "assistant" and not asked:
            continue
        if found and found[-1].message.role == role:
            found[-1] = Turn(Message(role, f"{found[-1].message.content}\n{text}"))
        else:
            found.append(item)
    return found


def linear_exchanges(conversation: str, turns: Sequence[Turn], alternatives: Sequence[str] = ()) -> list[Exchange]:
    """Every assistant turn with its context and the user turn after it.

    Args:
        conversation: its name. turns: joined.
        alternatives: other answers to the last user turn, where the log has them.

    Raises:
        ValueError: nobody answered.
    """
    messages: Context = tuple(item.message for item in turns)
    found = [
        Exchange(
            conversation=conversation,
            turn=i,
            context=messages[:i],
            answers=(Answer(item.message.content, original=item.original), *_others(turns, i, alternatives)),
            followed=messages[i + 1].content if i + 1 < len(messages) else None,
        )
        for i, item in enumerate(turns)
        if item.message.role == "assistant"
    ]
    if not found:
        raise ValueError("conversation without a reply")
    return found


def _others(turns: Sequence[Turn], i: int, alternatives: Sequence[str]) -> tuple[Answer, ...]:
    return tuple(Answer(text) for text in alternatives) if i == len(turns) - 1 else ()
