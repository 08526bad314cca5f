"""ShareGPT: ``{id, conversations: [{from: human|gpt|system, value}]}``, linear, without feedback.

Long chats are stored in pieces, and many pieces begin with the assistant; what comes before the first
user turn of a piece has no context and is left out.
"""

from __future__ import annotations

from typing import Any

from dreamloop.records import Answer, Context, Exchange, Message, Role

NAME = "sharegpt"

_ROLES: dict[str, Role] = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "system": "system",
}  # fmt: skip


def matches(value: Any) -> bool:
    """A list of turns that say who spoke in ``from``."""
    turns = value.get("conversations") if isinstance(value, dict) else None
    return isinstance(turns, list) and all(isinstance(turn, dict) and "from" in turn for turn in turns)


def exchanges(value: Any) -> list[Exchange]:
    """Every assistant turn with its context and the user turn after it."""
    messages = _messages(value["conversations"])
    found = [
        Exchange(
            conversation=str(value.get("id", "")),
            turn=i,
            context=messages[:i],
            answers=(Answer(message.content),),
            followed=messages[i + 1].content if i + 1 < len(messages) else None,
        )
        for i, message in enumerate(messages)
        if message.role == "assistant"
    ]
    if not found:
        raise ValueError("conversation without a reply")
    return found


def _messages(turns: list[dict[str, Any]]) -> Context:
    """Turns as messages; neighbours of one role are joined, and a headless answer is dropped."""
    messages: list[Message] = []
    for turn in turns:
        role, text = _ROLES.get(str(turn["from"])), turn.get("value")
        if role is None:
            raise ValueError("turn by an unknown speaker")
        if not isinstance(text, str):
            raise ValueError("message without text")
        if role == "assistant" and not any(message.role == "user" for message in messages):
            continue
        if messages and messages[-1].role == role:
            messages[-1] = Message(role, f"{messages[-1].content}\n{text}")
        else:
            messages.append(Message(role, text))
    return tuple(messages)
